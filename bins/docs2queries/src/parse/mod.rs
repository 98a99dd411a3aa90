//! Finds the queries in what a model wrote, whatever its form.
//!
//! A schema is only a request, which servers may ignore and models may break. First the model's thoughts are removed.
//! The answer is then the first of these that exists: JSON that stands alone, read by its keys; XML elements; a table;
//! a list with numbers or bullets; JSON within a sentence; lines.

mod decoration;
mod double_encoding;
mod headings;
mod json_answers;
mod json_syntax;
mod key_names;
mod keys;
mod lenient_json;
mod lenient_strings;
mod list_markers;
mod lists;
mod markup;
mod plain_lines;
mod reasoning;
#[cfg(test)]
mod reply_tests;
#[cfg(test)]
mod round_trip_tests;

use crate::text::one_line;

/// The queries in a reply.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ParsedQueries {
    /// In their order, including blank ones; empty if all are blank.
    pub(crate) queries: Vec<String>,
    /// The number of queries that were cut off.
    pub(crate) cut_off: usize,
    /// The number of queries that were left out because they are more than were asked for.
    pub(crate) surplus: usize,
}

/// The queries in a reply, at most `max_queries`; `is_cut` says that the reply reached its length limit.
pub(crate) fn queries(reply: &str, max_queries: usize, is_cut: bool) -> ParsedQueries {
    let inner = double_encoding::reply(reply);
    let reply = inner.as_deref().unwrap_or(reply);
    // A reply that is JSON from beginning to end has no thoughts around it, whatever its strings contain.
    let found = if lenient_json::whole(unfenced(reply)).is_some() {
        json_answers::answer(reply, max_queries, false)
    } else {
        None
    };
    let mut found = found.unwrap_or_else(|| {
        let answer = reasoning::without_thoughts(reply);
        let turns = reasoning::turns(&answer);
        let last = turns.iter().rposition(|turn| !turn.trim().is_empty());
        let found = turns.iter().enumerate().map(|(at, turn)| of_turn(turn, max_queries, is_cut && Some(at) == last));
        found
            .into_iter()
            .find(|found| !found.queries.is_empty())
            .unwrap_or_else(|| of_turn(&answer, max_queries, is_cut))
    });
    for query in &mut found.queries {
        if query.contains(is_no_text) {
            *query = one_line(&query.replace(is_no_text, " "));
        }
    }
    // Blank queries do not count towards the number that was asked for.
    let mut count = 0;
    found.queries.retain(|query| {
        let is_said = query.contains(char::is_alphanumeric);
        count += usize::from(is_said);
        !is_said || count <= max_queries
    });
    found.surplus = count.saturating_sub(max_queries);
    found
}

fn of_turn(text: &str, max_queries: usize, is_cut: bool) -> ParsedQueries {
    let of_lines = |queries: Vec<String>| {
        let mut found = ParsedQueries {
            queries: queries.iter().map(|query| one_line(query)).collect(),
            ..ParsedQueries::default()
        };
        if is_cut && !text.ends_with('\n') && found.queries.pop().is_some() {
            found.cut_off = 1; // a line without its end may be incomplete
        }
        found
    };
    let of_elements = |queries| ParsedQueries { queries, ..ParsedQueries::default() };
    let listed = headings::without_drafts(text);
    let is_quoted = text.trim_start().starts_with(['"', '“']);
    let forms: [&dyn Fn() -> Option<ParsedQueries>; 7] = [
        &|| json_answers::answer(text, max_queries, false),
        &|| Some(of_elements(markup::elements(text))),
        &|| markup::table(listed).map(|reading| of_lines(reading.queries)),
        &|| Some(of_lines(lists::marked(listed))),
        &|| json_answers::answer(text, max_queries, true),
        // The items of a list without its brackets.
        &|| is_quoted.then(|| json_answers::answer(&format!("[{}]", text.trim()), max_queries, false)).flatten(),
        &|| Some(of_lines(plain_lines::lines(listed, max_queries))),
    ];
    let says_something =
        |found: &ParsedQueries| found.queries.iter().any(|query| query.contains(char::is_alphanumeric));
    forms.iter().filter_map(|form| form()).find(says_something).unwrap_or_default()
}

/// Whether a character has no place in a query: a control character or a byte order mark.
fn is_no_text(c: char) -> bool {
    c.is_control() || c == '\u{feff}'
}

/// The content of a code block that is the whole text.
fn unfenced(text: &str) -> &str {
    let inner = text.trim().strip_prefix("```").and_then(|text| text.strip_suffix("```"));
    inner.and_then(|inner| inner.split_once('\n')).map_or(text, |(_, inner)| inner)
}
