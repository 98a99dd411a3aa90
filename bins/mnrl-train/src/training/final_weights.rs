//! The weights that are saved: the best on the dev set, possibly mixed with the base model's.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use embtune_cli::parse_share;
use embtune_metrics::Metric;
use embtune_torch::TorchError;
use embtune_torch::tch::Tensor;

use super::trainer::Trainer;
use crate::checkpoint::TrainerState;

/// `--merge-base`: the base model's share in the result, against forgetting (Wortsman et al. 2022; Xiao et al. 2023,
/// LM-Cocktail).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum MergeBase {
    /// This share.
    Share(f64),
    /// The one of [`CANDIDATES`] with the best score on the dev set.
    Auto,
}

/// The shares that `auto` tries; with more, the base model would dominate.
const CANDIDATES: [f64; 7] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6];

impl FromStr for MergeBase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" { Ok(Self::Auto) } else { parse_share(text).map(Self::Share) }
    }
}

/// Scores on the dev set.
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

/// The weights that are saved.
pub(crate) struct FinalWeights {
    /// In the layout of the trained values, f32 `[n]`.
    pub(crate) values: Tensor,
    pub(crate) scores: Option<DevScores>,
    /// Steps that the weights were trained for.
    pub(crate) step: u64,
    /// The base model's share in them, with `--merge-base`.
    pub(crate) base_share: Option<f64>,
    /// Whether the training has changed any weight, even if the dev set prefers the base model.
    pub(crate) has_moved: bool,
}

/// Chooses the weights to save, in process 0.
///
/// # Errors
/// If an evaluation fails, or the best weights cannot be read back.
pub(crate) fn final_weights(
    trainer: &mut Trainer<'_>,
    state: &TrainerState,
    merge_base: Option<MergeBase>,
) -> anyhow::Result<FinalWeights> {
    let mut values = trainer.learner.result();
    let has_moved = !trainer.learner.is_base()?;
    let best = state.evaluations.best();
    let step = best.map_or(state.step, |best| best.step);
    if let Some(main) = &trainer.main
        && best.is_some()
        && step != state.step
    {
        // The values in training stay as they are, because they may still have to be saved in a checkpoint.
        values = values.copy();
        main.checkpoints.restore_best(step, &values)?;
    }
    let base_score = state.evaluations.0.first().map(|first| first.score);
    let mut result = best.map(|best| best.score);
    let mut base_share = None;
    if let Some(wanted) = merge_base {
        let base = trainer.learner.base_values()?;
        let candidates = match wanted {
            MergeBase::Share(share) => vec![share],
            MergeBase::Auto => CANDIDATES.to_vec(),
        };
        let mut chosen = None;
        for share in candidates {
            let mixed = mix(&values, &base, share)?;
            let score = trainer.evaluate(&mixed)?;
            // Of equal scores the larger share of the base model wins, which forgets less.
            if chosen.as_ref().is_none_or(|(_, _, best)| score >= *best) {
                chosen = Some((share, mixed, score));
            }
        }
        if let Some((share, mixed, score)) = chosen {
            (base_share, values, result) = (Some(share), mixed, score);
        }
    }
    let metric = trainer.dev.metric;
    let scores = base_score.zip(result).map(|(base, result)| DevScores { metric, base, result });
    Ok(FinalWeights { values, scores, step, base_share, has_moved })
}

/// `(1 − share) · values + share · base`.
fn mix(values: &Tensor, base: &Tensor, share: f64) -> Result<Tensor, TorchError> {
    Ok(values.f_lerp(base, share)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_parsed() {
        assert_eq!("auto".parse(), Ok(MergeBase::Auto));
        assert_eq!("0.25".parse(), Ok(MergeBase::Share(0.25)));
        assert!("1.5".parse::<MergeBase>().is_err());
    }

    #[test]
    fn a_mixture_is_a_weighted_mean() {
        let (tuned, base) = (Tensor::from_slice(&[4.0_f32, 0.0]), Tensor::from_slice(&[0.0_f32, 2.0]));
        assert_eq!(Vec::<f32>::try_from(mix(&tuned, &base, 0.25).unwrap()).unwrap(), [3.0, 0.5]);
    }
}
