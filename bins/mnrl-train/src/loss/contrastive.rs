//! ContrastiveLoss.

use std::ops::Range;

use embtune_torch::TorchError;
use embtune_torch::tch::Tensor;
use serde_json::{Value, json};

use super::shared_args::SharedArgs;
use super::vectors::{dots, select};
use super::{Chunk, Loss, NO_OWN_NEGATIVES, Needs, Scores, Targets};

/// Pulls matching pairs together and pushes the others apart, up to a margin:
/// `mean( y δ² + (1 − y) max(margin − δ, 0)² ) / 2` with `δ = 1 − cos`, over each anchor with each document of its pair.
///
/// The label `y` is the document's score, 0 or 1; without scores it is 1 for positives and 0 for negatives. Hadsell et
/// al. 2006; sentence-transformers `losses/contrastive.py`.
pub(crate) struct Contrastive {
    margin: f64,
}

impl Contrastive {
    pub(super) fn new(shared: &SharedArgs) -> Self {
        Self { margin: shared.margin.unwrap_or(0.5) }
    }
}

impl Loss for Contrastive {
    fn flags(&self) -> &'static [&'static str] {
        &["--margin", "--no-mask"]
    }

    fn values(&self) -> Value {
        json!({"--margin": self.margin})
    }

    fn description(&self) -> String {
        format!("ContrastiveLoss, margin {}", self.margin)
    }

    fn needs(&self) -> Needs {
        Needs { scores: Scores::Labels, ..Needs::default() }
    }

    fn chunk(&self, Chunk { anchors, documents, targets, rows }: Chunk<'_>) -> Result<Tensor, TorchError> {
        let count = labelled(targets, 0..targets.pairs).len();
        let labelled = labelled(targets, rows);
        let labels: Vec<f32> = labelled.iter().map(|(.., label)| *label).collect();
        let labels = Tensor::f_from_slice(&labels)?.f_to_device(anchors.device())?;
        let anchors = select(anchors, labelled.iter().map(|(pair, ..)| *pair))?;
        let documents = select(documents, labelled.iter().map(|(_, document, _)| *document))?;
        let cosines = dots(&anchors, &documents)?;
        let distances = cosines.f_neg()?.f_add_scalar(1.0)?;
        let lacking = cosines.f_add_scalar(self.margin - 1.0)?.f_relu()?;
        let near = labels.f_mul(&distances.f_square()?)?;
        let far = labels.f_neg()?.f_add_scalar(1.0)?.f_mul(&lacking.f_square()?)?;
        Ok(near.f_add(&far)?.f_sum(None)?.f_div_scalar(2.0 * count as f64)?)
    }

    fn masked(&self, targets: &Targets) -> u64 {
        if targets.scores.is_some() { 0 } else { targets.false_own_negatives() }
    }

    /// A positive is pulled to its anchor even if it is the only document of the batch.
    fn compares(&self, targets: &Targets) -> Result<bool, TorchError> {
        Ok(!labelled(targets, 0..targets.pairs).is_empty())
    }

    fn nothing_compared(&self) -> &'static str {
        NO_OWN_NEGATIVES
    }
}

/// The documents of some pairs, each with its pair and its label.
fn labelled(targets: &Targets, rows: Range<usize>) -> Vec<(usize, usize, f32)> {
    if let Some(scores) = &targets.scores {
        return targets.own(rows).map(|(pair, document)| (pair, document, scores[document])).collect();
    }
    let positives = rows.clone().map(|pair| (pair, pair, 1.0));
    positives.chain(targets.true_negatives(rows).map(|(pair, document)| (pair, document, 0.0))).collect()
}
