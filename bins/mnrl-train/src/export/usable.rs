//! Refuses weights that are not worth saving.

use embtune_model::NewWeights;

use super::TrainedModel;

/// The weights are still the base model's although they were to be trained, or the training has diverged.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UnusableWeights(String);

impl TrainedModel<'_, '_> {
    /// Refuses weights that are not finite, and weights that are still the base model's. The latter are accepted if the
    /// learning rate is 0, or if the base model did best on the dev set; both give a warning.
    pub(super) fn check_usable(&self, weights: &NewWeights) -> anyhow::Result<()> {
        for (name, values) in weights {
            if values.iter().any(|x| !x.is_finite()) {
                return Err(diverged(&format!("tensor \"{name}\" holds NaN or infinity")).into());
            }
        }
        let Self { args, state, weights: chosen, session, .. } = self;
        if args.schedule.learning_rate == 0.0 {
            session.warn("--learning-rate is 0: the saved model has the base model's weights");
            return Ok(());
        }
        if !self.are_base_weights(weights)? {
            return Ok(());
        }
        if let Some(scores) = chosen.scores.filter(|_| chosen.has_moved && chosen.step == 0) {
            session.warn(format!(
                "no evaluation was better than the base model's {} {:.4}: the saved model has the base model's weights\nhint: try another --learning-rate, other pairs, or a larger dev set",
                scores.metric, scores.base
            ));
            return Ok(());
        }
        let steps = match state.step {
            1 => "1 step".to_owned(),
            steps => format!("{steps} steps"),
        };
        let why = if state.loss.compared == 0 {
            self.learner.objective.loss.nothing_compared().to_owned()
        } else if (0..state.step).all(|step| self.schedule.rate(step) == 0.0) {
            format!("the learning rate was 0 in all of the training ({steps})\nhint: lower --warmup-steps")
        } else {
            let flags = [("--ema", args.learner.ema.is_some()), ("--merge-base", chosen.base_share.is_some())];
            let lower: String =
                flags.iter().filter(|(_, given)| *given).map(|(flag, _)| format!(", or lower {flag}")).collect();
            format!("{steps} did not change a weight\nhint: raise --learning-rate{lower}")
        };
        Err(UnusableWeights(format!("the weights are still the base model's, and are not saved: {why}")).into())
    }

    fn are_base_weights(&self, weights: &NewWeights) -> anyhow::Result<bool> {
        let base = self.learner.model.weights()?;
        for (name, values) in weights {
            let of_base =
                base.require(name)?.to_f32().map_err(|kind| anyhow::anyhow!("tensor \"{name}\" is {kind}"))?;
            if *of_base != **values {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The error of a training whose last step has destroyed the weights, which no later loss could show.
pub(super) fn diverged(what: &str) -> UnusableWeights {
    UnusableWeights(format!(
        "{what}: the training has diverged, nothing is saved\nhint: lower --learning-rate or --weight-decay, or raise --warmup-steps"
    ))
}
