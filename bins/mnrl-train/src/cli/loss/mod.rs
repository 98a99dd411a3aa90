//! The flags of the loss.

mod objective;
mod supply;
#[cfg(test)]
mod tests;

use clap::{Args, ValueEnum};
use embtune_cli::parse_not_negative;

use crate::loss::{Direction, Distance, HardnessMode, MarginStrategy, Partition};
pub(crate) use supply::Supply;

/// What is asked of the vectors. A flag that is not given has the loss's default.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Loss")]
pub(crate) struct LossArgs {
    /// What is asked of the vectors
    #[arg(long = "loss", value_name = "LOSS", default_value = "mnrl")]
    pub(crate) kind: LossKind,

    /// Factor on similarities, the inverse of a temperature: for mnrl, symmetric, cosent [default: 20]
    ///
    /// With dot products, 1 is usual.
    #[arg(long, value_name = "FACTOR", value_parser = parse_positive)]
    scale: Option<f64>,

    /// Similarity of two vectors: for mnrl, symmetric, cosent, margin-mse [default: cosine; dot for margin-mse]
    #[arg(long, value_name = "SIMILARITY")]
    similarity: Option<Similarity>,

    /// What is compared with what: for mnrl [default: q2d], gist [default: q2d,q2q,d2d]
    ///
    /// q2d is always among them. gist has no d2q, and of its d2d only positives are compared.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    directions: Option<Vec<Direction>>,

    /// How the directions of mnrl share a softmax [default: joint]
    #[arg(long, value_name = "HOW")]
    partition: Option<Partition>,

    /// Negatives of mnrl that weigh more the more similar they are to the anchor
    #[arg(long, value_name = "WHICH", requires = "hardness_strength")]
    hardness_mode: Option<HardnessMode>,

    /// Factor on the similarity in that weight; 9 and 5 have been used for in-batch and hard
    #[arg(long, value_name = "FACTOR", value_parser = parse_positive, requires = "hardness_mode")]
    hardness_strength: Option<f64>,

    /// How far apart negatives have to be: for triplet [default: 5], contrastive [default: 0.5], gist [default: 0]
    ///
    /// triplet: how much farther than the positive. contrastive: from the anchor, as 1 less the cosine. gist: see
    /// --margin-strategy.
    #[arg(long, value_name = "MARGIN", value_parser = parse_not_negative)]
    margin: Option<f64>,

    /// Distance of triplet [default: euclidean]
    #[arg(long, value_name = "DISTANCE")]
    distance: Option<Distance>,

    /// Divisor of gist's cosines [default: 0.01]
    #[arg(long, value_name = "DIVISOR", value_parser = parse_positive)]
    temperature: Option<f64>,

    /// Highest guide cosine of a negative of gist, given that of anchor and positive [default: absolute]
    #[arg(long, value_name = "HOW")]
    margin_strategy: Option<MarginStrategy>,

    /// Train vectors that are cut to these sizes, the largest first, as in 384,256,128
    ///
    /// The loss is the sum over the sizes, with vectors normalised after the cut. Whole vectors are trained when their
    /// size is among them.
    #[arg(long, value_name = "SIZES", value_delimiter = ',')]
    matryoshka: Vec<usize>,

    /// Let rows with the same text, document id or group be each other's negatives
    #[arg(long)]
    pub(crate) no_mask: bool,
}

/// The losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LossKind {
    /// Each anchor is to be closest to its positive, of all documents in the batch
    Mnrl,
    /// mnrl, and each positive is to be closest to its anchor, of all anchors in the batch
    Symmetric,
    /// The positive is to be closer to the anchor than each of the pair's negatives, by a margin
    Triplet,
    /// The positive is to be close to the anchor and the pair's negatives far; the shard's scores are the labels when
    /// all are 1, for close, or 0, for far
    Contrastive,
    /// The similarities of anchors with their positives and negatives are to have the order of the shard's scores
    Cosent,
    /// Similarity to the positive less that to each of the pair's negatives is to be as in the shard's scores
    MarginMse,
    /// mnrl without the negatives that a guide model, whose vectors the shard has, finds closer than the positive
    Gist,
}

/// Similarity of two vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Similarity {
    /// Cosine of their angle
    Cosine,
    /// Dot product
    Dot,
}

fn parse_positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("expected a number above 0".into()),
    }
}
