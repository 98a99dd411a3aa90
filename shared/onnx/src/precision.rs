//! What the encoder computes in.

use std::fmt;

use crate::proto::DataType;

/// Numbers of the encoder's weights and hidden states; pooling, Dense modules and normalisation are fp32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Fp32,
    /// 16-bit floats; products are summed in fp32 by the device. For CUDA: ONNX Runtime has no such kernels on a CPU.
    Fp16,
    /// Linear layers multiply 8-bit integers, the rest is fp32. For the CPU: on CUDA there are no such kernels.
    Int8,
}

impl Precision {
    /// Type of hidden states and of the weights that are not integers.
    pub(crate) fn number(self) -> DataType {
        match self {
            Self::Fp32 | Self::Int8 => DataType::Float,
            Self::Fp16 => DataType::Float16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
        })
    }
}
