//! What a training leaves: a model directory, which appears when it has been opened again and is the network that was
//! trained.

mod check;
mod learnt;
mod reload;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use embtune_cli::Session;
use embtune_model::{ModelDir, NewWeights, save};
use embtune_onnx::{PORTABLE_FILE, portable_encoder};

use crate::cli::Cli;
use crate::data::shards::Shards;
use crate::report::card::card;
use crate::training::course::Course;
use crate::training::dev::DevSet;
use crate::training::learner::Learner;
use crate::training::schedule::Schedule;
use crate::weights::merge::Outcome;
pub(crate) use learnt::Unusable;

/// A network at the end of its training, with the values that are to be saved in place.
pub(crate) struct Trained<'a, 'l> {
    pub(crate) cli: &'a Cli,
    pub(crate) learner: &'a Learner<'l>,
    pub(crate) shards: &'a Shards,
    pub(crate) dev: Option<&'a DevSet>,
    pub(crate) course: &'a Course,
    pub(crate) outcome: &'a Outcome,
    pub(crate) schedule: Schedule,
    /// CPU threads.
    pub(crate) threads: usize,
    pub(crate) session: &'a Session,
}

impl Trained<'_, '_> {
    /// Writes the model directory of a base model with this fingerprint.
    ///
    /// # Errors
    /// [`Unusable`] when the weights are the base model's or no numbers; a disk that refuses; a directory that, opened again, is not
    /// the network that was trained. Then no directory appears.
    pub(crate) fn save(&self, fingerprint: &str) -> anyhow::Result<()> {
        let Self { cli, learner, .. } = self;
        let model = learner.model;
        let mut weights = learner.weights()?;
        let adapter = cli.optimizer.lora.as_ref().map(|lora| {
            let (merged, changes) = lora.merge(std::mem::take(&mut weights), &model.parameters());
            weights = merged;
            (lora, changes)
        });
        self.check_finite(&weights)?;
        self.check_learnt(&weights)?;
        let card = card(cli, fingerprint, model, self.shards, self.course, self.outcome)?;
        save(model, &weights, &cli.out, cli.overwrite, |folder| {
            if let Some((lora, changes)) = &adapter {
                lora.save_adapter(changes, &cli.model.model, &folder.join("adapter"))?;
            }
            finish(folder, &card)?;
            self.check_weights(folder, &weights)?;
            self.check_vectors(folder)
        })
    }

    /// Reads every tensor back.
    fn check_weights(&self, folder: &Path, weights: &NewWeights) -> anyhow::Result<()> {
        let written = ModelDir::open(folder)?.weights()?;
        for (name, values) in weights {
            let found =
                written.require(name)?.to_f32().map_err(|kind| anyhow::anyhow!("tensor \"{name}\" is {kind}"))?;
            let is_same =
                found.len() == values.len() && found.iter().zip(values).all(|(a, b)| a.to_bits() == b.to_bits());
            anyhow::ensure!(
                is_same,
                "{}: tensor \"{name}\" does not read back as it was written",
                self.cli.out.display()
            );
        }
        Ok(())
    }
}

/// Adds the ONNX graph and the card to the directory before it appears.
fn finish(folder: &Path, card: &str) -> anyhow::Result<()> {
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).with_context(|| name.to_owned());
    write(PORTABLE_FILE, &portable_encoder(&ModelDir::open(folder)?)?)?;
    write("README.md", card.as_bytes())
}
