//! Ranking metrics and significance tests: pure functions over slices.
//!
//! The metrics follow trec_eval, so that values can be compared with those in the literature. The ranking of one query
//! is given as two slices: `ranked`, the relevance of each retrieved document from the best rank down, with `None` for
//! a document that nobody judged; and `ideal`, the relevance of every judged document in descending order, whether or
//! not it was retrieved. A document is relevant when its relevance is above 0. Documents with equal scores are ordered
//! by [`Ties`]; [`TopK`] finds the best documents when a corpus is searched block by block.
//!
//! The significance tests compare two systems on the same queries. They take `differences`, one number per query.
//!
//! ```
//! use embtune_metrics::Metric;
//!
//! let metric: Metric = "ndcg@10".parse()?;
//! // The only relevant document is ranked second.
//! let value = metric.value(&[Some(0), Some(1)], &[1, 0]);
//! assert!((value - 1.0 / 3f64.log2()).abs() < 1e-15);
//! # Ok::<(), embtune_metrics::ParseMetricError>(())
//! ```
//!
//! This crate reads no files and needs document ids only to break ties. Every metric of a query without relevant
//! documents is 0; whether such a query counts is up to the caller.

mod metric;
mod names;
mod ranking;
mod significance;
mod ties;
mod top_k;

pub use metric::{Kind, Metric};
pub use names::ParseMetricError;
pub use ranking::interpolated_precision;
pub use significance::{
    Interval, Randomisation, TTest, Tally, Wilcoxon, bootstrap_interval, effect_size, holm, mean, paired_t_test,
    randomisation_test, wilcoxon_test,
};
pub use ties::Ties;
pub use top_k::{Hit, TopK};
