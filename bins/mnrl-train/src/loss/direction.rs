//! Which rows of a batch are compared with which.

use std::fmt::{self, Formatter};
use std::ops::Range;

use clap::ValueEnum;
use embtune_cli::value_name;
use embtune_torch::TorchError;
use embtune_torch::tch::Tensor;
use serde::{Deserialize, Serialize};

/// The rows that a pair's row is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Direction {
    /// Each anchor with all positives and negatives
    #[value(name = "q2d")]
    #[serde(rename = "q2d")]
    QueryToDocument,
    /// Each positive with all anchors
    #[value(name = "d2q")]
    #[serde(rename = "d2q")]
    DocumentToQuery,
    /// Each anchor with all other anchors
    #[value(name = "q2q")]
    #[serde(rename = "q2q")]
    QueryToQuery,
    /// Each positive with the documents of other pairs
    #[value(name = "d2d")]
    #[serde(rename = "d2d")]
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
    /// - `anchors`: `[pairs, size]`
    /// - `documents`: `[documents, size]`
    /// - `rows`: a range of pairs
    /// - output: `[rows, pairs or documents]`
    ///
    /// # Errors
    /// An error of libtorch.
    pub(crate) fn products(
        self,
        anchors: &Tensor,
        documents: &Tensor,
        rows: Range<usize>,
        factor: f64,
    ) -> Result<Tensor, TorchError> {
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

/// Writes the directions in the description of a loss, unless q2d is the only one.
pub(crate) fn write_directions(f: &mut Formatter<'_>, directions: &[Direction]) -> fmt::Result {
    if directions.len() < 2 {
        return Ok(());
    }
    write!(f, ", directions")?;
    directions.iter().try_for_each(|direction| write!(f, " {}", value_name(*direction)))
}
