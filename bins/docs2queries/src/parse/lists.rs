//! Lists whose lines begin with numbers, bullets or labels.

use super::decoration::undecorated;
use super::headings::WANTED;
use super::key_names::{self, is_kind_label};
use super::list_markers::{Mark, is_label, is_rule, marker};
use crate::text::{has_phrase, has_word};

/// Parts of words in the headings of lists beside the queries.
const UNWANTED: &str = "note|explanation|reason|rationale|key point|analysis|summary|why |hinweis|remarque|nota|说明";

/// An item of a list.
struct Item {
    indent: usize,
    mark: Mark,
    text: String,
}

/// Adjacent items, and the line before them.
#[derive(Default)]
struct Block {
    heading: String,
    items: Vec<Item>,
}

/// The items of all lists with numbers or bullets.
pub(super) fn marked(text: &str) -> Vec<String> {
    let blocks = blocks(text);
    let is_wanted = |block: &Block| has_phrase(WANTED, &block.heading);
    let is_aside = |block: &&Block| has_phrase(UNWANTED, &block.heading) && !is_wanted(block);
    let blocks: Vec<&Block> = blocks.iter().filter(|block| !block.items.is_empty() && !is_aside(block)).collect();
    let is_numbered = |block: &&Block| matches!(block.items[0].mark, Mark::Number(..));
    // Points that the model made before or after its list have other marks, or no heading that announces queries.
    let first_wanted = blocks.iter().position(|block| is_wanted(block));
    let numbers = blocks.iter().any(is_numbered);
    let numbers = first_wanted.map_or(numbers, |first| is_numbered(&blocks[first]));
    let blocks = blocks.iter().skip(first_wanted.unwrap_or_default()).filter(|block| is_numbered(block) == numbers);
    undecorated(blocks.flat_map(|block| of_block(block)).collect())
}

/// Strings without their numbers or bullets, if all of them have one.
pub(super) fn unmarked(queries: Vec<String>) -> Vec<String> {
    let marks: Vec<Option<(Mark, &str)>> = queries.iter().map(|query| marker(query)).collect();
    let is_marked = marks.iter().zip(1..).all(|(mark, number)| match mark {
        Some((Mark::Number(label, found), rest)) => is_label(label) && *found == number && !rest.is_empty(),
        Some((Mark::Bullet, rest)) => !rest.is_empty(),
        None => false,
    });
    if queries.len() < 2 || !is_marked {
        return queries;
    }
    marks.into_iter().flatten().map(|(_, rest)| rest.to_owned()).collect()
}

/// The items of a string that contains a list.
pub(super) fn of_string(text: &str) -> Vec<String> {
    let items = marked(text);
    if !items.is_empty() {
        return items;
    }
    undecorated(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = vec![Block::default()];
    let mut numbers: Vec<(String, u32)> = Vec::new();
    let mut follows_blank = false;
    // If a line begins with the second number, a number in the middle of the first line is part of its text.
    let is_spread = text.lines().any(|line| matches!(marker(line), Some((Mark::Number(_, 2), _))));
    let parts = |line| if is_spread { vec![line] } else { parted(line) };
    for line in text.lines().filter(|line| !is_rule(line)).flat_map(parts) {
        if line.trim().is_empty() {
            follows_blank = true;
            continue;
        }
        let indent = line.chars().take_while(|c| c.is_whitespace()).map(|c| if c == '\t' { 4 } else { 1 }).sum();
        let found = marker(line).filter(|(mark, _)| continues(mark, &mut numbers));
        let Some(block) = blocks.last_mut() else { break };
        let awaited = block.items.last_mut().filter(|item| item.text.is_empty());
        let begins_item =
            |(mark, _): &(Mark, &str)| !matches!(mark, Mark::Number(label, _) if !is_label(label)) || awaited.is_none();
        if let Some((mark, text)) = found.filter(begins_item) {
            // The name of a kind announces the query on the next line.
            let text = if is_kind_label(text) { String::new() } else { text.to_owned() };
            let item = Item { indent, mark, text };
            let is_of_another =
                block.items.first().is_some_and(|first| indent <= first.indent && !is_kind(first, &item));
            if follows_blank && is_of_another {
                blocks.push(Block { heading: String::new(), items: vec![item] });
            } else {
                block.items.push(item);
            }
        } else if let Some(item) = awaited {
            line.trim().clone_into(&mut item.text); // the mark was on a line by itself
        } else if let Some(item) = block.items.last_mut()
            && indent > item.indent
            && let Some(query) = query_of_fields(&item.text, line)
        {
            query.clone_into(&mut item.text);
        } else if indent == 0 {
            blocks.push(Block { heading: line.to_lowercase(), items: Vec::new() });
        }
        follows_blank = false;
    }
    // A label and a number that occur once are part of the text.
    let count = |label: &str| {
        let items = blocks.iter().flat_map(|block| &block.items);
        items.filter(|item| matches!(&item.mark, Mark::Number(other, _) if other == label)).count()
    };
    let single: Vec<String> =
        numbers.iter().map(|(label, _)| label.clone()).filter(|label| !is_label(label) && count(label) < 2).collect();
    for block in &mut blocks {
        block.items.retain(|item| !matches!(&item.mark, Mark::Number(label, _) if single.contains(label)));
    }
    blocks
}

/// The items of a list of three or more on one line, `1. a 2. b 3. c`; otherwise the line.
fn parted(line: &str) -> Vec<&str> {
    let around = [("", ". "), ("", ") "), ("(", ") "), ("Q", ": ")];
    let mark = |number: usize, (before, after): (&str, &str)| format!("{before}{number}{after}");
    let start = line.trim_start();
    let Some(around) = around.into_iter().find(|around| start.starts_with(&mark(1, *around))) else {
        return vec![line];
    };
    let mut parts = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find(&format!(" {}", mark(parts.len() + 2, around))) {
        parts.push(rest[..at].trim_end_matches([';', ',']));
        rest = &rest[at + 1..];
    }
    parts.push(rest);
    if parts.len() > 2 { parts } else { vec![line] }
}

/// The query in a line of YAML that follows an item such as `- style: claim`.
fn query_of_fields<'a>(item: &str, line: &'a str) -> Option<&'a str> {
    let field = |text: &'a str| {
        let (key, value) = text.split_once(':')?;
        let key = key.trim_matches(|c: char| c.is_whitespace() || c == '*');
        Some((key, value.trim_start_matches('*').trim())).filter(|(key, value)| !key.is_empty() && !value.is_empty())
    };
    let (first, _) = item.split_once(':')?;
    let first = first.trim_matches('*');
    let (key, value) = field(line)?;
    let is_text = key_names::is_query(key) || has_word(key_names::TEXTS, &key_names::name(key));
    (!first.contains(' ') && !first.is_empty() && key_names::is_aside(first) && is_text).then(|| unquoted(value))
}

