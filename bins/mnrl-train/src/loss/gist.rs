//! GISTEmbedLoss.

use std::ops::Range;

use anyhow::ensure;
use clap::{Args, ValueEnum};
use embtune_cli::value_name;
use embtune_torch::TorchError;
use embtune_torch::tch::Tensor;
use serde::Serialize;
use serde_json::{Value, json};

use super::direction::{described, names};
use super::shared_args::SharedArgs;
use super::{Chunk, Direction, Loss, Needs, Targets};

/// Multiple negatives ranking without the candidates that a guide model finds about as close to the row as the positive
/// is to its anchor: `mean_i( log Zᵢ − s · cos(aᵢ, dᵢ) )`.
///
/// `Z` sums `exp(s · cos)` over the candidates of all directions, in d2d over positives only. The guide's vectors are
/// in the shard. Solatorio 2024; sentence-transformers `losses/gist_embed.py`, and `losses/cached_gist_embed.py` for
/// more than one negative.
pub(crate) struct Gist {
    /// `s`, the inverse of the temperature.
    scale: f64,
    strategy: MarginStrategy,
    margin: f64,
    /// [`Direction::QueryToDocument`] first; [`Direction::DocumentToQuery`] is not allowed.
    directions: Vec<Direction>,
}

/// The flags of its own.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct GistArgs {
    /// Highest guide cosine of gist's negatives, relative to that of anchor and positive [default: absolute]
    #[arg(long, value_name = "HOW", hide_short_help = true)]
    pub(super) margin_strategy: Option<MarginStrategy>,
}

/// The highest guide cosine that a negative may have, given that of anchor and positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MarginStrategy {
    /// That cosine minus the margin
    Absolute,
    /// That cosine minus the margin as a share of it
    Relative,
}

impl Loss for Gist {
    fn flags(&self) -> &'static [&'static str] {
        &["--scale", "--directions", "--margin", "--margin-strategy", "--no-mask"]
    }

    fn values(&self) -> Value {
        let Self { scale, strategy, margin, directions } = self;
        json!({"--scale": scale, "--margin-strategy": strategy, "--margin": margin, "--directions": names(directions)})
    }

    fn description(&self) -> String {
        let Self { scale, margin, .. } = self;
        let (strategy, directions) = (value_name(self.strategy), described(&self.directions));
        format!("GISTEmbedLoss, scale {scale}, {strategy} margin {margin}{directions}")
    }

    fn needs(&self) -> Needs {
        Needs { guide: true, ..Needs::default() }
    }

    fn chunk(&self, chunk: Chunk<'_>) -> Result<Tensor, TorchError> {
        let Chunk { targets, rows, .. } = chunk.clone();
        let logits = |direction| products(direction, chunk.clone(), self.scale);
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
fn products(direction: Direction, chunk: Chunk<'_>, factor: f64) -> Result<Tensor, TorchError> {
    let positives = chunk.documents.f_narrow(0, 0, chunk.targets.pairs as i64)?;
    let documents = if direction == Direction::DocumentToDocument { &positives } else { chunk.documents };
    direction.products(&Chunk { documents, ..chunk }, factor)
}

impl Gist {
    /// # Errors
    /// Directions that the loss does not have.
    pub(super) fn new(shared: &SharedArgs, args: &GistArgs) -> anyhow::Result<Self> {
        let default = [Direction::QueryToDocument, Direction::QueryToQuery, Direction::DocumentToDocument];
        let directions = shared.directions(&default)?;
        ensure!(!directions.contains(&Direction::DocumentToQuery), "--loss gist has no direction d2q");
        Ok(Self {
            scale: shared.scale.unwrap_or(100.0),
            strategy: args.margin_strategy.unwrap_or(MarginStrategy::Absolute),
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
        let chunk = Chunk { anchors: &guide.anchors, documents: &guide.documents, targets, rows: rows.clone() };
        let guided = |direction| products(direction, chunk.clone(), 1.0);
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
