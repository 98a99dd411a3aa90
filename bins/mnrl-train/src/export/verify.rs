//! Verifies that a written directory is the network that was trained.

use std::path::Path;

use anyhow::{Context as _, ensure};
use embtune_torch::TorchError;
use embtune_torch::tch::{Device, Kind, Tensor};

use super::TrainedModel;
use super::reload::ReloadedModel;
use super::usable::diverged;
use crate::dev_set::Texts;
use crate::training::learner::Learner;

/// Tokens of the longest row of the shards that is compared, because attention's memory grows with their square.
const MAX_TOKENS: usize = 2048;

/// The largest distance of two vectors of one text, relative to their length, if both were computed in fp32. Other
/// kernels and another order of sums cause about 1e-6; a different layer, prompt or pooling causes 0.1.
const TOLERANCE: f64 = 5e-3;

/// The same for a vector computed in bf16, whose 8 bits cause about 1e-2, and more in deep networks.
const TOLERANCE_BF16: f64 = 0.3;

/// The largest difference of a score on the dev set from the one that chose the weights, besides one query whose
/// documents with equal scores come in another order.
const SCORE_TOLERANCE: f64 = 1e-3;

/// The same if the score was computed in bf16.
const SCORE_TOLERANCE_BF16: f64 = 0.02;

/// The most minutes that a training on a GPU spends on evaluating the dev set on the CPU.
const CPU_MINUTES: usize = 5;

impl TrainedModel<'_, '_> {
    /// Opens the directory again with the code that `embed` uses, and compares it with the network: the tokens of some
    /// texts of the dev set, the vectors of these and of some rows of the shards, and the score on the dev set.
    pub(super) fn verify_vectors(&self, folder: &Path) -> anyhow::Result<()> {
        let (library, session) = (self.ort_library, self.session);
        // Each thread has its own copy of the weights: for a few rows one thread is enough.
        let threads = if self.dev.is_some() { self.threads } else { 1 };
        let mut reloaded = ReloadedModel::open(folder, threads, library, |warning| session.warn(warning))?;
        let named = || self.out.display().to_string();
        for (name, tokens) in self.shards.samples(MAX_TOKENS)? {
            session.interrupt().check()?;
            compare(self.learner, &mut reloaded, &name, &tokens).with_context(named)?;
        }
        let Some(dev) = self.dev else { return Ok(()) };
        for texts in [&dev.queries, &dev.corpus] {
            session.interrupt().check()?;
            compare_texts(self.learner, &mut reloaded, texts).with_context(named)?;
        }
        self.compare_scores(&mut reloaded)
    }

    fn compare_scores(&self, reloaded: &mut ReloadedModel) -> anyhow::Result<()> {
        let (Some(dev), Some(expected)) = (self.dev, self.weights.scores) else { return Ok(()) };
        let (out, session) = (self.out.display(), self.session);
        let tokens = dev.queries.tokens() + dev.corpus.tokens();
        if self.learner.device.is_cuda() && tokens * size_of::<u32>() > CPU_MINUTES * reloaded.bytes_per_minute() {
            session.notice(format!(
                "the saved model was verified with {} of the dev set's {} texts: all of them would take the CPU more than {CPU_MINUTES} minutes",
                dev.queries.sample.len() + dev.corpus.sample.len(),
                dev.queries.len() + dev.corpus.len()
            ));
            return Ok(());
        }
        let found = dev.evaluate(&mut |rows| {
            session.interrupt().check()?;
            reloaded.vectors(rows)
        })?;
        let of_precision = if self.learner.kind() == Kind::Float { SCORE_TOLERANCE } else { SCORE_TOLERANCE_BF16 };
        let tolerance = of_precision + 1.0 / dev.queries.len() as f64;
        let metric = dev.metric;
        ensure!(
            (found.mean - expected.result).abs() <= tolerance,
            "{out}: opened again, it has {metric} {:.4} on the dev set, but the network that was trained has {:.4}",
            found.mean,
            expected.result
        );
        session.info(format!("{out}: opened again, it has {metric} {:.4} on the dev set", found.mean));
        Ok(())
    }
}

/// Compares the tokens of some texts, with the directory's own prompts, and their vectors.
pub(super) fn compare_texts(learner: &Learner<'_>, reloaded: &mut ReloadedModel, texts: &Texts) -> anyhow::Result<()> {
    for sample in &texts.sample {
        let name = format!("\"{}\" of {}", sample.id, texts.name);
        let tokens = reloaded.tokenize(&sample.text, texts.role)?;
        ensure!(tokens == sample.tokens, "opened again, it turns {name} into different tokens than in the training");
        compare(learner, reloaded, &name, &tokens)?;
    }
    Ok(())
}

/// Compares the vectors of a row: those of the network in fp32, which the directory must reproduce, and those in the
/// type of the training, whose casts of the weights might be outdated.
pub(super) fn compare(
    learner: &Learner<'_>,
    reloaded: &mut ReloadedModel,
    name: &str,
    tokens: &[u32],
) -> anyhow::Result<()> {
    let rows = [tokens.to_vec()];
    // First in the type of the training, because a pass in another type would renew the casts.
    let mut expected = vec![(learner.kind(), to_vec(&learner.encode(&rows)?)?)];
    if learner.kind() != Kind::Float {
        expected.push((Kind::Float, to_vec(&learner.encode_as(Kind::Float, &rows)?)?));
    }
    if expected.iter().any(|(_, vector)| vector.iter().any(|x| !x.is_finite())) {
        return Err(diverged(&format!("the vector of {name} holds NaN or infinity")).into());
    }
    let found = to_vec(&reloaded.vectors(&rows)?)?;
    for (kind, vector) in expected {
        let distance = distance(&vector, &found);
        ensure!(
            distance <= if kind == Kind::Float { TOLERANCE } else { TOLERANCE_BF16 },
            "opened again, it gives {name} a different vector than the network that was trained, in {kind:?}: they differ by {distance:.1e} of their length"
        );
    }
    Ok(())
}

/// Length of the difference, relative to the longer vector.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let length = |vector: &mut dyn Iterator<Item = f64>| vector.map(|x| x * x).sum::<f64>().sqrt();
    let wide = |vector: &[f32]| length(&mut vector.iter().map(|x| f64::from(*x)));
    let difference = length(&mut a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    if a.len() == b.len() { difference / wide(a).max(wide(b)).max(f64::MIN_POSITIVE) } else { f64::INFINITY }
}

fn to_vec(vectors: &Tensor) -> Result<Vec<f32>, TorchError> {
    Ok(Vec::try_from(vectors.f_to_device(Device::Cpu)?.f_flatten(0, 1)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_relative() {
        assert_eq!(distance(&[3.0, 4.0], &[3.0, 4.0]), 0.0);
        assert_eq!(distance(&[3.0, 4.0], &[0.0, 0.0]), 1.0);
        assert_eq!(distance(&[300.0, 400.0], &[303.0, 404.0]), 5.0 / 505.0);
        assert_eq!(distance(&[0.0], &[0.0]), 0.0);
        assert!(distance(&[1.0], &[1.0, 0.0]) > 1.0);
        assert!(distance(&[f32::NAN], &[1.0]).is_nan(), "which is not below any tolerance");
    }
}
