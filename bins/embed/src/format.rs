//! Forms of the output.

use std::path::Path;

use clap::ValueEnum;

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
        match output.filter(|path| *path != Path::new("-")) {
            None => Self::Jsonl,
            Some(path) => match path.extension().and_then(|extension| extension.to_str()) {
                Some("jsonl" | "ndjson") => Self::Jsonl,
                Some("npy") => Self::Npy,
                _ => Self::Safetensors,
            },
        }
    }
}

/// Type of the numbers in a binary output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dtype {
    /// 32-bit floats
    F32,
    /// 16-bit floats (IEEE)
    F16,
    /// 16-bit floats with the range of f32; not in npy
    Bf16,
}

impl Dtype {
    pub(crate) fn of_tensors(self) -> embtune_tensors::Dtype {
        match self {
            Self::F32 => embtune_tensors::Dtype::F32,
            Self::F16 => embtune_tensors::Dtype::F16,
            Self::Bf16 => embtune_tensors::Dtype::BF16,
        }
    }
}
