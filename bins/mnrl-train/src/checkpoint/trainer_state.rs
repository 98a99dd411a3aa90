//! The progress of a training, which a checkpoint stores besides tensors.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::early_stopping::Evaluations;

/// Version of the layout of checkpoints. Version 3 stores settings under stable names, the loss among them.
const VERSION: u64 = 3;

/// How far a training has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// The start of a training.
    pub(crate) fn new(settings: Map<String, Value>) -> Self {
        Self {
            step: 0,
            epoch: 0,
            batch: 0,
            tokens: 0,
            seconds: 0.0,
            loss: LossMeter::default(),
            evaluations: Evaluations::default(),
            settings,
        }
    }

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

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::super::Evaluation;
    use super::*;

    pub(in super::super) fn state(step: u64) -> TrainerState {
        // A sum that must not lose a digit.
        let mut loss = LossMeter::default();
        [1.0 / 3.0, 5e-324, 1.1e300].into_iter().for_each(|batch| loss.add(batch, 3, true));
        let settings = json!({"--learning-rate": 2e-5, "data": "xxh3:1", "--seed": 42});
        let evaluations = vec![Evaluation { step: 5, score: 0.7 }, Evaluation { step: 10, score: 2.0 / 3.0 }];
        TrainerState {
            step,
            epoch: 1,
            batch: 3,
            tokens: 12_345,
            seconds: 0.1 + 0.2,
            loss,
            evaluations: Evaluations(evaluations),
            settings: settings.as_object().unwrap().clone(),
        }
    }

    #[test]
    fn numbers_read_back_exactly() {
        let state = state(7);
        assert_eq!(TrainerState::from_json(&state.to_json().unwrap()), Ok(state));
    }

    #[test]
    fn anything_else_is_refused() {
        let whole = state(7).to_json().unwrap();
        for length in 0..whole.len() {
            let message = TrainerState::from_json(&whole[..length]).unwrap_err();
            assert!(message.starts_with("not a checkpoint: metadata"), "{message}");
        }
        let message = TrainerState::from_json(&whole.replace("\"version\":3", "\"version\":2")).unwrap_err();
        assert!(
            message.starts_with("a checkpoint of version 2, but this program reads version 3\nhint: "),
            "{message}"
        );
        let message = TrainerState::from_json(&whole.replace("\"step\":7", "\"step\":-7")).unwrap_err();
        assert!(message.starts_with("not a checkpoint: metadata: invalid value"), "{message}");
    }

    #[test]
    fn the_first_setting_that_differs_is_named() {
        let settings = state(7).settings;
        let mut now = settings.clone();
        assert_eq!(first_difference(&settings, &now), None);
        now["--learning-rate"] = json!(3e-5);
        now["--seed"] = json!(1);
        let difference = |now| first_difference(&settings, &now).unwrap();
        assert_eq!(difference(now.clone()), ("--learning-rate".into(), "0.00002".into(), "0.00003".into()));
        let (mut less, mut more) = (settings.clone(), settings.clone());
        less.shift_remove("data");
        more.insert("--lora".into(), json!("r=16"));
        assert_eq!(difference(less), ("data".into(), "\"xxh3:1\"".into(), "not set".into()));
        assert_eq!(difference(more), ("--lora".into(), "not set".into(), "\"r=16\"".into()));
    }

    #[test]
    fn the_loss_is_the_epoch_s_mean_over_compared_pairs() {
        let mut loss = LossMeter::default();
        assert_eq!((loss.mean(), loss.shown().as_str()), (None, "none"));
        loss.add(0.0, 1, false);
        assert_eq!(loss.mean(), None);
        for (batch, pairs, compares) in [(3.0, 16, true), (5.0, 16, true), (8.0, 8, true), (0.0, 1, false)] {
            loss.add(batch, pairs, compares);
        }
        assert_eq!(loss.mean(), Some((3.0 * 16.0 + 5.0 * 16.0 + 8.0 * 8.0) / 40.0));
        loss.begin_epoch();
        loss.add(1.0, 4, true);
        assert_eq!(loss.mean(), Some(1.0));
        assert_eq!((loss.compared, loss.idle), (4, 2), "of the whole training");
    }
}
