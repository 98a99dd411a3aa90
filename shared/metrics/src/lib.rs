//! Ranking metrics and significance tests: pure functions over slices.
//!
//! Metrics follow trec_eval, so that figures can be compared with the literature's. One query's ranking is given as two
//! slices: `ranked`, the relevance of each retrieved document from the best rank on, 0 where nobody judged it; and
//! `ideal`, the relevance of every judged document, highest first, whether it was retrieved or not. A document is
//! relevant when its relevance is more than 0. Documents of equal score are ordered by [`trec_order`]; [`TopK`] finds the
//! first of them where the corpus is searched block by block.
//!
//! Tests compare two systems on the same queries: they take `differences`, one number a query.
//!
//! ```
//! use embtune_metrics::Metric;
//!
//! let metric: Metric = "ndcg@10".parse()?;
//! // The only relevant document stands second, behind one that is not.
//! let value = metric.value(&[0, 1], &[1, 0]);
//! assert!((value - 1.0 / 3f64.log2()).abs() < 1e-15);
//! # Ok::<(), embtune_metrics::ParseMetricError>(())
//! ```
//!
//! What this crate does not do: it reads no files, knows no query or document ids but to break ties, and says nothing
//! about queries that have no relevant document (every metric of theirs is 0; whether they count is the caller's).

mod binary;
mod bootstrap;
mod metric;
mod ndcg;
mod order;
mod randomisation;
mod summary;
mod t_test;
mod top_k;

pub use binary::{accuracy, average_precision, precision, recall, reciprocal_rank};
pub use bootstrap::{Interval, bootstrap_interval};
pub use metric::{Kind, Metric, ParseMetricError};
pub use ndcg::ndcg;
pub use order::trec_order;
pub use randomisation::{Randomisation, randomisation_test};
pub use summary::{Tally, mean};
pub use t_test::{TTest, paired_t_test};
pub use top_k::{Hit, TopK};
