//! Exact search: the nearest corpus vectors of every query.
//!
//! Corpus blocks stream from the memory-mapped files through one small graph on ONNX Runtime; the whole score matrix
//! never exists. On the CPU, every thread multiplies its own blocks and scans the scores while they are in its cache,
//! which is 1.5 times as fast as the graph's TopK on all threads. On CUDA, the graph includes the TopK. Each worker
//! holds one block of corpus vectors and one of scores, and each query up to `2 k` hits.

mod error;
mod ranker;
mod scorer;
mod searcher;
mod similarity;
mod transform;

pub use embtune_metrics::Hit;
pub use error::SearchError;
pub use ranker::Ranker;
pub use searcher::{Searcher, gather};
pub use similarity::Similarity;
