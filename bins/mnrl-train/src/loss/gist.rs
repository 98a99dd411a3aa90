//! GISTEmbedLoss.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;

use anyhow::ensure;
use clap::{Args, ValueEnum};
use embtune_cli::value_name;
use embtune_torch::TorchError;
use embtune_torch::tch::Tensor;
use serde::{Deserialize, Serialize};

use super::direction::write_directions;
use super::shared_args::{SharedArgs, parse_positive};
use super::{Direction, Loss, Needs, Targets};

/// Multiple negatives ranking without the candidates that a guide model finds about as close to the row as the positive
/// is to its anchor: `mean_i( log Zᵢ − cos(aᵢ, dᵢ) / T )`.
///
/// `Z` sums `exp(cos / T)` over the candidates of all directions, in d2d over positives only. The guide's vectors are in
/// the shard. Solatorio 2024; sentence-transformers `losses/gist_embed.py`, and `losses/cached_gist_embed.py` for more
/// than one negative.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gist {
    /// `T`
    #[serde(rename = "--temperature")]
    temperature: f64,
    #[serde(rename = "--margin-strategy")]
    strategy: MarginStrategy,
    #[serde(rename = "--margin")]
    margin: f64,
    /// [`Direction::QueryToDocument`] first; [`Direction::DocumentToQuery`] is not allowed.
    #[serde(rename = "--directions")]
    directions: Vec<Direction>,
}

/// The flags that only this loss has.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct GistArgs {
    /// Divisor of gist's cosines [default: 0.01]
    #[arg(long, value_name = "DIVISOR", value_parser = parse_positive, hide_short_help = true)]
    pub(super) temperature: Option<f64>,

    /// Highest guide cosine of gist's negatives, relative to that of anchor and positive [default: absolute]
    #[arg(long, value_name = "HOW", hide_short_help = true)]
    pub(super) margin_strategy: Option<MarginStrategy>,
}

/// The highest guide cosine that a negative may have, given that of anchor and positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MarginStrategy {
    /// That cosine minus the margin
    Absolute,
    /// That cosine minus the margin as a share of it
    Relative,
}

impl Loss for Gist {
    fn needs(&self) -> Needs {
        Needs { guide: true, ..Needs::default() }
    }

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
        // Some rows at a time, because nearly always the first ones have a candidate.
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
    pub(super) const FLAGS: &[&str] = &["--directions", "--margin", "--temperature", "--margin-strategy", "--no-mask"];

    /// # Errors
    /// Directions that the loss does not have.
    pub(super) fn new(shared: &SharedArgs, own: &GistArgs) -> anyhow::Result<Self> {
        let default = [Direction::QueryToDocument, Direction::QueryToQuery, Direction::DocumentToDocument];
        let directions = shared.directions(&default)?;
        ensure!(!directions.contains(&Direction::DocumentToQuery), "--loss gist has no direction d2q");
        Ok(Self {
            temperature: own.temperature.unwrap_or(0.01),
            strategy: own.margin_strategy.unwrap_or(MarginStrategy::Absolute),
            margin: shared.margin.unwrap_or(0.0),
            directions,
        })
    }

    /// The candidates that are excluded for some pairs' rows in each direction, q2d first: bool `[rows, candidates]`.
    /// These are the ones that the guide finds too close, and those of [`Targets::excluded`].
    fn excluded(&self, targets: &Targets, rows: Range<usize>) -> Result<Vec<(Direction, Tensor)>, TorchError> {
        let guide = targets
            .guide
            .as_ref()
            .ok_or_else(|| TorchError::new("the loss needs guide vectors, but the batch has none"))?;
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
        for &direction in self.directions.iter().skip(1) {
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
        write_directions(f, &self.directions)
    }
}
