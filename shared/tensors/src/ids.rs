//! Ids in a file of their own, one a line.

use std::fs;
use std::path::Path;

use crate::TensorsError;

/// The ids of vectors that a file without ids holds.
pub(crate) struct Ids {
    name: String,
    text: String,
    /// Where each id begins and ends.
    spans: Vec<(usize, usize)>,
}

impl Ids {
    pub(crate) fn read(path: &Path) -> Result<Self, TensorsError> {
        let name = path.display().to_string();
        let bytes = fs::read(path).map_err(|error| TensorsError::io(&name, error))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let place = error.utf8_error().valid_up_to() + 1;
            TensorsError::content(&name, format!("not UTF-8 at byte {place}"))
        })?;
        let start = |line: &str| line.as_ptr() as usize - text.as_ptr() as usize;
        let spans = text.lines().map(|line| (start(line), start(line) + line.len())).collect();
        Ok(Self { name, spans, text })
    }

    /// The file's name, for messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Empty when `index` is out of range.
    pub(crate) fn get(&self, index: usize) -> &str {
        self.spans.get(index).map_or("", |(start, end)| &self.text[*start..*end])
    }
}
