//! Flags that several losses have.

use anyhow::ensure;
use clap::Args;
use embtune_cli::parse_not_negative;

use super::Direction;
use super::vectors::Similarity;

/// Flags that several losses have. Without the flag, each loss has its own default.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct SharedArgs {
    /// Factor on similarities, the inverse of a temperature: for mnrl, symmetric, cosent [default: 20], gist [default:
    /// 100]
    ///
    /// With dot products, 1 is usual.
    #[arg(long, value_name = "FACTOR", value_parser = parse_positive, hide_short_help = true)]
    pub(super) scale: Option<f64>,

    /// Similarity of two vectors: for mnrl, symmetric, cosent, margin-mse [default: cosine; dot for margin-mse]
    #[arg(long, value_name = "SIMILARITY", hide_short_help = true)]
    pub(super) similarity: Option<Similarity>,

    /// Rows that are compared with each other: for mnrl [default: q2d], gist [default: q2d,q2q,d2d]
    ///
    /// The list must contain q2d. gist has no d2q, and its d2d compares positives only.
    #[arg(long, value_name = "LIST", value_delimiter = ',', hide_short_help = true)]
    pub(super) directions: Option<Vec<Direction>>,

    /// Margin between positives and negatives: for triplet [default: 5], contrastive [default: 0.5], gist [default: 0]
    ///
    /// triplet: how much farther away than the positive a negative must be. contrastive: how far from the anchor, as 1
    /// minus the cosine. gist: see --margin-strategy.
    #[arg(long, value_name = "MARGIN", value_parser = parse_not_negative, hide_short_help = true)]
    pub(super) margin: Option<f64>,
}

impl SharedArgs {
    /// The directions, q2d first and each once.
    ///
    /// # Errors
    /// A list without q2d, which alone has a positive for every anchor.
    pub(super) fn directions(&self, default: &[Direction]) -> anyhow::Result<Vec<Direction>> {
        let mut directions = self.directions.clone().unwrap_or_else(|| default.to_vec());
        directions.sort_unstable();
        directions.dedup();
        ensure!(
            directions.first() == Some(&Direction::QueryToDocument),
            "--directions lacks q2d, which has the positives"
        );
        Ok(directions)
    }
}

fn parse_positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("expected a number above 0".into()),
    }
}
