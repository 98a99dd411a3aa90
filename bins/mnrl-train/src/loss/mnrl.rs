//! MultipleNegativesRankingLoss, and its symmetric form.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;

use clap::ValueEnum;
use embtune_cli::value_name;
use embtune_torch::TorchError;
use embtune_torch::tch::{Device, Tensor};

use super::direction::write_others;
use super::targets::to_mask;
use super::{Direction, Loss, Targets};

/// Asks each anchor for its own positive: `mean_i( log Zᵢ − s · sim(aᵢ, dᵢ) )`.
///
/// `Z` sums `exp(s · sim)` over all candidates. Henderson et al. 2017, section 4.4; sentence-transformers
/// `losses/multiple_negatives_ranking.py`.
#[derive(Debug)]
pub(crate) struct Mnrl {
    /// `s`, the inverse of the temperature.
    pub(crate) scale: f64,
    /// Whether `sim` is the cosine; else it is the dot product.
    pub(crate) cosine: bool,
    /// Directions beside [`Direction::QueryToDocument`].
    pub(crate) others: Vec<Direction>,
    pub(crate) partition: Partition,
    pub(crate) hardness: Option<Hardness>,
}

/// How the directions share `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Partition {
    /// One sum over the candidates of all directions
    Joint,
    /// A sum for each direction; the mean of their logarithms counts
    PerDirection,
}

/// Makes hard negatives weigh more: `strength · sim`, as a constant, is added to logits of anchors with documents.
///
/// Lan et al. 2025, equation 5.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hardness {
    pub(crate) mode: HardnessMode,
    pub(crate) strength: f64,
}

/// Which negatives get the weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HardnessMode {
    /// Documents of other pairs
    InBatch,
    /// The anchor's own negatives
    Hard,
    /// Both
    All,
}

impl Loss for Mnrl {
    fn chunk(
        &self,
        anchors: &Tensor,
        documents: &Tensor,
        targets: &Targets,
        rows: Range<usize>,
    ) -> Result<Tensor, TorchError> {
        let logits = |direction: Direction| direction.products(anchors, documents, rows.clone(), self.scale);
        let log_sum = |direction, mut logits: Tensor| -> Result<Tensor, TorchError> {
            let columns = logits.size()[1] as usize;
            if let Some(excluded) = targets.excluded(direction, rows.clone(), columns, logits.device())? {
                logits = logits.f_masked_fill(&excluded, f64::NEG_INFINITY)?;
            }
            Ok(logits.f_logsumexp([1], false)?)
        };

        let mut q2d = logits(Direction::QueryToDocument)?;
        let positives = q2d.f_diagonal(rows.start as i64, 0, 1)?;
        if let Some(hardness) = &self.hardness {
            q2d = self.harden(&q2d, hardness, targets, rows.clone())?;
        }
        let mut log_sums = vec![log_sum(Direction::QueryToDocument, q2d)?];
        for &direction in &self.others {
            log_sums.push(log_sum(direction, logits(direction)?)?);
        }
        let log_sums = Tensor::f_stack(&log_sums, 1)?;
        let log_z = match self.partition {
            Partition::Joint => log_sums.f_logsumexp([1], false)?,
            Partition::PerDirection => log_sums.f_mean_dim([1].as_slice(), false, None)?,
        };
        Ok(log_z.f_sub(&positives)?.f_sum(None)?.f_div_scalar(targets.pairs as f64)?)
    }

    fn on_unit_vectors(&self) -> bool {
        self.cosine
    }

    fn masked(&self, targets: &Targets) -> u64 {
        targets.false_negatives.count()
    }

    fn compares(&self, targets: &Targets) -> Result<bool, TorchError> {
        let of_documents = |direction| matches!(direction, Direction::QueryToDocument | Direction::DocumentToDocument);
        let columns = |direction| if of_documents(direction) { targets.owners.len() } else { targets.pairs };
        let mut directions = self.others.iter().copied().chain([Direction::QueryToDocument]);
        Ok(directions.any(|direction| targets.has_negative(direction, columns(direction))))
    }
}

impl Display for Mnrl {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let similarity = if self.cosine { "cosine" } else { "dot product" };
        write!(f, "MultipleNegativesRankingLoss, {similarity}, scale {}", self.scale)?;
        write_others(f, &self.others)?;
        if !self.others.is_empty() {
            write!(f, ", {}", value_name(self.partition))?;
        }
        if let Some(Hardness { mode, strength }) = self.hardness {
            write!(f, ", hardness {} {strength}", value_name(mode))?;
        }
        Ok(())
    }
}

impl Mnrl {
    /// Adds the weight to the logits of the chosen negatives, `[rows, documents]`.
    fn harden(
        &self,
        logits: &Tensor,
        hardness: &Hardness,
        targets: &Targets,
        rows: Range<usize>,
    ) -> Result<Tensor, TorchError> {
        let left_out = hardness.mode.left_out(targets, rows, logits.device())?;
        // The weight is not scaled.
        let weight = logits.f_detach()?.f_mul_scalar(hardness.strength / self.scale)?;
        Ok(logits.f_add(&weight.f_masked_fill(&left_out, 0.0)?)?)
    }
}

impl HardnessMode {
    /// The documents that get no weight, bool `[rows, documents]`.
    fn left_out(self, targets: &Targets, rows: Range<usize>, device: Device) -> Result<Tensor, TorchError> {
        let columns = targets.owners.len();
        let mut marks = vec![self == Self::Hard; rows.len() * columns];
        for (pair, document) in targets.own(rows.clone()) {
            let is_positive = document < targets.pairs;
            marks[(pair - rows.start) * columns + document] = self == Self::InBatch || is_positive;
        }
        to_mask(&marks, columns, device)
    }
}
