//! MarginMSELoss.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;

use embtune_torch::TorchError;
use embtune_torch::tch::Tensor;
use serde::{Deserialize, Serialize};

use super::shared_args::SharedArgs;
use super::vectors::{Similarity, dots, select};
use super::{Loss, NO_OWN_NEGATIVES, Needs, Scores, Targets};

/// Trains the margins that a teacher sees between a positive and each negative of its pair:
/// `mean( ((a·p − a·n) − (score(p) − score(n)))² )`.
///
/// Hofstätter et al. 2020, section 3.2; sentence-transformers `losses/margin_mse.py`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct MarginMse {
    #[serde(rename = "--similarity")]
    similarity: Similarity,
}

impl MarginMse {
    pub(super) const FLAGS: &[&str] = &["--similarity"];

    pub(super) fn new(shared: &SharedArgs) -> Self {
        Self { similarity: shared.similarity.unwrap_or(Similarity::Dot) }
    }
}

impl Loss for MarginMse {
    fn needs(&self) -> Needs {
        Needs { negatives: true, scores: Scores::Required, guide: false }
    }

    fn chunk(
        &self,
        anchors: &Tensor,
        documents: &Tensor,
        targets: &Targets,
        rows: Range<usize>,
    ) -> Result<Tensor, TorchError> {
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

    fn searches_by_cosine(&self) -> bool {
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

impl Display for MarginMse {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "MarginMSELoss, {}", self.similarity)
    }
}
