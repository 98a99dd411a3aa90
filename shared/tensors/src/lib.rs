//! Files of tensors: any safetensors file, embeddings, training shards; read only, checkpoints of torch and NumPy's arrays.
//!
//! Files are mapped into memory and treated as hostile: sizes are checked before anything is read, and a broken file
//! is an error that names it. What is written has one metadata key at most, because the format stores metadata as
//! an unordered map and the same input must give the same bytes.
//!
//! The mapping is the only unsafe code that trusts others: a file that another process truncates while it is mapped
//! ends the program, with a message where [`report_truncated_files`] was called. What another process writes into it is read,
//! checked like everything else, and [`check_unchanged`] tells in the end. Outputs of embtune are not written in place,
//! they are replaced by renaming.

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
pub use numbers::{SMALLEST_NORM, f32_le_bytes};
pub use regular::{open_regular, read_regular};
pub use safetensors::Dtype;
pub use safetensors_writer::write_tensors;
pub use shard::{Column, Hashes, Shard, ShardMeta, ShardRow, ShardWriter};
pub use tensor::Tensor;
pub use vector_type::VectorType;
