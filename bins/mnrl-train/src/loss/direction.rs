//! Which rows of a batch are compared with which.

use clap::ValueEnum;
use embtune_cli::value_name;
use embtune_torch::TorchError;
use embtune_torch::tch::Tensor;

use super::Chunk;

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
    /// Each positive with the documents of other pairs
    #[value(name = "d2d")]
    DocumentToDocument,
}

impl Direction {
    /// Whether a row is compared with its own counterpart too, otherwise with rows of other pairs only.
    pub(crate) fn has_positive(self) -> bool {
        matches!(self, Self::QueryToDocument | Self::DocumentToQuery)
    }

    /// Dot products of some pairs' rows with all candidates, times a factor.
    ///
    /// # Shapes
    /// - output: `[rows, pairs or documents]`
    ///
    /// # Errors
    /// libtorch's own.
    pub(crate) fn products(self, chunk: &Chunk<'_>, factor: f64) -> Result<Tensor, TorchError> {
        let Chunk { anchors, documents, rows, .. } = chunk;
        let (left, right) = match self {
            Self::QueryToDocument => (anchors, documents),
            Self::DocumentToQuery => (documents, anchors),
            Self::QueryToQuery => (anchors, anchors),
            Self::DocumentToDocument => (documents, documents),
        };
        // The factor is applied to the rows, which have far fewer elements than the products.
        let left = left.f_narrow(0, rows.start as i64, rows.len() as i64)?.f_mul_scalar(factor)?;
        Ok(left.f_matmul(&right.f_tr()?)?)
    }
}

/// The directions as the flag has them.
pub(super) fn names(directions: &[Direction]) -> Vec<String> {
    directions.iter().map(|direction| value_name(*direction)).collect()
}

/// The directions in the description of a loss; nothing if q2d is the only one.
pub(super) fn described(directions: &[Direction]) -> String {
    if directions.len() > 1 { format!(", directions {}", names(directions).join(" ")) } else { String::new() }
}
