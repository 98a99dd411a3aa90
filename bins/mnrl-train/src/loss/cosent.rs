//! CoSENTLoss.

use embtune_torch::TorchError;
use embtune_torch::tch::{Kind, Tensor};
use serde_json::{Value, json};

use super::shared_args::SharedArgs;
use super::vectors::{Similarity, dots, select};
use super::{Chunk, Loss, Needs, Scores, Targets};

/// Trains similarities to have the order of the scores: `log( 1 + Σ exp(sᵢ − sⱼ) )` over all `i`, `j` with
/// `score(i) < score(j)`, where `s` is the scaled similarity of a document with its own anchor.
///
/// Huang et al. 2024, CoSENT; sentence-transformers `losses/cosent.py`. Sorted by score, the sum over `i` is
/// cumulative, so that no matrix of all combinations is needed.
pub(crate) struct CoSent {
    /// The inverse of the temperature.
    scale: f64,
    similarity: Similarity,
}

impl CoSent {
    pub(super) fn new(shared: &SharedArgs) -> Self {
        Self { scale: shared.scale.unwrap_or(20.0), similarity: shared.similarity.unwrap_or(Similarity::Cosine) }
    }
}

impl Loss for CoSent {
    fn flags(&self) -> &'static [&'static str] {
        &["--scale", "--similarity"]
    }

    fn values(&self) -> Value {
        json!({"--scale": self.scale, "--similarity": self.similarity})
    }

    fn description(&self) -> String {
        format!("CoSENTLoss, {}, scale {}", self.similarity.name(), self.scale)
    }

    fn needs(&self) -> Needs {
        Needs { scores: Scores::Required, ..Needs::default() }
    }

    fn chunk(&self, Chunk { anchors, documents, targets, rows }: Chunk<'_>) -> Result<Tensor, TorchError> {
        let scores = targets.scores()?;
        let mut ascending: Vec<_> = targets.own(rows).collect();
        ascending.sort_by(|(_, a), (_, b)| scores[*a].total_cmp(&scores[*b]));
        let lower =
            |(_, document): &(usize, usize)| ascending.partition_point(|(_, other)| scores[*other] < scores[*document]);
        let options = (Kind::Float, anchors.device());
        let similarities = dots(
            &select(anchors, ascending.iter().map(|(pair, _)| *pair))?,
            &select(documents, ascending.iter().map(|(_, document)| *document))?,
        )?
        .f_mul_scalar(self.scale)?;
        // Element n is the logarithm of the sum over the n lowest.
        let nothing = Tensor::f_full([1], f64::NEG_INFINITY, options)?;
        let sums = Tensor::f_cat(&[nothing, similarities.f_logcumsumexp(0)?], 0)?;
        let violations = select(&sums, ascending.iter().map(lower))?.f_sub(&similarities)?;
        Ok(Tensor::f_cat(&[Tensor::f_zeros([1], options)?, violations], 0)?.f_logsumexp([0], false)?)
    }

    fn on_unit_vectors(&self) -> bool {
        self.similarity == Similarity::Cosine
    }

    /// None: the scores express how well a document matches.
    fn masked(&self, _: &Targets) -> u64 {
        0
    }

    /// Only scores that differ define an order.
    fn compares(&self, targets: &Targets) -> Result<bool, TorchError> {
        let scores = targets.scores()?;
        Ok(scores.iter().any(|score| *score != scores[0]))
    }

    fn nothing_compared(&self) -> &'static str {
        "no step had two different scores, so nothing was learnt\n\
         hint: the scores of a batch are compared with each other"
    }

    fn in_chunks(&self) -> bool {
        false
    }
}
