//! The values of JSON that stand in a text, and which of them is the answer.

use super::Found;
use super::encoded::unfolded;
use super::json;
use super::keys::{self, Rank, Reading};
use super::lines::marker;

/// Values without an end of their own that are looked into: each of them may take the text to its end.
const BROKEN: usize = 16;

/// A value that holds queries.
struct Candidate {
    start: usize,
    end: usize,
    is_whole: bool,
    reading: Reading,
}

/// The answer among the values that stand by themselves, or, when it is `inline`, among all that a name marks.
///
/// The surest name wins, then a value that is complete, then the last: what came before it was a draft. Objects of one
/// query each, and values with nothing between them, are one answer in parts, if those are not too many.
pub(super) fn answer(text: &str, most: usize, inline: bool) -> Option<Found> {
    let candidates = candidates(text);
    let is_taken = |candidate: &&Candidate| {
        if inline { candidate.reading.rank != Rank::Unnamed } else { stands_alone(text, candidate) }
    };
    let mut candidates: Vec<&Candidate> = candidates.iter().filter(is_taken).collect();
    let best = candidates.iter().map(|candidate| candidate.reading.rank).min()?;
    candidates.retain(|candidate| candidate.reading.rank == best);
    let last = candidates.iter().rposition(|candidate| candidate.is_whole).unwrap_or(candidates.len() - 1);
    let is_single = |candidate: &Candidate| candidate.reading.queries.len() == 1 && best == Rank::Single;
    let taken = if candidates.iter().all(|candidate| is_single(candidate)) {
        &candidates[..]
    } else {
        let mut first = last;
        let gap = |at: usize| text.get(candidates[at - 1].end..candidates[at].start);
        while first > 0 && gap(first).is_some_and(|gap| gap.trim_matches([',', ';']).trim().is_empty()) {
            first -= 1;
        }
        let count: usize = candidates[first..=last].iter().map(|candidate| candidate.reading.queries.len()).sum();
        if count <= most { &candidates[first..=last] } else { &candidates[last..=last] }
    };
    let mut found = Found::default();
    for candidate in taken {
        found.queries.extend(candidate.reading.queries.iter().cloned());
        found.unreadable += candidate.reading.broken;
    }
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
        let Some(parsed) = json::value(text, start) else { continue };
        let (is_whole, end) = (parsed.is_whole, parsed.end);
        let reading = keys::read(&unfolded(parsed.node));
        if is_whole && reading.is_some() {
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
    /// Whether this one, which has no end of its own, has in it all that another one says, which ends at `end`.
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

/// Whether a value is no part of a sentence or of a query.
fn stands_alone(text: &str, candidate: &Candidate) -> bool {
    let line = text[..candidate.start].rsplit('\n').next().unwrap_or_default();
    let rest = text[candidate.end..].split('\n').next().unwrap_or_default();
    let before = line.trim().trim_end_matches(['*', '`', '"', '_', ' ']);
    let is_named = candidate.reading.rank != Rank::Unnamed;
    if before.is_empty() || before.ends_with([':', '：', '=', '>', '.', '!', '。', '！', ']', '}', ',']) && marker(line).is_none() {
        return true;
    }
    let is_end = !rest.contains(char::is_alphanumeric);
    match marker(&format!("{line}x")) {
        // `1. {"query": "a"}`, not `1. how to read {"query": "a"} in Rust`.
        Some((_, words)) => is_named && is_end && (words == "x" || words.trim_end_matches(['x', '*', '`']).trim_end().ends_with([':', '：'])),
        None => is_named && is_end,
    }
}
