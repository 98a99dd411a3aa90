//! GISTEmbedLoss.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;

use clap::ValueEnum;
use embtune_cli::value_name;
use embtune_torch::TorchError;
use embtune_torch::tch::Tensor;

use super::direction::write_others;
use super::{Direction, Loss, Targets};

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
        let logits =
            |direction| products(direction, anchors, documents, targets.pairs, rows.clone(), 1.0 / self.temperature);
        let q2d = logits(Direction::QueryToDocument)?;
        let positives = q2d.f_diagonal(rows.start as i64, 0, 1)?;
        let mut log_sums = Vec::new();
        for (direction, excluded) in self.excluded(targets, rows.clone())? {
            let logits = if direction == Direction::QueryToDocument { q2d.shallow_clone() } else { logits(direction)? };
            log_sums.push(logits.f_masked_fill(&excluded, f64::NEG_INFINITY)?.f_logsumexp([1], false)?);
        }
        let log_z = Tensor::f_stack(&log_sums, 1)?.f_logsumexp([1], false)?;
        Ok(log_z.f_sub(&positives)?.f_sum(None)?.f_div_scalar(targets.pairs as f64)?)
    }

    fn on_unit_vectors(&self) -> bool {
        true
    }

    fn masked(&self, targets: &Targets) -> u64 {
        targets.false_negatives.count()
    }

    fn compares(&self, targets: &Targets) -> Result<bool, TorchError> {
        // In parts, because the first nearly always has a candidate.
        for start in (0..targets.pairs).step_by(COMPARED_ROWS) {
            let rows = start..targets.pairs.min(start + COMPARED_ROWS);
            for (direction, excluded) in self.excluded(targets, rows)? {
                if direction == Direction::QueryToDocument {
                    let _ = excluded.f_diagonal(start as i64, 0, 1)?.f_fill_(1)?;
                }
                if excluded.f_logical_not()?.f_any()?.f_int64_value(&[])? != 0 {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// Rows that [`Gist::compares`] looks at together.
const COMPARED_ROWS: usize = 64;

/// Dot products of some pairs' rows with the candidates of a direction, times a factor.
fn products(
    direction: Direction,
    anchors: &Tensor,
    documents: &Tensor,
    pairs: usize,
    rows: Range<usize>,
    factor: f64,
) -> Result<Tensor, TorchError> {
    let positives = documents.f_narrow(0, 0, pairs as i64)?;
    let candidates = if direction == Direction::DocumentToDocument { &positives } else { documents };
    direction.products(anchors, candidates, rows, factor)
}

impl Gist {
    /// What is no candidate of some pairs' rows in each direction, q2d first: bool `[rows, candidates]`. It is what the
    /// guide finds too close, and what [`Targets::excluded`] says.
    fn excluded(&self, targets: &Targets, rows: Range<usize>) -> Result<Vec<(Direction, Tensor)>, TorchError> {
        let guide = targets
            .guide
            .as_ref()
            .ok_or_else(|| TorchError::new("the loss reads guide vectors, the batch has none"))?;
        let own = |x: &Tensor| x.f_diagonal(rows.start as i64, 0, 1);
        let guided =
            |direction| products(direction, &guide.anchors, &guide.documents, targets.pairs, rows.clone(), 1.0);
        let q2d = guided(Direction::QueryToDocument)?;
        let highest = self.highest(&own(&q2d)?)?;
        let excluded = |direction, guided: Tensor| {
            let too_close = guided.f_gt_tensor(&highest)?;
            if direction == Direction::QueryToDocument {
                let _ = own(&too_close)?.f_fill_(0)?;
            }
            let columns = guided.size()[1] as usize;
            let excluded = match targets.excluded(direction, rows.clone(), columns, guided.device())? {
                Some(others) => too_close.f_logical_or(&others)?,
                None => too_close,
            };
            Ok::<_, TorchError>((direction, excluded))
        };
        let mut all = vec![excluded(Direction::QueryToDocument, q2d)?];
        for &direction in &self.others {
            all.push(excluded(direction, guided(direction)?)?);
        }
        Ok(all)
    }

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
