//! Words and forms of a text.

/// The text with single spaces between its words.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The form that texts share which differ in case and white space only.
pub(crate) fn fold(text: &str) -> String {
    one_line(text).to_lowercase()
}

/// Whether a word is in a list of words, separated by spaces.
pub(crate) fn has_word(list: &str, word: &str) -> bool {
    list.split(' ').any(|other| other == word)
}
