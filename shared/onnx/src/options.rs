//! Options for building a graph.

use std::fmt;

use embtune_encoders::Encoder;

use crate::proto::DataType;

/// Options for building the graph of a sentence encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphOptions {
    /// How batches are arranged in the inputs.
    pub layout: Layout,
    /// Number format of the encoder's computations.
    pub precision: Precision,
    /// What follows the encoder.
    pub head: HeadOptions,
}

/// Options for what follows the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadOptions {
    /// Whether vectors are scaled to length 1.
    pub normalize: bool,
    /// Number of tokens at the beginning of each row that the pooling leaves out: those of a prompt, in models that say
    /// so.
    pub skip: usize,
}

/// How the tokens of a batch are arranged in the inputs of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Rows of equal length: no padding and no mask. Input: `input_ids` i64 `[batch, sequence]`.
    Equal,
    /// Rows of any length, padded on the right. Inputs, i64 `[batch, sequence]`: `input_ids` and `attention_mask` (1
    /// for tokens).
    Padded,
    /// Rows of any length, concatenated, as CUDA's attention kernels of variable length want them. Inputs: `input_ids`
    /// and `position_ids` i64 `[tokens]` (rows of the position embeddings), `cu_seqlens` i32 `[batch + 1]` (where each
    /// row begins), `padded_index` i32 `[batch, sequence]` (for each place of the padded rectangle, its index among the
    /// tokens; any token for padding) and `attention_mask` i64 `[batch, sequence]`.
    Packed,
}

impl Layout {
    /// The layout for CUDA: packed, unless the family's attention needs a bias for anything but padding. The kernels of
    /// variable length have none, so that families with relative positions, windows or causal attention are padded.
    pub fn for_cuda(encoder: &Encoder) -> Self {
        if encoder.has_plain_attention() { Self::Packed } else { Self::Padded }
    }
}

/// Number format of the encoder's weights and hidden states. Pooling, Dense modules and normalisation are always fp32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Fp32,
    /// 16-bit floats; the device accumulates matrix products in fp32. For CUDA: ONNX Runtime has no such kernels for
    /// CPUs.
    Fp16,
    /// Linear layers multiply 8-bit integers, everything else is fp32. For CPUs: CUDA has no such kernels.
    Int8,
}

impl Precision {
    /// Type of hidden states, and of the weights that are not quantised.
    pub(crate) fn hidden_type(self) -> DataType {
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
