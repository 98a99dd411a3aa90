//! MarginMSELoss.

use embtune_torch::TorchError;
use embtune_torch::tch::Tensor;
use serde_json::{Value, json};

use super::shared_args::SharedArgs;
use super::vectors::{Similarity, dots, select};
use super::{Chunk, Loss, NO_OWN_NEGATIVES, Needs, Scores, Targets};

/// Trains the margins that a teacher sees between a positive and each negative of its pair:
/// `mean( ((a·p − a·n) − (score(p) − score(n)))² )`.
///
/// Hofstätter et al. 2020, section 3.2; sentence-transformers `losses/margin_mse.py`.
pub(crate) struct MarginMse {
    similarity: Similarity,
}

impl MarginMse {
    pub(super) fn new(shared: &SharedArgs) -> Self {
        Self { similarity: shared.similarity.unwrap_or(Similarity::Dot) }
    }
}

impl Loss for MarginMse {
    fn flags(&self) -> &'static [&'static str] {
        &["--similarity"]
    }

    fn values(&self) -> Value {
        json!({"--similarity": self.similarity})
    }

    fn description(&self) -> String {
        format!("MarginMSELoss, {}", self.similarity.name())
    }

    fn needs(&self) -> Needs {
        Needs { negatives: true, scores: Scores::Required, guide: false }
    }

    fn chunk(&self, Chunk { anchors, documents, targets, rows }: Chunk<'_>) -> Result<Tensor, TorchError> {
        let scores = targets.scores()?;
        let count = targets.own_negatives(0..targets.pairs).count().max(1);
        let triplets: Vec<_> = targets.own_negatives(rows).collect();
        let labels: Vec<f32> = triplets.iter().map(|(pair, document)| scores[*pair] - scores[*document]).collect();
        let labels = Tensor::f_from_slice(&labels)?.f_to_device(anchors.device())?;
        let pairs = || triplets.iter().map(|(pair, _)| *pair);
        let anchors = select(anchors, pairs())?;
        let positive = dots(&anchors, &select(documents, pairs())?)?;
        let negative = dots(&anchors, &select(documents, triplets.iter().map(|(_, document)| *document))?)?;
        let errors = positive.f_sub(&negative)?.f_sub(&labels)?;
        Ok(errors.f_square()?.f_sum(None)?.f_div_scalar(count as f64)?)
    }

    fn on_unit_vectors(&self) -> bool {
        self.similarity == Similarity::Cosine
    }

    /// None: the teacher's score expresses how well a document matches.
    fn masked(&self, _: &Targets) -> u64 {
        0
    }

    fn compares(&self, targets: &Targets) -> Result<bool, TorchError> {
        Ok(targets.own_negatives(0..targets.pairs).next().is_some())
    }

    fn nothing_compared(&self) -> &'static str {
        NO_OWN_NEGATIVES
    }
}
