//! Ranking metrics and significance tests: pure functions over slices.
//!
//! Metrics follow trec_eval, so that figures can be compared with the literature's. One query's ranking is given as two
//! slices: `ranked`, the relevance of each retrieved document from the best rank on, `None` where nobody judged it; and
//! `ideal`, the relevance of every judged document, highest first, whether it was retrieved or not. A document is
//! relevant when its relevance is more than 0. Documents of equal score are ordered by [`Ties`]; [`TopK`] finds the first
//! of them where the corpus is searched block by block.
//!
//! Tests compare two systems on the same queries: they take `differences`, one number a query.
//!
//! ```
//! use embtune_metrics::Metric;
//!
//! let metric: Metric = "ndcg@10".parse()?;
//! // The only relevant document stands second, behind one that is not.
//! let value = metric.value(&[Some(0), Some(1)], &[1, 0]);
//! assert!((value - 1.0 / 3f64.log2()).abs() < 1e-15);
//! # Ok::<(), embtune_metrics::ParseMetricError>(())
//! ```
//!
//! What this crate does not do: it reads no files, knows no query or document ids but to break ties, and says nothing
//! about queries that have no relevant document (every metric of theirs is 0; whether they count is the caller's).

mod curve;
mod metric;
mod names;
mod order;
mod ranking;
mod significance;
mod summary;
mod top_k;

pub use curve::interpolated_precision;
pub use metric::{Kind, Metric};
pub use names::ParseMetricError;
pub use order::Ties;
pub use ranking::{
    Gain, PERSISTENCE, accuracy, average_precision, bpref, capped_average_precision, capped_recall,
    expected_reciprocal_rank, f1, graded_rank_biased_precision, inferred_average_precision, judged, ndcg, precision,
    r_precision, rank_biased_precision, recall, reciprocal_rank,
};
pub use significance::{
    Interval, Randomisation, TTest, Wilcoxon, bootstrap_interval, effect_size, holm, paired_t_test, randomisation_test,
    wilcoxon_test,
};
pub use summary::{Tally, mean};
pub use top_k::{Hit, TopK};
