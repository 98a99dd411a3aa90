//! Exact search: the nearest corpus vectors of every query.
//!
//! Corpus blocks stream from the mapped files through one small graph on ONNX Runtime; the whole score matrix never
//! exists. On the CPU every thread multiplies blocks of its own and passes over the scores while they are in its cache:
//! 1.5 times as fast as the graph's TopK on all threads. On CUDA the graph has the TopK too. Memory: for each worker
//! one block of corpus vectors and one of scores, and up to `2 k` hits a query.

mod product;
mod ranker;
mod rows;
mod searcher;
mod similarity;

pub use embtune_metrics::Hit;
pub use ranker::Ranker;
pub use searcher::{SearchError, Searcher, gather};
pub use similarity::Similarity;
