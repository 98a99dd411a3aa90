//! Headings, which distinguish a list of drafts from the final list.

use super::list_markers::marker;
use crate::text::{has_phrase, has_word, words};

/// Parts of words in the headings of lists of queries.
pub(super) const WANTED: &str = "quer|question|keyword|claim|search|anfrage|frage|requête|consulta|pregunta|domand|\
    vragen|查询|问题|検索|質問";
/// Nouns that can be final, besides queries.
const LISTS: [&str; 9] = ["list", "answer", "version", "set", "output", "selection", "result", "response", "json"];
/// Words between `final` and its noun, separated by spaces.
const BETWEEN: &str = "two three four five six seven eight nine ten refined revised improved polished synthetic";
/// Words in the headings of drafts, separated by spaces.
const DRAFTS: &str = "draft drafts initial brainstorm brainstorming rough preliminary entwurf";

/// The text from the heading of the final list on, or all of it if no heading tells drafts from the final list.
///
/// Lists of several kinds may have headings too; none of these is called a draft or final.
pub(super) fn without_drafts(text: &str) -> &str {
    let mut at = 0;
    let mut follows_drafts = false;
    for line in text.split_inclusive('\n') {
        if is_heading(line) {
            let rest = &text[at + line.len()..];
            let line = line.to_lowercase();
            let is_draft = words(&line).any(|word| has_word(DRAFTS, word));
            let is_meant = is_final(&line) || follows_drafts && !is_draft && has_phrase(WANTED, &line);
            if is_meant && rest.contains(char::is_alphanumeric) {
                return &text[at..];
            }
            follows_drafts |= is_draft;
        }
        at += line.len();
    }
    text
}

/// Whether a line is a heading: it ends with a colon, or is marked as a heading.
pub(super) fn is_heading(line: &str) -> bool {
    let line = line.trim();
    let is_bold = line.starts_with("**") && line.ends_with("**") && line.matches("**").count() == 2;
    let is_marked = line.trim_start_matches('#').starts_with(' ') && line.starts_with('#') || is_bold;
    (is_marked || line.trim_end_matches(['*', '_', ' ']).ends_with([':', '：'])) && marker(line).is_none()
}

/// Whether a heading calls its list final: `Final 5 queries:`, but not `Final exam questions:`.
fn is_final(line: &str) -> bool {
    if line.contains("最终") || line.contains("最終") {
        return true;
    }
    let mut words = words(line);
    let is_such = |word: &str| word.starts_with("final") && word != "finally" || word.starts_with("endgültig");
    if !words.any(is_such) {
        return false;
    }
    let mut rest = words.skip_while(|word| has_word(BETWEEN, word) || word.chars().all(|c| c.is_ascii_digit()));
    rest.next().is_none_or(|word| has_phrase(WANTED, word) || LISTS.iter().any(|list| word.starts_with(list)))
}
