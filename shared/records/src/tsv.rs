//! What the tabular formats share.

/// Reads `text` as the number that column `name` must hold, or says what is wrong with it.
pub(crate) fn number<T: std::str::FromStr>(name: &str, text: &str, expected: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("column {name} must be {expected}, found \"{text}\""))
}

/// Whether a line says nothing: blank, or a comment, which is # and a blank.
pub(crate) fn is_silent(line: &str) -> bool {
    let line = line.trim_end();
    line.is_empty() || line == "#" || line.starts_with("# ")
}

/// Whether a line may be a comment when its columns are not those of the file: an id may begin with #, too.
pub(crate) fn may_be_comment(line: &str) -> bool {
    line.starts_with('#')
}
