//! GISTEmbedLoss.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;

use clap::ValueEnum;
use embtune_torch::TorchError;
use embtune_torch::tch::Tensor;

use super::direction::write_others;
use super::{Direction, Loss, Targets, value_name};

/// Multiple negatives ranking without the candidates that a guide model finds about as close to the row as the
/// anchor's positive is to the anchor: `mean_i( log Zᵢ − cos(aᵢ, dᵢ) / T )`.
///
/// `Z` sums `exp(cos / T)` over the candidates of all directions; of d2d, positives only. The guide's vectors are
/// given. Solatorio 2024; sentence-transformers `losses/gist_embed.py`, and `losses/cached_gist_embed.py` for more
/// than one negative.
#[derive(Debug)]
pub(crate) struct Gist {
    /// `T`
    pub(crate) temperature: f64,
    pub(crate) strategy: MarginStrategy,
    pub(crate) margin: f64,
    /// Directions beside [`Direction::QueryToDocument`]; [`Direction::DocumentToQuery`] is none of them.
    pub(crate) others: Vec<Direction>,
}

/// Which guide cosine is the highest that a negative may have, given that of anchor and positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MarginStrategy {
    /// That cosine less the margin
    Absolute,
    /// That cosine less the margin's share of it
    Relative,
}

impl Loss for Gist {
    fn chunk(
        &self,
        anchors: &Tensor,
        documents: &Tensor,
        targets: &Targets,
        rows: Range<usize>,
    ) -> Result<Tensor, TorchError> {
        let guide = targets
            .guide
            .as_ref()
            .ok_or_else(|| TorchError::new("the loss reads guide vectors, the batch has none"))?;
        let own = |x: &Tensor| x.f_diagonal(rows.start as i64, 0, 1);
        let products = |direction: Direction, anchors, documents: &Tensor, factor| {
            let positives = documents.f_narrow(0, 0, targets.pairs as i64)?;
            let candidates = if direction == Direction::DocumentToDocument { &positives } else { documents };
            direction.products(anchors, candidates, rows.clone(), factor)
        };
        let guided = |direction| products(direction, &guide.anchors, &guide.documents, 1.0);
        let logits = |direction| products(direction, anchors, documents, 1.0 / self.temperature);
        let log_sum = |direction, logits: &Tensor, mut excluded: Tensor| -> Result<Tensor, TorchError> {
            let columns = logits.size()[1] as usize;
            if let Some(others) = targets.excluded(direction, rows.clone(), columns, logits.device())? {
                excluded = excluded.f_logical_or(&others)?;
            }
            Ok(logits.f_masked_fill(&excluded, f64::NEG_INFINITY)?.f_logsumexp([1], false)?)
        };

        let (guided_q2d, q2d) = (guided(Direction::QueryToDocument)?, logits(Direction::QueryToDocument)?);
        let highest = self.highest(&own(&guided_q2d)?)?;
        let too_close = guided_q2d.f_gt_tensor(&highest)?;
        let _ = own(&too_close)?.f_fill_(0)?;
        let mut log_sums = vec![log_sum(Direction::QueryToDocument, &q2d, too_close)?];
        for &direction in &self.others {
            let too_close = guided(direction)?.f_gt_tensor(&highest)?;
            log_sums.push(log_sum(direction, &logits(direction)?, too_close)?);
        }
        let log_z = Tensor::f_stack(&log_sums, 1)?.f_logsumexp([1], false)?;
        Ok(log_z.f_sub(&own(&q2d)?)?.f_sum(None)?.f_div_scalar(targets.pairs as f64)?)
    }

    fn on_unit_vectors(&self) -> bool {
        true
    }

    fn masked(&self, targets: &Targets) -> u64 {
        targets.false_negatives.count()
    }
}

impl Gist {
    /// The highest guide cosine of a negative, `[rows, 1]`, given those of the positives, `[rows]`.
    fn highest(&self, positives: &Tensor) -> Result<Tensor, TorchError> {
        let highest = match self.strategy {
            MarginStrategy::Absolute => positives.f_sub_scalar(self.margin)?,
            MarginStrategy::Relative => positives.f_sub(&positives.f_abs()?.f_mul_scalar(self.margin)?)?,
        };
        Ok(highest.f_unsqueeze(1)?)
    }
}

impl Display for Gist {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { temperature, margin, .. } = self;
        write!(f, "GISTEmbedLoss, temperature {temperature}, {} margin {margin}", value_name(self.strategy))?;
        write_others(f, &self.others)
    }
}
