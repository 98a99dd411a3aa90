//! Forms of the output.

use std::path::Path;

use clap::ValueEnum;
use embtune_cli::is_stdout;
use embtune_tensors::VectorType;

/// How vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The input record plus "embedding", a line each
    Jsonl,
    /// Vectors and ids
    Safetensors,
    /// Vectors only, for NumPy
    Npy,
}

impl Format {
    /// What a file's name suggests.
    pub(crate) fn of(output: Option<&Path>) -> Self {
        match output.filter(|_| !is_stdout(output)) {
            None => Self::Jsonl,
            Some(path) => match path.extension().and_then(|extension| extension.to_str()) {
                Some("jsonl" | "ndjson") => Self::Jsonl,
                Some("npy") => Self::Npy,
                _ => Self::Safetensors,
            },
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
