//! MarginMSELoss.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;

use embtune_torch::TorchError;
use embtune_torch::tch::Tensor;

use super::vectors::{dots, select};
use super::{Loss, Targets};

/// Asks for a teacher's margins between a positive and each negative of its pair:
/// `mean( ((a·p − a·n) − (score(p) − score(n)))² )`.
///
/// Hofstätter et al. 2020, section 3.2; sentence-transformers `losses/margin_mse.py`.
#[derive(Debug)]
pub(crate) struct MarginMse {
    /// Whether cosines stand for the dot products.
    pub(crate) cosine: bool,
}

impl Loss for MarginMse {
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
        self.cosine
    }

    /// None: the teacher's score says how far a document matches.
    fn masked(&self, _: &Targets) -> u64 {
        0
    }

    fn compares(&self, targets: &Targets) -> Result<bool, TorchError> {
        Ok(targets.own_negatives(0..targets.pairs).next().is_some())
    }
}

impl Display for MarginMse {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "MarginMSELoss, {}", if self.cosine { "cosine" } else { "dot product" })
    }
}
