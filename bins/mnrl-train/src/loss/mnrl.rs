//! MultipleNegativesRankingLoss, and its symmetric form.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;

use embtune_torch::TorchError;
use embtune_torch::tch::Tensor;
use serde::{Deserialize, Serialize};

use super::direction::write_directions;
use super::shared_args::SharedArgs;
use super::vectors::Similarity;
use super::{Direction, Loss, Needs, Targets};

/// Trains each anchor to rank its own positive first: `mean_i( log Zᵢ − s · sim(aᵢ, dᵢ) )`.
///
/// `Z` sums `exp(s · sim)` over all candidates. Henderson et al. 2017, section 4.4; sentence-transformers
/// `losses/multiple_negatives_ranking.py`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mnrl {
    /// `s`, the inverse of the temperature.
    #[serde(rename = "--scale")]
    pub(crate) scale: f64,
    /// `sim`
    #[serde(rename = "--similarity")]
    pub(crate) similarity: Similarity,
    /// [`Direction::QueryToDocument`] first.
    #[serde(rename = "--directions")]
    pub(crate) directions: Vec<Direction>,
    #[serde(rename = "partition")]
    pub(crate) partition: Partition,
}

/// How the directions share `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Partition {
    /// One sum over the candidates of all directions.
    Joint,
    /// A sum for each direction; the loss uses the mean of their logarithms.
    PerDirection,
}

impl Mnrl {
    pub(super) const FLAGS: &[&str] = &["--scale", "--similarity", "--directions", "--no-mask"];
    pub(super) const SYMMETRIC_FLAGS: &[&str] = &["--scale", "--similarity", "--no-mask"];

    /// # Errors
    /// A list of directions without q2d.
    pub(super) fn new(shared: &SharedArgs) -> anyhow::Result<Self> {
        Ok(Self {
            scale: shared.scale(),
            similarity: shared.similarity.unwrap_or(Similarity::Cosine),
            directions: shared.directions(&[Direction::QueryToDocument])?,
            partition: Partition::Joint,
        })
    }

    /// The loss in both directions, each with its own softmax.
    pub(super) fn symmetric(shared: &SharedArgs) -> Self {
        Self {
            scale: shared.scale(),
            similarity: shared.similarity.unwrap_or(Similarity::Cosine),
            directions: vec![Direction::QueryToDocument, Direction::DocumentToQuery],
            partition: Partition::PerDirection,
        }
    }
}

impl Loss for Mnrl {
    fn needs(&self) -> Needs {
        Needs::default()
    }

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

        let q2d = logits(Direction::QueryToDocument)?;
        let positives = q2d.f_diagonal(rows.start as i64, 0, 1)?;
        let mut log_sums = vec![log_sum(Direction::QueryToDocument, q2d)?];
        for &direction in self.directions.iter().skip(1) {
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
        self.similarity == Similarity::Cosine
    }

    fn searches_by_cosine(&self) -> bool {
        self.similarity == Similarity::Cosine
    }

    fn masked(&self, targets: &Targets) -> u64 {
        targets.false_negatives.count()
    }

    fn compares(&self, targets: &Targets) -> Result<bool, TorchError> {
        let of_documents = |direction| matches!(direction, Direction::QueryToDocument | Direction::DocumentToDocument);
        let columns = |direction| if of_documents(direction) { targets.owners.len() } else { targets.pairs };
        Ok(self.directions.iter().any(|direction| targets.has_negative(*direction, columns(*direction))))
    }
}

impl Display for Mnrl {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "MultipleNegativesRankingLoss, {}, scale {}", self.similarity, self.scale)?;
        write_directions(f, &self.directions)?;
        if self.directions.len() > 1 {
            f.write_str(match self.partition {
                Partition::Joint => ", joint",
                Partition::PerDirection => ", per-direction",
            })?;
        }
        Ok(())
    }
}