/// A value of YAML without its quotes.
fn unquoted(value: &str) -> &str {
    let inner = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote).filter(|inner| !inner.contains(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

/// Whether a number is the next one of its list: `1.5 months` and `2024: a year` are not.
fn continues(mark: &Mark, numbers: &mut Vec<(String, u32)>) -> bool {
    let Mark::Number(label, number) = mark else { return true };
    match numbers.iter_mut().find(|(other, _)| other == label) {
        Some((_, last)) if *number <= 1 || *number == *last + 1 => {
            *last = *number;
            true
        }
        Some(_) => false,
        None if *number <= 1 => {
            numbers.push((label.clone(), *number));
            true
        }
        None => false,
    }
}

fn is_kind(item: &Item, other: &Item) -> bool {
    match (&item.mark, &other.mark) {
        (Mark::Number(label, _), Mark::Number(other, _)) => label == other,
        (Mark::Bullet, Mark::Bullet) => true,
        _ => false,
    }
}

/// The queries of a block: its outer items, or the inner ones if the outer ones are headings.
fn of_block(block: &Block) -> Vec<String> {
    let Some(outer) = block.items.iter().map(|item| item.indent).min() else { return Vec::new() };
    let is_outer = |item: &Item| item.indent <= outer + 1 && is_kind(item, &block.items[0]);
    let mut queries = Vec::new();
    let mut items = block.items.iter().peekable();
    while let Some(item) = items.next() {
        let mut inner = Vec::new();
        while let Some(next) = items.next_if(|next| !is_outer(next)) {
            inner.push(&next.text);
        }
        let text = item.text.trim_end_matches(['*', '_']).trim_end();
        let is_bold = item.text.starts_with("**") && item.text.ends_with("**");
        let are_fields =
            inner.iter().all(|text| text.split_once(':').is_some_and(|(key, _)| key.split_whitespace().count() < 4));
        if text.is_empty() && !inner.is_empty()
            || text.ends_with([':', '：'])
            || is_bold && !inner.is_empty() && !are_fields
        {
            queries.extend(inner.into_iter().cloned());
        } else {
            queries.push(item.text.clone());
        }
    }
    queries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_and_notes_are_not_queries() {
        for text in [
            "Here are two:\n1. a\n2. b\n\nLet me know.",
            "Key points:\n- x\n- y\n\nQueries:\n- a\n- b\n\nNotes:\n- z",
            "- x\n- y\n\n1. a\n2. b",
            "1. Questions:\n   - a\n2. **Keywords**\n   - b",
            "1. a\n   - style: question\n2. b\n   - style: keyword",
            "1. a\n   Answer: x\n2. b",
            "Q1: a\nA1: x\nQ2: b\nA2: y",
            "**Question**\n1. a\n\n**Typo**\n2. b",
            "1. a\nThis one asks for x.\n2. b",
            "### Query 1\na\n### Query 2\nb",
            "1. a\n1. b",
        ] {
            assert_eq!(marked(text), ["a", "b"], "{text}");
        }
    }

    #[test]
    fn numbers_outside_a_list_are_not_list_markers() {
        for text in ["2024: a year", "15. Mai 2024", "3) of three", "what is 1. FC Nuremberg"] {
            assert!(marked(text).is_empty(), "{text}");
        }
    }
}
