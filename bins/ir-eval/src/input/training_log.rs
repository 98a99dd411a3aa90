//! What mnrl-train wrote to stdout.

use std::path::Path;

use embtune_cli::Session;
use embtune_records::{Field, Object, Records};

/// The course of a training.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct TrainingLog {
    /// Step and loss.
    pub(crate) losses: Vec<(f64, f64)>,
    /// Step and the dev set's figure.
    pub(crate) scores: Vec<(f64, f64)>,
    /// Name of the dev set's figure.
    pub(crate) metric: Option<String>,
}

impl TrainingLog {
    pub(crate) fn read(file: &Path, session: &Session) -> anyhow::Result<Self> {
        let input = session.input(file)?;
        let name = input.name.clone();
        let mut log = Self::default();
        for record in Records::<Object, _>::with_default_limit(name.clone(), input) {
            log.take(&record?);
        }
        anyhow::ensure!(!log.losses.is_empty(), "{name}: no line has a step and a loss, as mnrl-train writes them");
        Ok(log)
    }

    fn take(&mut self, line: &Object) {
        let Some(step) = line.get("step").and_then(Field::as_f64) else { return };
        if let Some(loss) = line.get("loss").and_then(Field::as_f64) {
            self.losses.push((step, loss));
        }
        // An evaluation has its figure under the metric's name.
        let figures = line.iter().filter(|(name, _)| name.contains('@'));
        if let Some((name, score)) = figures.filter_map(|(name, value)| Some((name, value.as_f64()?))).next() {
            self.scores.push((step, score));
            self.metric.get_or_insert_with(|| name.to_owned());
        }
    }
}
