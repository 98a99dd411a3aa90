//! What is saved: the best weights on the dev set, mixed with the base model if that is wanted.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use embtune_cli::parse_share;
use embtune_metrics::Metric;
use embtune_torch::TorchError;
use embtune_torch::tch::Tensor;

use crate::training::course::Course;
use crate::training::trainer::Trainer;

/// `--merge-base`: the base model's share in the result, against forgetting (Wortsman et al. 2022; Xiao et al. 2023,
/// LM-Cocktail).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum MergeBase {
    /// This.
    Share(f64),
    /// The one of [`CANDIDATES`] that the dev set likes best.
    Auto,
}

/// Tenths, up to where the base model has most of the say.
const CANDIDATES: [f64; 7] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6];

impl FromStr for MergeBase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" { Ok(Self::Auto) } else { parse_share(text).map(Self::Share) }
    }
}

/// Figures of the dev set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct DevScores {
    pub(crate) metric: Metric,
    pub(crate) base: f64,
    pub(crate) result: f64,
}

impl Display for DevScores {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:.4} (base {:.4})", self.metric, self.result, self.base)
    }
}

/// What was chosen to be saved.
pub(crate) struct Outcome {
    /// In place of those in training, f32 `[n]`.
    pub(crate) values: Tensor,
    pub(crate) score: Option<DevScores>,
    /// Steps that the saved weights were trained for.
    pub(crate) step: u64,
    /// The base model's share in them.
    pub(crate) base_share: f64,
    /// Whether the training has changed any weight, of which the dev set may have chosen none.
    pub(crate) has_moved: bool,
}

/// Chooses what is to be saved.
///
/// # Errors
/// What an evaluation says.
pub(crate) fn choose(trainer: &mut Trainer<'_>, course: &Course) -> anyhow::Result<Outcome> {
    let mut values = trainer.learner.result();
    let has_moved = !trainer.learner.is_base()?;
    let best = course.tracker.best();
    let step = best.map_or(course.step, |best| best.step);
    if let Some(lead) = &trainer.lead
        && best.is_some()
        && step != course.step
    {
        // What is in training stays as it is: it may yet have to be kept.
        values = values.copy();
        lead.checkpoints.restore_best(step, &values)?;
    }
    let base_score = course.tracker.history().first().map(|first| first.score);
    let mut result = best.map(|best| best.score);
    let mut base_share = 0.0;
    if let Some(wanted) = trainer.cli.optimizer.merge_base {
        let base = trainer.learner.base_values()?;
        let candidates = match wanted {
            MergeBase::Share(share) => vec![share],
            MergeBase::Auto => CANDIDATES.to_vec(),
        };
        let mut chosen = None;
        for share in candidates {
            let mixed = mix(&values, &base, share)?;
            let score = trainer.evaluate(&mixed)?;
            // Of equals, the one with more of the base model, which forgets less.
            if chosen.as_ref().is_none_or(|(_, _, best)| score >= *best) {
                chosen = Some((share, mixed, score));
            }
        }
        if let Some((share, mixed, score)) = chosen {
            (base_share, values, result) = (share, mixed, score);
        }
    }
    let metric = trainer.cli.dev.metric;
    let score = base_score.zip(result).map(|(base, result)| DevScores { metric, base, result });
    Ok(Outcome { values, score, step, base_share, has_moved })
}

/// `(1 − share) · values + share · base`.
fn mix(values: &Tensor, base: &Tensor, share: f64) -> Result<Tensor, TorchError> {
    Ok(values.f_lerp(base, share)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read() {
        assert_eq!("auto".parse(), Ok(MergeBase::Auto));
        assert_eq!("0.25".parse(), Ok(MergeBase::Share(0.25)));
        assert!("1.5".parse::<MergeBase>().is_err());
    }

    #[test]
    fn a_mixture_lies_between() {
        let (tuned, base) = (Tensor::from_slice(&[4.0_f32, 0.0]), Tensor::from_slice(&[0.0_f32, 2.0]));
        assert_eq!(Vec::<f32>::try_from(mix(&tuned, &base, 0.25).unwrap()).unwrap(), [3.0, 0.5]);
    }
}
