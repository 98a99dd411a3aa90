//! What the tabular formats share.

use crate::Lines;
use crate::ReadError;

/// Reads `text` as the number that column `name` must hold.
pub(crate) fn number<T: std::str::FromStr, R: std::io::BufRead>(
    lines: &Lines<R>,
    name: &str,
    text: &str,
    expected: &str,
) -> Result<T, ReadError> {
    text.parse().map_err(|_| lines.error(format!("column {name} must be {expected}, found \"{text}\"")))
}

/// Whether a line says nothing: blank, or a comment.
pub(crate) fn is_silent(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with('#')
}
