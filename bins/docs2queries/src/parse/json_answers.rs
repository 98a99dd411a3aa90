//! The JSON values in a reply, and which of them is the answer.

use super::ParsedQueries;
use super::decoration;
use super::double_encoding::unfolded;
use super::json_syntax;
use super::keys::{self, Rank, Reading};
use super::lenient_json;
use super::lenient_strings;
use super::list_markers::marker;
use super::lists;

/// The most values without an end that are searched; each of them may extend to the end of the text.
const BROKEN: usize = 16;

/// A value that contains queries.
struct Candidate {
    start: usize,
    end: usize,
    is_whole: bool,
    reading: Reading,
}

/// The answer among the values that stand alone, or, if `inline`, among all values whose keys identify queries.
///
/// The best rank wins, then a complete value, then the last one, because earlier ones were drafts. Objects with one
/// query each, and adjacent values, are parts of one answer, if they have no more queries than were asked for.
pub(super) fn answer(text: &str, max_queries: usize, inline: bool) -> Option<ParsedQueries> {
    let candidates = candidates(text);
    let is_taken = |candidate: &&Candidate| {
        if inline { candidate.reading.rank != Rank::Unnamed } else { stands_alone(text, candidate) }
    };
    let mut candidates: Vec<&Candidate> = candidates.iter().filter(is_taken).collect();
    let best = candidates.iter().map(|candidate| candidate.reading.rank).min()?;
    candidates.retain(|candidate| candidate.reading.rank == best);
    let last = candidates.iter().rposition(|candidate| candidate.is_whole).unwrap_or(candidates.len() - 1);
    let is_single = best == Rank::Single && candidates.iter().all(|candidate| candidate.reading.queries.len() == 1);
    if !is_single {
        candidates.truncate(last + 1);
    }
    let gap = |at: usize| text.get(candidates[at - 1].end..candidates[at].start).unwrap_or_default();
    let count = |from: usize| candidates[from..].iter().map(|candidate| candidate.reading.queries.len()).sum::<usize>();
    let first = if is_single {
        // Text before each part is a heading; text before some of the parts separates drafts from the answer.
        let parts: Vec<usize> =
            (1..candidates.len()).filter(|at| gap(*at).replace("json", "").contains(char::is_alphabetic)).collect();
        let is_headed = max_queries > 1 && parts.len() + 1 == candidates.len() || count(0) <= max_queries;
        if is_headed { 0 } else { parts.last().copied().unwrap_or_default() }
    } else {
        let is_parted = |at: &usize| !gap(*at).trim_matches([',', ';']).trim().is_empty();
        let first = (1..=last).rev().find(is_parted).unwrap_or_default();
        if count(first) <= max_queries { first } else { last }
    };
    let mut found = ParsedQueries::default();
    for (at, candidate) in candidates.iter().enumerate().skip(first) {
        let is_repeated = candidates[at + 1..].iter().any(|later| later.reading.queries == candidate.reading.queries);
        if is_repeated && !is_single {
            continue;
        }
        found.queries.extend(candidate.reading.queries.iter().cloned());
        found.cut_off += candidate.reading.broken;
    }
    found.queries = decoration::unlabelled(&lists::unmarked(found.queries));
    Some(found)
}

fn candidates(text: &str) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    let mut broken = 0;
    let mut at = 0;
    while let Some(start) = text[at..].find(['{', '[']).map(|start| at + start) {
        at = start + 1;
        if is_part_of_word(text, start) || broken == BROKEN {
            continue;
        }
        let inside = text[start + 1..].trim_start_matches("\\n").trim_start();
        let (parsed, end) = if inside.starts_with("\\\"") {
            // The value is inside a string, with its quotes escaped.
            let length = lenient_strings::plain_length(&text[start..]);
            (lenient_json::value(&json_syntax::unescaped(&text[start..start + length]), 0), Some(start + length))
        } else {
            (lenient_json::value(text, start), None)
        };
        let Some(parsed) = parsed else { continue };
        let (is_whole, end) = (parsed.is_whole, end.unwrap_or(parsed.end));
        let reading = keys::read(&unfolded(parsed.node));
        if is_whole {
            at = end;
        }
        broken += usize::from(!is_whole);
        if let Some(reading) = reading
            && !candidates.iter().any(|outer: &Candidate| outer.has_all_of(&reading, end))
        {
            candidates.push(Candidate { start, end, is_whole, reading });
        }
    }
    candidates
}

impl Candidate {
    /// Whether this value, which has no end, contains all queries of another one that ends at `end`.
    fn has_all_of(&self, other: &Reading, end: usize) -> bool {
        let has = |query| self.reading.queries.contains(query);
        end <= self.end && self.reading.rank <= other.rank && other.queries.iter().all(has)
    }
}

/// Whether a bracket belongs to the word before it, as in `vec!["a"]` and `row["a"]`.
fn is_part_of_word(text: &str, start: usize) -> bool {
    let before = text[..start].chars().next_back();
    text[start..].starts_with('[')
        && before.is_some_and(|c| c.is_ascii_alphanumeric() || "!_$#&@)]".contains(c))
        && !text[..start].ends_with("json")
}

/// Whether a value is not part of a sentence or of a query.
fn stands_alone(text: &str, candidate: &Candidate) -> bool {
    let line = text[..candidate.start].rsplit('\n').next().unwrap_or_default();
    let rest = text[candidate.end..].split('\n').next().unwrap_or_default();
    let before =
        line.trim().trim_end_matches("\\boxed").trim_end_matches("json").trim_end_matches(['*', '`', '"', '_', ' ']);
    let is_named = candidate.reading.rank != Rank::Unnamed;
    let is_end = !rest.contains(char::is_alphanumeric);
    let is_announced = before.ends_with([':', '：', '=', '>', '.', '!', '。', '！']);
    if before.is_empty() {
        return true;
    }
    if !is_named {
        return is_announced && marker(line).is_none() && candidate.is_whole && is_end;
    }
    if (is_announced || before.ends_with([']', '}', ','])) && marker(line).is_none() {
        return true;
    }
    match marker(&format!("{line}x")) {
        // `1. {"query": "a"}`, not `1. how to read {"query": "a"} in Rust`.
        Some((_, words)) => {
            is_end && (words == "x" || words.trim_end_matches(['x', '*', '`']).trim_end().ends_with([':', '：']))
        }
        None => is_end,
    }
}
