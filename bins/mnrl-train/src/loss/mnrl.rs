//! MultipleNegativesRankingLoss, and its symmetric form.

use embtune_torch::TorchError;
use embtune_torch::tch::Tensor;
use serde::Serialize;
use serde_json::{Value, json};

use super::direction::{described, names};
use super::shared_args::SharedArgs;
use super::vectors::Similarity;
use super::{Chunk, Direction, Loss, Targets};

/// Trains each anchor to rank its own positive first: `mean_i( log Zᵢ − s · sim(aᵢ, dᵢ) )`.
///
/// `Z` sums `exp(s · sim)` over all candidates. Henderson et al. 2017, section 4.4; sentence-transformers
/// `losses/multiple_negatives_ranking.py`.
pub(crate) struct Mnrl {
    /// `s`, the inverse of the temperature.
    pub(crate) scale: f64,
    /// `sim`
    pub(crate) similarity: Similarity,
    /// [`Direction::QueryToDocument`] first.
    pub(crate) directions: Vec<Direction>,
    pub(crate) partition: Partition,
}

/// How the directions share `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Partition {
    /// One sum over the candidates of all directions.
    Joint,
    /// A sum for each direction; the loss uses the mean of their logarithms.
    PerDirection,
}

impl Mnrl {
    /// # Errors
    /// A list of directions without q2d.
    pub(super) fn new(shared: &SharedArgs) -> anyhow::Result<Self> {
        let directions = shared.directions(&[Direction::QueryToDocument])?;
        Ok(Self { directions, partition: Partition::Joint, ..Self::symmetric(shared) })
    }

    /// The loss in both directions, each with its own softmax.
    pub(super) fn symmetric(shared: &SharedArgs) -> Self {
        Self {
            scale: shared.scale.unwrap_or(20.0),
            similarity: shared.similarity.unwrap_or(Similarity::Cosine),
            directions: vec![Direction::QueryToDocument, Direction::DocumentToQuery],
            partition: Partition::PerDirection,
        }
    }
}

impl Loss for Mnrl {
    fn flags(&self) -> &'static [&'static str] {
        match self.partition {
            Partition::Joint => &["--scale", "--similarity", "--directions", "--no-mask"],
            Partition::PerDirection => &["--scale", "--similarity", "--no-mask"],
        }
    }

    fn values(&self) -> Value {
        let Self { scale, similarity, directions, partition } = self;
        json!({"--scale": scale, "--similarity": similarity, "--directions": names(directions), "partition": partition})
    }

    fn description(&self) -> String {
        let partition = match self.partition {
            _ if self.directions.len() == 1 => "",
            Partition::Joint => ", joint",
            Partition::PerDirection => ", per-direction",
        };
        let (similarity, directions) = (self.similarity.name(), described(&self.directions));
        format!("MultipleNegativesRankingLoss, {similarity}, scale {}{directions}{partition}", self.scale)
    }

    fn chunk(&self, chunk: Chunk<'_>) -> Result<Tensor, TorchError> {
        let Chunk { targets, rows, .. } = chunk.clone();
        let logits = |direction: Direction| direction.products(&chunk, self.scale);
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

    fn compares(&self, targets: &Targets) -> Result<bool, TorchError> {
        let of_documents = |direction| matches!(direction, Direction::QueryToDocument | Direction::DocumentToDocument);
        let columns = |direction| if of_documents(direction) { targets.owners.len() } else { targets.pairs };
        Ok(self.directions.iter().any(|direction| targets.has_negative(*direction, columns(*direction))))
    }
}
