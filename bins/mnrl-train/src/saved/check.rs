//! Whether a written directory is the network that was trained.

use std::path::Path;

use anyhow::{Context as _, ensure};
use embtune_torch::TorchError;
use embtune_torch::tch::{Device, Kind, Tensor};

use super::Trained;
use super::learnt::diverged;
use super::reload::Reloaded;
use crate::training::dev::Texts;
use crate::training::learner::Learner;

/// Tokens of the longest row of the shards that is compared: attention's memory grows with their square.
const MOST_TOKENS: usize = 2048;

/// How far two vectors of one text may be apart, as a share of their length, when both were computed in fp32. Other
/// kernels and another order of the sums make about 1e-6 of it; a layer, prompt or pooling that differs makes 0.1.
const TOLERANCE: f64 = 5e-3;

/// The same of a vector that was computed in bf16, whose 8 bits make about 1e-2, and more in deep networks.
const TOLERANCE_BF16: f64 = 0.3;

/// How far a figure of the dev set may be from the one that chose the weights, beside one query whose documents have
/// equal scores in another order.
const FIGURE_TOLERANCE: f64 = 1e-3;

/// The same where the figure was computed in bf16.
const FIGURE_TOLERANCE_BF16: f64 = 0.02;

/// Minutes of a CPU that a training on a GPU spends on the dev set's figure.
const CPU_MINUTES: usize = 5;

impl Trained<'_, '_> {
    /// Opens the directory again by the code that `embed` uses, and compares it with the network: how it tokenises some
    /// texts of the dev set, the vectors of these and of some rows of the shards, and the dev set's figure.
    pub(super) fn check_vectors(&self, folder: &Path) -> anyhow::Result<()> {
        let (library, session) = (self.cli.ort.ort_library.as_deref(), self.session);
        // Each thread has its own copy of the weights: for a few rows one will do.
        let threads = if self.dev.is_some() { self.threads } else { 1 };
        let mut reloaded = Reloaded::open(folder, threads, library, |warning| session.warn(warning))?;
        let named = || self.cli.out.display().to_string();
        for (name, tokens) in self.shards.samples(MOST_TOKENS)? {
            session.interrupt().check()?;
            compare(self.learner, &mut reloaded, &name, &tokens).with_context(named)?;
        }
        let Some(dev) = self.dev else { return Ok(()) };
        for texts in [&dev.queries, &dev.corpus] {
            session.interrupt().check()?;
            compare_texts(self.learner, &mut reloaded, texts).with_context(named)?;
        }
        self.compare_figures(&mut reloaded)
    }

    fn compare_figures(&self, reloaded: &mut Reloaded) -> anyhow::Result<()> {
        let (Some(dev), Some(expected)) = (self.dev, self.outcome.score) else { return Ok(()) };
        let (out, session) = (self.cli.out.display(), self.session);
        let tokens = dev.queries.tokens() + dev.corpus.tokens();
        if self.learner.device.is_cuda() && tokens * size_of::<u32>() > CPU_MINUTES * reloaded.bytes_a_minute() {
            session.notice(format!(
                "{} of the dev set's {} texts were compared in the saved model: all of them would take the CPU more than {CPU_MINUTES} minutes",
                dev.queries.sample().len() + dev.corpus.sample().len(),
                dev.queries.len() + dev.corpus.len()
            ));
            return Ok(());
        }
        let found = dev.evaluate(&mut |rows| {
            session.interrupt().check()?;
            reloaded.vectors(rows)
        })?;
        let of_kind = if self.learner.kind() == Kind::Float { FIGURE_TOLERANCE } else { FIGURE_TOLERANCE_BF16 };
        let tolerance = of_kind + 1.0 / dev.queries.len() as f64;
        let metric = dev.metric;
        ensure!(
            (found.mean - expected.result).abs() <= tolerance,
            "{out}: opened again, it has {metric} {:.4} on the dev set, and the network that was trained has {:.4}",
            found.mean,
            expected.result
        );
        session.info(format!("{out}: opened again, it has {metric} {:.4} on the dev set", found.mean));
        Ok(())
    }
}

/// Compares how texts are tokenised, with the directory's own prompts, and their vectors.
pub(super) fn compare_texts(learner: &Learner<'_>, reloaded: &mut Reloaded, texts: &Texts) -> anyhow::Result<()> {
    for sample in texts.sample() {
        let name = format!("\"{}\" of {}", sample.id, texts.name);
        let tokens = reloaded.tokenize(&sample.text, texts.role())?;
        ensure!(tokens == sample.tokens, "opened again, it turns {name} into other tokens than it was measured with");
        compare(learner, reloaded, &name, &tokens)?;
    }
    Ok(())
}

/// Compares the vectors of a row: those of the network in fp32, which the directory has to give, and in the type that it
/// was trained in, whose copies of the weights might be older than the weights.
pub(super) fn compare(
    learner: &Learner<'_>,
    reloaded: &mut Reloaded,
    name: &str,
    tokens: &[u32],
) -> anyhow::Result<()> {
    let rows = [tokens.to_vec()];
    // First in the type of the training: a pass in another one would make the copies again.
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
            "opened again, it gives {name} another vector than the network that was trained, in {kind:?}: their difference is {distance:.1e} of their length"
        );
    }
    Ok(())
}

/// Length of the difference, as a share of the longer of both.
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
    fn distances_are_shares_of_the_length() {
        assert_eq!(distance(&[3.0, 4.0], &[3.0, 4.0]), 0.0);
        assert_eq!(distance(&[3.0, 4.0], &[0.0, 0.0]), 1.0);
        assert_eq!(distance(&[300.0, 400.0], &[303.0, 404.0]), 5.0 / 505.0);
        assert_eq!(distance(&[0.0], &[0.0]), 0.0);
        assert!(distance(&[1.0], &[1.0, 0.0]) > 1.0);
        assert!(distance(&[f32::NAN], &[1.0]).is_nan(), "which is not below a tolerance");
    }
}
