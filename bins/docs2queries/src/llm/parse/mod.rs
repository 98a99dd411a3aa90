//! Queries out of what a model wrote, whatever form it gave them.
//!
//! A schema is a request that servers may ignore and models may break. What the model thought is taken off, then the
//! first of these that is there is the answer: a value of JSON by itself, read by its keys; elements of XML; a table; a list
//! with numbers or bullets; JSON in the middle of a sentence; lines.

mod channels;
mod drafts;
mod dress;
mod encoded;
mod json;
mod keys;
mod lines;
mod marker;
mod markup;
mod names;
mod plain;
mod reasoning;
mod strings;
#[cfg(test)]
mod tests;
mod values;

use crate::output::one_line;

/// What was found in a reply.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The queries in their order, with those that are blank; none when there are no others.
    pub(crate) queries: Vec<String>,
    /// Queries of which only the beginning is there.
    pub(crate) unreadable: usize,
    /// Queries beyond the number that was asked for, which are left out.
    pub(crate) surplus: usize,
}

/// The queries of a reply, `most` at most; `is_cut` says that the model had no room to write to its end.
pub(crate) fn queries(reply: &str, most: usize, is_cut: bool) -> Found {
    let inner = encoded::reply(reply);
    let reply = inner.as_deref().unwrap_or(reply);
    // What is JSON from beginning to end has no thoughts around it, whatever stands in its strings.
    let found = if json::whole(unfenced(reply)).is_some() { values::answer(reply, most, false) } else { None };
    let mut found = found.unwrap_or_else(|| {
        let answer = reasoning::without_thoughts(reply);
        let turns = reasoning::turns(&answer);
        let last = turns.iter().rposition(|turn| !turn.trim().is_empty());
        let found = turns.iter().enumerate().map(|(at, turn)| of_turn(turn, most, is_cut && Some(at) == last));
        found.into_iter().find(|found| !found.queries.is_empty()).unwrap_or_else(|| of_turn(&answer, most, is_cut))
    });
    for query in &mut found.queries {
        if query.contains(is_no_text) {
            *query = one_line(&query.replace(is_no_text, " "));
        }
    }
    // A blank one is none of those that were asked for.
    let mut count = 0;
    found.queries.retain(|query| {
        let is_said = query.contains(char::is_alphanumeric);
        count += usize::from(is_said);
        !is_said || count <= most
    });
    found.surplus = count.saturating_sub(most);
    found
}

fn of_turn(text: &str, most: usize, is_cut: bool) -> Found {
    let of_lines = |queries: Vec<String>| {
        let mut found = Found { queries: queries.iter().map(|query| one_line(query)).collect(), ..Found::default() };
        if is_cut && !text.ends_with('\n') && found.queries.pop().is_some() {
            found.unreadable = 1; // only its end tells that a line is complete
        }
        found
    };
    let of_elements = |queries| Found { queries, ..Found::default() };
    let listed = drafts::without_drafts(text);
    let is_quoted = text.trim_start().starts_with(['"', '“']);
    let forms: [&dyn Fn() -> Option<Found>; 7] = [
        &|| values::answer(text, most, false),
        &|| Some(of_elements(markup::elements(text))),
        &|| markup::table(listed).map(|reading| of_lines(reading.queries)),
        &|| Some(of_lines(lines::marked(listed))),
        &|| values::answer(text, most, true),
        // The items of a list without its brackets.
        &|| is_quoted.then(|| values::answer(&format!("[{}]", text.trim()), most, false)).flatten(),
        &|| Some(of_lines(plain::lines(listed, most))),
    ];
    let says_something = |found: &Found| found.queries.iter().any(|query| query.contains(char::is_alphanumeric));
    forms.iter().filter_map(|form| form()).find(says_something).unwrap_or_default()
}

/// Whether a character has no place in a query: one that controls a terminal, or a mark of the order of bytes.
fn is_no_text(c: char) -> bool {
    c.is_control() || c == '\u{feff}'
}

/// The text inside of the fence that all of it stands in.
fn unfenced(text: &str) -> &str {
    let inner = text.trim().strip_prefix("```").and_then(|text| text.strip_suffix("```"));
    inner.and_then(|inner| inner.split_once('\n')).map_or(text, |(_, inner)| inner)
}
