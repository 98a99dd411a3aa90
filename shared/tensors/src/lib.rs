//! Files of tensors: safetensors files, embeddings and training shards; NumPy arrays; PyTorch checkpoints (read only).
//!
//! Files are mapped into memory and not trusted: sizes are checked before anything is read, and a damaged file is an
//! error that names it. Written files have at most one metadata key, because safetensors stores metadata as an
//! unordered map, and the same input must give the same bytes.
//!
//! Mapping is the only unsafe code that depends on other processes. A file that another process truncates while it is
//! mapped ends the program, with a message if [`report_truncated_files`] was called. Content that another process
//! modifies is checked like any other, and [`check_unchanged`] detects the modification at the end. embtune itself
//! never modifies a file in place: outputs are replaced by renaming.

mod checksum;
mod embeddings;
mod error;
mod file;
mod mapped;
mod npy;
mod numbers;
mod regular;
mod safetensors_writer;
mod shard;
mod tensor;
mod torch_checkpoint;
mod vector_type;

pub use checksum::ChecksumWriter;
pub use embeddings::{
    Embeddings, EmbeddingsMeta, EmbeddingsWriter, VectorsById, check_same_space, matching_files, sidecar_path,
};
pub use error::TensorsError;
pub use file::TensorFile;
pub use mapped::{check_unchanged, report_truncated_files};
pub use npy::NpyWriter;
pub use numbers::{SMALLEST_NORM, f32_le_bytes, fits, float_bytes};
pub use regular::{open_regular, read_regular};
pub use safetensors::Dtype;
pub use safetensors_writer::{TensorSpec, stream_tensors, write_tensors};
pub use shard::{Column, Hashes, Shard, ShardMeta, ShardRow, ShardWriter};
pub use tensor::Tensor;
pub use vector_type::VectorType;
