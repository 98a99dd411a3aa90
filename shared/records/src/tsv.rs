//! What the tabular formats share.

/// Reads `text` as the number that column `name` must hold, or says what is wrong with it.
pub(crate) fn number<T: std::str::FromStr>(name: &str, text: &str, expected: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("column {name} must be {expected}, found \"{text}\""))
}

/// Whether a line says nothing: blank, or a comment.
pub(crate) fn is_silent(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with('#')
}
