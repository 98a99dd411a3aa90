//! Saves the trained model: a model directory appears only after it has been opened again and has proved to be the
//! network that was trained.

mod model_card;
mod reload;
#[cfg(test)]
mod tests;
mod usable;
mod verify;

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use embtune_cli::Session;
use embtune_model::{ModelDir, NewWeights, save};
use embtune_onnx::{PORTABLE_FILE, portable_encoder};

use crate::checkpoint::TrainerState;
use crate::data::shards::Shards;
use crate::dev_set::DevSet;
use crate::training::config::TrainingArgs;
use crate::training::final_weights::FinalWeights;
use crate::training::learner::Learner;
use crate::training::schedule::Schedule;
use model_card::model_card;
pub(crate) use usable::UnusableWeights;

/// A model at the end of its training, with the values that are to be saved in place.
pub(crate) struct TrainedModel<'a, 'l> {
    pub(crate) out: &'a Path,
    /// Whether a model that exists there is replaced.
    pub(crate) overwrite: bool,
    /// The base model as the user named it.
    pub(crate) base: &'a str,
    pub(crate) ort_library: Option<&'a Path>,
    /// CPU threads of the verification.
    pub(crate) threads: usize,
    pub(crate) args: &'a TrainingArgs,
    pub(crate) learner: &'a Learner<'l>,
    pub(crate) shards: &'a Shards,
    pub(crate) dev: Option<&'a DevSet>,
    pub(crate) state: &'a TrainerState,
    pub(crate) weights: &'a FinalWeights,
    pub(crate) schedule: Schedule,
    pub(crate) session: &'a Session,
}

impl TrainedModel<'_, '_> {
    /// Writes the model directory.
    ///
    /// # Errors
    /// [`UnusableWeights`] if the weights are the base model's or not finite; a disk that fails; a directory that turns
    /// out not to be the network that was trained. In all these cases no directory appears.
    pub(crate) fn save(&self) -> anyhow::Result<()> {
        let Self { out, overwrite, base, learner, .. } = self;
        let model = learner.model;
        let mut weights = learner.parameters.to_weights()?;
        let adapter = learner.args.parameters.lora.as_ref().map(|lora| {
            let (merged, changes) = lora.merge(std::mem::take(&mut weights), &model.parameters());
            weights = merged;
            (lora, changes)
        });
        self.check_usable(&weights)?;
        let card = model_card(self)?;
        save(model, &weights, out, *overwrite, |folder| {
            if let Some((lora, changes)) = &adapter {
                lora.save_adapter(changes, base, &folder.join("adapter"))?;
            }
            write_files(folder, &card)?;
            self.verify_weights(folder, &weights)?;
            self.verify_vectors(folder)
        })
    }

    /// Reads every tensor back.
    fn verify_weights(&self, folder: &Path, weights: &NewWeights) -> anyhow::Result<()> {
        let written = ModelDir::open(folder)?.weights()?;
        for (name, values) in weights {
            let found =
                written.require(name)?.to_f32().map_err(|kind| anyhow::anyhow!("tensor \"{name}\" is {kind}"))?;
            let is_same =
                found.len() == values.len() && found.iter().zip(values).all(|(a, b)| a.to_bits() == b.to_bits());
            let out = self.out.display();
            anyhow::ensure!(is_same, "{out}: tensor \"{name}\" does not read back as it was written");
        }
        Ok(())
    }
}

/// Adds the ONNX graph and the model card.
fn write_files(folder: &Path, card: &str) -> anyhow::Result<()> {
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).with_context(|| name.to_owned());
    write(PORTABLE_FILE, &portable_encoder(&ModelDir::open(folder)?)?)?;
    write("README.md", card.as_bytes())
}
