//! Exact search: the nearest corpus vectors of every query.
//!
//! Corpus blocks stream from the mapped file through one small graph (product, then top-k) on ONNX Runtime; the
//! whole score matrix never exists. Memory: one block of corpus vectors, one block of scores, and `k` hits a query.

mod product;
mod ranker;
mod rows;
mod searcher;
mod similarity;

pub use embtune_metrics::Hit;
pub use ranker::Ranker;
pub use searcher::{SearchError, Searcher, gather};
pub use similarity::Similarity;
