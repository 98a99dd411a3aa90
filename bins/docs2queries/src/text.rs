//! Words and forms of a text.

/// The text with single spaces between its words.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The form that texts share which differ in case and white space only.
pub(crate) fn fold(text: &str) -> String {
    one_line(text).to_lowercase()
}

/// The runs of letters and digits in a text.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// Whether a text contains, in any case, one of these phrases, which are in lower case and separated by `|`.
pub(crate) fn has_phrase(phrases: &str, text: &str) -> bool {
    let text = text.to_lowercase();
    phrases.split('|').any(|phrase| text.contains(phrase))
}

/// Whether a word is in a list of words, separated by spaces.
pub(crate) fn has_word(list: &str, word: &str) -> bool {
    list.split(' ').any(|other| other == word)
}
