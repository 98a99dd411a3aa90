//! Lists of drafts before the list that is meant.

use super::lines::WANTED;
use super::marker::marker;

/// What may be called final, besides queries.
const LISTS: [&str; 9] = ["list", "answer", "version", "set", "output", "selection", "result", "response", "json"];
/// What may stand between `final` and its noun.
const BETWEEN: [&str; 14] = [
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "refined",
    "revised",
    "improved",
    "polished",
    "synthetic",
];
/// Words in the headings of lists that are not final.
const DRAFTS: [&str; 8] =
    ["draft", "drafts", "initial", "brainstorm", "brainstorming", "rough", "preliminary", "entwurf"];

/// The text from the heading of its final list on, or all of it when no heading tells drafts from what is meant.
///
/// Lists of several kinds have a heading each, too; none of these is called a draft or final.
pub(super) fn without_drafts(text: &str) -> &str {
    let mut at = 0;
    let mut follows_drafts = false;
    for line in text.split_inclusive('\n') {
        if is_heading(line) {
            let rest = &text[at + line.len()..];
            let line = line.to_lowercase();
            let is_draft = words(&line).any(|word| DRAFTS.contains(&word));
            let is_meant = is_final(&line) || follows_drafts && !is_draft && is_wanted(&line);
            if is_meant && rest.contains(char::is_alphanumeric) {
                return &text[at..];
            }
            follows_drafts |= is_draft;
        }
        at += line.len();
    }
    text
}

/// Whether a line announces what follows: with a colon at its end, or with the marks of a heading around it.
pub(super) fn is_heading(line: &str) -> bool {
    let line = line.trim();
    let is_bold = line.starts_with("**") && line.ends_with("**") && line.matches("**").count() == 2;
    let is_marked = line.trim_start_matches('#').starts_with(' ') && line.starts_with('#') || is_bold;
    (is_marked || line.trim_end_matches(['*', '_', ' ']).ends_with([':', '：'])) && marker(line).is_none()
}

/// Whether a heading says that its list is the final one: `Final 5 queries:`, not `Final exam questions:`.
fn is_final(line: &str) -> bool {
    if line.contains("最终") || line.contains("最終") {
        return true;
    }
    let mut words = words(line);
    let is_such = |word: &str| word.starts_with("final") && word != "finally" || word.starts_with("endgültig");
    if !words.any(is_such) {
        return false;
    }
    let mut rest = words.skip_while(|word| BETWEEN.contains(word) || word.chars().all(|c| c.is_ascii_digit()));
    rest.next().is_none_or(|word| is_wanted(word) || LISTS.iter().any(|list| word.starts_with(list)))
}

fn is_wanted(text: &str) -> bool {
    WANTED.iter().any(|wanted| text.contains(wanted))
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}
