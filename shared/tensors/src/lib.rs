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

mod by_id;
mod checksum;
mod column;
mod embeddings;
mod embeddings_file;
mod embeddings_writer;
mod error;
mod file;
mod ids;
mod json_lines;
mod mapped;
mod npy;
mod numbers;
mod pickle;
mod regular;
mod shard;
mod shard_writer;
mod space;
mod spool;
mod torch_checkpoint;
mod vector_type;
mod write;

pub use by_id::VectorsById;
pub use checksum::ChecksumWriter;
pub use column::{Column, Hashes};
pub use embeddings::{Embeddings, EmbeddingsMeta, matching_files};
pub use embeddings_file::sidecar_path;
pub use embeddings_writer::EmbeddingsWriter;
pub use error::TensorsError;
pub use file::{Tensor, TensorFile};
pub use mapped::{check_unchanged, report_truncated_files};
pub use npy::NpyWriter;
pub use numbers::{SMALLEST_NORM, f32_le_bytes};
pub use regular::{open_regular, read_regular};
pub use safetensors::Dtype;
pub use shard::{Shard, ShardMeta};
pub use shard_writer::{Row, ShardWriter};
pub use space::check_same_space;
pub use vector_type::VectorType;
pub use write::write_tensors;
