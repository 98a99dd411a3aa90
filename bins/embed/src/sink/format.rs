//! Forms of the output.

use clap::ValueEnum;
use embtune_cli::OutputFormat;
use embtune_tensors::VectorType;

/// How vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The input record plus "embedding", a line each
    Jsonl,
    /// Vectors and ids
    Safetensors,
    /// Vectors for NumPy; of FILE.npy, the ids are in FILE.ids
    Npy,
}

impl OutputFormat for Format {
    fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Jsonl => &["jsonl", "ndjson"],
            Self::Safetensors => &["safetensors"],
            Self::Npy => &["npy"],
        }
    }
}

/// Type of the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dtype {
    /// 32-bit floats
    F32,
    /// 16-bit floats (IEEE)
    F16,
    /// 16-bit floats with the range of f32; not in npy
    Bf16,
    /// Bytes from -127 to 127, and a scale for each vector
    Int8,
    /// Bits, 1 for what is above 0, eight in a byte
    Ubinary,
}

impl Dtype {
    pub(crate) fn stored(self) -> VectorType {
        match self {
            Self::F32 => VectorType::F32,
            Self::F16 => VectorType::F16,
            Self::Bf16 => VectorType::Bf16,
            Self::Int8 => VectorType::Int8,
            Self::Ubinary => VectorType::Ubinary,
        }
    }
}
