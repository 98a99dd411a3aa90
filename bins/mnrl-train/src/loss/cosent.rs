//! CoSENTLoss.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;

use embtune_torch::TorchError;
use embtune_torch::tch::{Kind, Tensor};

use super::vectors::{dots, select};
use super::{Loss, Targets};

/// Asks for the order that the scores have: `log( 1 + Σ exp(sᵢ − sⱼ) )` over all `i`, `j` with `score(i) < score(j)`,
/// where `s` is the scaled similarity of a document with its own anchor.
///
/// Huang et al. 2024, CoSENT; sentence-transformers `losses/cosent.py`. In the order of the scores the sum over `i` is
/// a cumulative one, so no matrix of all by all is needed.
#[derive(Debug)]
pub(crate) struct CoSent {
    /// The inverse of the temperature.
    pub(crate) scale: f64,
    /// Whether the similarity is the cosine; else it is the dot product.
    pub(crate) cosine: bool,
}

impl Loss for CoSent {
    fn chunk(
        &self,
        anchors: &Tensor,
        documents: &Tensor,
        targets: &Targets,
        rows: Range<usize>,
    ) -> Result<Tensor, TorchError> {
        let scores = targets.scores()?;
        let mut rising: Vec<_> = targets.own(rows).collect();
        rising.sort_by(|(_, a), (_, b)| scores[*a].total_cmp(&scores[*b]));
        let lower =
            |(_, document): &(usize, usize)| rising.partition_point(|(_, other)| scores[*other] < scores[*document]);
        let options = (Kind::Float, anchors.device());
        let similarities = dots(
            &select(anchors, rising.iter().map(|(pair, _)| *pair))?,
            &select(documents, rising.iter().map(|(_, document)| *document))?,
        )?
        .f_mul_scalar(self.scale)?;
        // Element n is the sum over the n lowest, as a logarithm.
        let nothing = Tensor::f_full([1], f64::NEG_INFINITY, options)?;
        let sums = Tensor::f_cat(&[nothing, similarities.f_logcumsumexp(0)?], 0)?;
        let violations = select(&sums, rising.iter().map(lower))?.f_sub(&similarities)?;
        Ok(Tensor::f_cat(&[Tensor::f_zeros([1], options)?, violations], 0)?.f_logsumexp([0], false)?)
    }

    fn on_unit_vectors(&self) -> bool {
        self.cosine
    }

    /// None: the scores say how far a document matches.
    fn masked(&self, _: &Targets) -> u64 {
        0
    }

    /// Scores that differ give an order.
    fn compares(&self, targets: &Targets) -> Result<bool, TorchError> {
        let scores = targets.scores()?;
        Ok(scores.iter().any(|score| *score != scores[0]))
    }

    fn in_chunks(&self) -> bool {
        false
    }
}

impl Display for CoSent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let similarity = if self.cosine { "cosine" } else { "dot product" };
        write!(f, "CoSENTLoss, {similarity}, scale {}", self.scale)
    }
}
