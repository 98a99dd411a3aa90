//! The progress of a training, which a checkpoint stores besides tensors.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::early_stopping::Evaluations;

/// Version of the layout of checkpoints. Version 3 stores settings under stable names, the loss among them.
const VERSION: u64 = 3;

/// How far a training has come; the default is its start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrainerState {
    /// Completed steps.
    pub(crate) step: u64,
    /// Epoch of the next batch, from 0.
    pub(crate) epoch: u32,
    /// Completed batches of that epoch.
    pub(crate) batch: usize,
    /// Tokens of all steps.
    pub(crate) tokens: u64,
    /// Seconds spent in steps, without interruptions.
    pub(crate) seconds: f64,
    pub(crate) loss: LossMeter,
    pub(crate) evaluations: Evaluations,
    /// Everything that decides the result, by the name that messages use: flags, the data, the base model.
    pub(crate) settings: Map<String, Value>,
}

/// The mean loss of the current epoch, and how many batches had anything to compare.
///
/// In a batch with nothing to compare (a single pair, or pairs that are all masked) the loss is 0 whatever the weights
/// are, so it says nothing about them and is not part of the mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LossMeter {
    /// Sum over the epoch's pairs so far, each with its batch's loss.
    sum: f64,
    /// Number of these pairs.
    pairs: u64,
    /// Batches of the whole training that had something to compare.
    pub(crate) compared: u64,
    /// Batches of the whole training that had nothing to compare.
    pub(crate) idle: u64,
}

/// A state as it is stored: with the version first, so that a later layout can be refused by its number.
#[derive(Serialize)]
struct Versioned<'a> {
    version: u64,
    #[serde(flatten)]
    state: &'a TrainerState,
}

impl TrainerState {
    pub(super) fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&Versioned { version: VERSION, state: self })
    }

    /// Reads the JSON of [`to_json`](Self::to_json). The error is a message about the first fault in it.
    pub(super) fn from_json(json: &str) -> Result<Self, String> {
        let value: Value =
            serde_json::from_str(json).map_err(|error| format!("not a checkpoint: metadata: {error}"))?;
        match value.get("version").and_then(Value::as_u64) {
            Some(VERSION) => {}
            Some(other) => {
                return Err(format!(
                    "a checkpoint of version {other}, but this program reads version {VERSION}\n\
                     hint: finish the training with the program that began it, or train from the start without --resume"
                ));
            }
            None => return Err("not a checkpoint: metadata has no version".into()),
        }
        serde_json::from_value(value).map_err(|error| format!("not a checkpoint: metadata: {error}"))
    }
}

impl LossMeter {
    /// Starts an epoch.
    pub(crate) fn begin_epoch(&mut self) {
        (self.sum, self.pairs) = (0.0, 0);
    }

    /// Adds a batch.
    pub(crate) fn add(&mut self, loss: f64, pairs: usize, compares: bool) {
        if compares {
            self.sum += loss * pairs as f64;
            self.pairs += pairs as u64;
            self.compared += 1;
        } else {
            self.idle += 1;
        }
    }

    /// The mean loss over the epoch's pairs; `None` if none was compared with anything.
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.pairs > 0).then(|| self.sum / self.pairs as f64)
    }

    /// The mean as messages show it.
    pub(crate) fn shown(&self) -> String {
        self.mean().map_or_else(|| "none".into(), |loss| format!("{loss:.4}"))
    }
}

/// The first setting that differs: its name, and both values as messages show them.
pub(crate) fn first_difference(
    then: &Map<String, Value>,
    now: &Map<String, Value>,
) -> Option<(String, String, String)> {
    let shown = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "not set".to_owned(),
        Some(value) => value.to_string(),
    };
    let names = now.keys().chain(then.keys().filter(|name| !now.contains_key(*name)));
    names
        .map(|name| (name, then.get(name), now.get(name)))
        .find(|(_, then, now)| then != now)
        .map(|(name, then, now)| (name.clone(), shown(then), shown(now)))
}
