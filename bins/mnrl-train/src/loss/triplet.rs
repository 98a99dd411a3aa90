//! TripletLoss.

use clap::{Args, ValueEnum};
use embtune_cli::value_name;
use embtune_torch::TorchError;
use embtune_torch::tch::Tensor;
use serde::Serialize;
use serde_json::{Value, json};

use super::shared_args::SharedArgs;
use super::vectors::{dots, norms, select, sums};
use super::{Chunk, Loss, NO_OWN_NEGATIVES, Needs, Targets};

/// Trains each positive to be closer to its anchor than each negative of the pair, by a margin:
/// `mean( max(δ(a, p) − δ(a, n) + margin, 0) )` over all triplets of a pair and one of its negatives.
///
/// sentence-transformers `losses/triplet.py`.
pub(crate) struct Triplet {
    distance: Distance,
    margin: f64,
}

impl Triplet {
    pub(super) fn new(shared: &SharedArgs, args: &TripletArgs) -> Self {
        Self { distance: args.distance.unwrap_or(Distance::Euclidean), margin: shared.margin.unwrap_or(5.0) }
    }
}

/// The flags of its own.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct TripletArgs {
    /// Distance of triplet [default: euclidean]
    #[arg(long, value_name = "DISTANCE", hide_short_help = true)]
    pub(super) distance: Option<Distance>,
}

/// Distance of two vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Distance {
    /// Length of the difference
    Euclidean,
    /// 1 minus the cosine
    Cosine,
    /// Sum of the absolute values of the difference
    Manhattan,
}

impl Loss for Triplet {
    fn flags(&self) -> &'static [&'static str] {
        &["--margin", "--distance", "--no-mask"]
    }

    fn values(&self) -> Value {
        json!({"--distance": self.distance, "--margin": self.margin})
    }

    fn description(&self) -> String {
        format!("TripletLoss, {} distance, margin {}", value_name(self.distance), self.margin)
    }

    fn needs(&self) -> Needs {
        Needs { negatives: true, ..Needs::default() }
    }

    fn chunk(&self, Chunk { anchors, documents, targets, rows }: Chunk<'_>) -> Result<Tensor, TorchError> {
        let count = targets.true_negatives(0..targets.pairs).count().max(1);
        let triplets: Vec<_> = targets.true_negatives(rows).collect();
        let pairs = || triplets.iter().map(|(pair, _)| *pair);
        let anchors = select(anchors, pairs())?;
        let to_positive = self.distance.between(&anchors, &select(documents, pairs())?)?;
        let negatives = select(documents, triplets.iter().map(|(_, document)| *document))?;
        let to_negative = self.distance.between(&anchors, &negatives)?;
        let excess = to_positive.f_sub(&to_negative)?.f_add_scalar(self.margin)?;
        Ok(excess.f_relu()?.f_sum(None)?.f_div_scalar(count as f64)?)
    }

    fn on_unit_vectors(&self) -> bool {
        self.distance == Distance::Cosine
    }

    fn searches_by_cosine(&self) -> bool {
        true
    }

    fn masked(&self, targets: &Targets) -> u64 {
        targets.false_own_negatives()
    }

    fn compares(&self, targets: &Targets) -> Result<bool, TorchError> {
        Ok(targets.true_negatives(0..targets.pairs).next().is_some())
    }

    fn nothing_compared(&self) -> &'static str {
        NO_OWN_NEGATIVES
    }
}

impl Distance {
    /// The distance of each row from its counterpart, `[rows]`; for the cosine, rows must have length 1.
    fn between(self, a: &Tensor, b: &Tensor) -> Result<Tensor, TorchError> {
        match self {
            Self::Euclidean => norms(&a.f_sub(b)?),
            Self::Cosine => Ok(dots(a, b)?.f_neg()?.f_add_scalar(1.0)?),
            Self::Manhattan => sums(&a.f_sub(b)?.f_abs()?),
        }
    }
}
