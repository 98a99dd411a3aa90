//! Which rows of a batch are compared with which.

use clap::ValueEnum;
use embtune_torch::tch::Tensor;

/// What a pair's row is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Direction {
    /// Each anchor with all positives and negatives
    #[value(name = "q2d")]
    QueryToDocument,
    /// Each positive with all anchors
    #[value(name = "d2q")]
    DocumentToQuery,
    /// Each anchor with all other anchors
    #[value(name = "q2q")]
    QueryToQuery,
    /// Each positive with all documents of other pairs
    #[value(name = "d2d")]
    DocumentToDocument,
}

impl Direction {
    /// Whether a row's pair is among what it is compared with; else only rows of other pairs are.
    pub(crate) fn has_positive(self) -> bool {
        matches!(self, Self::QueryToDocument | Self::DocumentToQuery)
    }

    /// The side whose rows ask, one a pair, and the side that is asked for.
    pub(crate) fn sides<'a>(self, queries: &'a Tensor, documents: &'a Tensor) -> (&'a Tensor, &'a Tensor) {
        match self {
            Self::QueryToDocument => (queries, documents),
            Self::DocumentToQuery => (documents, queries),
            Self::QueryToQuery => (queries, queries),
            Self::DocumentToDocument => (documents, documents),
        }
    }
}
