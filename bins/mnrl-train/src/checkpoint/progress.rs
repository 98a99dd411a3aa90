//! How far a training has come.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::training::dev::{Evaluation, Tracker};
use crate::training::tally::Tally;

/// Version of the layout of checkpoints.
const VERSION: u64 = 2;

/// What a checkpoint holds beside tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Steps that are done.
    pub(crate) step: u64,
    /// Epoch of the next batch, from 0.
    pub(crate) epoch: u32,
    /// Batches of that epoch that are done.
    pub(crate) batch: u64,
    /// Tokens of all steps.
    pub(crate) tokens: u64,
    /// Seconds of training, without breaks.
    pub(crate) seconds: f64,
    /// Losses of the epoch so far, and how many batches had something to compare.
    pub(crate) tally: Tally,
    /// Figures of the dev set so far.
    pub(crate) evaluations: Vec<Evaluation>,
    /// Everything that decides the result, by the name that messages give it: flags, the data, the base model.
    pub(crate) settings: Map<String, Value>,
}

/// Progress in a file: the version stands in front, so that a later layout is refused by its number.
#[derive(Serialize)]
struct Versioned<'a> {
    version: u64,
    #[serde(flatten)]
    progress: &'a Progress,
}

impl Progress {
    pub(super) fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&Versioned { version: VERSION, progress: self })
    }

    /// Reads what [`Progress::to_json`] wrote, or says what is wrong with it.
    pub(super) fn from_json(json: &str) -> Result<Self, String> {
        let value: Value =
            serde_json::from_str(json).map_err(|error| format!("not a checkpoint: metadata: {error}"))?;
        match value.get("version").and_then(Value::as_u64) {
            Some(VERSION) => {}
            Some(other) => return Err(format!("a checkpoint of version {other}, this program knows {VERSION}")),
            None => return Err("not a checkpoint: metadata has no version".into()),
        }
        serde_json::from_value(value).map_err(|error| format!("not a checkpoint: metadata: {error}"))
    }

    /// The step whose weights were the best on the dev set.
    pub(crate) fn best_step(&self) -> Option<u64> {
        Tracker::new(None, self.evaluations.clone()).best().map(|best| best.step)
    }
}

/// The first setting that is not what it was, or not what it is elsewhere, with its value there and now.
pub(crate) fn first_difference(
    then: &Map<String, Value>,
    now: &Map<String, Value>,
) -> Option<(String, String, String)> {
    let shown = |value: Option<&Value>| value.map_or_else(|| "not set".to_owned(), ToString::to_string);
    let names = now.keys().chain(then.keys().filter(|name| !now.contains_key(*name)));
    names
        .map(|name| (name, then.get(name), now.get(name)))
        .find(|(_, then, now)| then != now)
        .map(|(name, then, now)| (name.clone(), shown(then), shown(now)))
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// With a sum of which no digit may get lost.
    fn tally() -> Tally {
        let mut tally = Tally::default();
        [1.0 / 3.0, 5e-324, 1.1e300].into_iter().for_each(|loss| tally.add(loss, 3, true));
        tally
    }

    pub(in super::super) fn progress(step: u64) -> Progress {
        let settings = json!({"--learning-rate": 2e-5, "data": "xxh3:1", "--seed": 42});
        Progress {
            step,
            epoch: 1,
            batch: 3,
            tokens: 12_345,
            seconds: 0.1 + 0.2,
            tally: tally(),
            evaluations: vec![Evaluation { step: 5, score: 0.7 }, Evaluation { step: 10, score: 2.0 / 3.0 }],
            settings: settings.as_object().unwrap().clone(),
        }
    }

    #[test]
    fn numbers_read_back_exactly() {
        let progress = progress(7);
        assert_eq!(Progress::from_json(&progress.to_json().unwrap()), Ok(progress.clone()));
        assert_eq!(progress.best_step(), Some(5));
    }

    #[test]
    fn what_is_no_progress_is_refused() {
        let whole = progress(7).to_json().unwrap();
        for length in 0..whole.len() {
            let message = Progress::from_json(&whole[..length]).unwrap_err();
            assert!(message.starts_with("not a checkpoint: metadata"), "{message}");
        }
        let message = Progress::from_json(&whole.replace("\"version\":2", "\"version\":1")).unwrap_err();
        assert_eq!(message, "a checkpoint of version 1, this program knows 2");
        let message = Progress::from_json(&whole.replace("\"step\":7", "\"step\":-7")).unwrap_err();
        assert!(message.starts_with("not a checkpoint: metadata: invalid value"), "{message}");
    }

    #[test]
    fn the_first_setting_that_differs_is_named() {
        let progress = progress(7);
        let mut now = progress.settings.clone();
        assert_eq!(first_difference(&progress.settings, &now), None);
        now["--learning-rate"] = json!(3e-5);
        now["--seed"] = json!(1);
        let difference = |now| first_difference(&progress.settings, &now).unwrap();
        assert_eq!(difference(now.clone()), ("--learning-rate".into(), "0.00002".into(), "0.00003".into()));
        let (mut less, mut more) = (progress.settings.clone(), progress.settings.clone());
        less.shift_remove("data");
        more.insert("--lora".into(), json!("r=16"));
        assert_eq!(difference(less), ("data".into(), "\"xxh3:1\"".into(), "not set".into()));
        assert_eq!(difference(more), ("--lora".into(), "not set".into(), "\"r=16\"".into()));
    }
}
