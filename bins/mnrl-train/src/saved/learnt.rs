//! Whether the training has given anything that is worth saving.

use embtune_model::NewWeights;

use super::Trained;

/// The weights are the base model's, though they were to be trained, or the training has diverged.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unusable(pub(super) String);

impl Trained<'_, '_> {
    /// Refuses weights that are no numbers.
    pub(super) fn check_finite(&self, weights: &NewWeights) -> anyhow::Result<()> {
        for (name, values) in weights {
            if values.iter().any(|x| !x.is_finite()) {
                return Err(diverged(&format!("tensor \"{name}\" holds NaN or infinity")).into());
            }
        }
        Ok(())
    }

    /// Refuses weights that are the base model's. They may be when no learning rate was asked for, and when the base
    /// model did best on the dev set; both are said.
    pub(super) fn check_learnt(&self, weights: &NewWeights) -> anyhow::Result<()> {
        let Self { cli, course, outcome, session, .. } = self;
        if cli.optimizer.learning_rate == 0.0 {
            session.warn("--learning-rate is 0: the saved model has the base model's weights");
            return Ok(());
        }
        let base = self.learner.model.weights()?;
        for (name, values) in weights {
            let of_base =
                base.require(name)?.to_f32().map_err(|kind| anyhow::anyhow!("tensor \"{name}\" is {kind}"))?;
            if *of_base != **values {
                return Ok(());
            }
        }
        if let Some(score) = outcome.score.filter(|_| outcome.has_moved && outcome.step == 0) {
            session.warn(format!(
                "no evaluation gave more than the base model's {} {:.4}: the saved model has the base model's weights\nhint: another --learning-rate, other pairs, or a larger dev set",
                score.metric, score.base
            ));
            return Ok(());
        }
        let steps = course.step;
        let why = if course.tally.compared == 0 {
            cli.loss.nothing_compared().to_owned()
        } else if (0..steps).all(|step| self.schedule.rate(step) == 0.0) {
            format!("the learning rate was 0 in all of the {steps} steps\nhint: lower --warmup-steps")
        } else {
            let less = [("--ema", cli.optimizer.ema.is_some()), ("--merge-base", cli.optimizer.merge_base.is_some())];
            let less: String =
                less.iter().filter(|(_, given)| *given).map(|(flag, _)| format!(", or lower {flag}")).collect();
            format!("{steps} steps were too small to change a weight\nhint: raise --learning-rate{less}")
        };
        Err(Unusable(format!("the weights are still the base model's, and are not saved: {why}")).into())
    }
}

/// What is said of a training whose last step has spoilt it: no later loss shows it.
pub(super) fn diverged(what: &str) -> Unusable {
    Unusable(format!(
        "{what}: the training has diverged, nothing is saved\nhint: lower --learning-rate or --weight-decay, or raise --warmup-steps"
    ))
}
