//! Tables, and elements of XML.

use super::key_names;
use super::keys::{self, Reading};
use super::lenient_json::Node;
use crate::text::one_line;

/// Elements that contain one query each.
const ELEMENTS: [&str; 6] = ["query", "question", "search_query", "q", "item", "li"];

/// The queries in the tables of a text; the header of a column serves as its key.
pub(super) fn table(text: &str) -> Option<Reading> {
    let mut rows = Vec::new();
    let mut head: Option<Vec<String>> = None;
    let mut previous: Option<Vec<String>> = None;
    for line in text.lines().map(str::trim) {
        let cells = line.contains('|').then(|| cells(line));
        let is_rule = |cell: &String| cell.contains('-') && cell.chars().all(|c| matches!(c, '-' | ':' | ' '));
        match (&cells, &head) {
            (Some(cells), _) if cells.iter().all(is_rule) => head = previous.take(),
            (Some(cells), Some(head)) => {
                let named = head.iter().cloned().zip(cells.iter().cloned().map(Node::Text));
                rows.push(Node::Object(named.collect()));
            }
            (None, _) => head = None,
            _ => {}
        }
        previous = cells;
    }
    if rows.is_empty() { separated(text) } else { keys::read(&Node::List(rows)) }
}

/// The same for a table separated by commas or tabs, whose first line is its header.
fn separated(text: &str) -> Option<Reading> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("```"));
    let head = lines.next()?;
    let separator = [',', '\t'].into_iter().find(|separator| head.contains(*separator))?;
    let head: Vec<&str> = head.split(separator).map(|name| name.trim_matches(['"', ' '])).collect();
    if !head.iter().any(|name| key_names::is_query(name))
        || head.iter().any(|name| name.contains(' ') || name.is_empty())
    {
        return None;
    }
    let rows = lines.map(|line| {
        let mut cells = vec![String::new()];
        let mut is_quoted = false;
        for c in line.chars() {
            match (c, cells.last_mut()) {
                ('"', _) => is_quoted = !is_quoted,
                (c, _) if c == separator && !is_quoted => cells.push(String::new()),
                (c, Some(cell)) => cell.push(c),
                _ => {}
            }
        }
        let named = head.iter().map(|name| (*name).to_owned()).zip(cells.into_iter().map(Node::Text));
        Node::Object(named.collect())
    });
    keys::read(&Node::List(rows.collect()))
}

fn cells(line: &str) -> Vec<String> {
    let line = line.strip_prefix('|').unwrap_or(line);
    let mut cells = vec![String::new()];
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let Some(cell) = cells.last_mut() else { break };
        match c {
            '\\' if chars.peek() == Some(&'|') => cell.extend(chars.next()),
            '|' => cells.push(String::new()),
            c => cell.push(c),
        }
    }
    if cells.len() > 1 && cells.last().is_some_and(|cell| cell.trim().is_empty()) {
        cells.pop();
    }
    cells.iter().map(|cell| cell.trim().trim_matches('*').to_owned()).collect()
}

/// The contents of the elements in a text that are named after queries.
pub(super) fn elements(text: &str) -> Vec<String> {
    ELEMENTS.iter().map(|name| contents(text, name)).find(|found| !found.is_empty()).unwrap_or_default()
}

fn contents(mut text: &str, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (open, close) = (format!("<{name}"), format!("</{name}>"));
    while let Some(start) = text.find(&open) {
        text = &text[start + open.len()..];
        let Some(rest) = text
            .strip_prefix('>')
            .or_else(|| text.strip_prefix(' ').and_then(|rest| rest.split_once('>')).map(|(_, rest)| rest))
        else {
            continue;
        };
        let Some((content, rest)) = rest.split_once(&close) else { break };
        found.push(one_line(&unescaped(inner(content))));
        text = rest;
    }
    found
}

/// The text of an element that may contain others.
fn inner(content: &str) -> &str {
    let inner = content.split_once("<text>").and_then(|(_, rest)| rest.split_once("</text>"));
    let inner = inner.map_or(content, |(inner, _)| inner).trim();
    inner.strip_prefix("<![CDATA[").and_then(|inner| inner.strip_suffix("]]>")).unwrap_or(inner)
}

fn unescaped(text: &str) -> String {
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    entities.into_iter().fold(text.to_owned(), |text, (entity, c)| text.replace(entity, c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables() {
        for text in [
            "| # | Query | Type |\n|---|:-----|---|\n| 1 | a | question |\n| 2 | b \\| c | keyword |\n\nNote.",
            "Query | Kind\n--- | ---\na | question\nb \\| c | keyword",
            "query,type\n\"a\",question\nb | c,keyword",
            "Query\tType\na\tquestion\nb | c\tkeyword",
            "| Typ | Anfrage |\n|---|---|\n| x | a |\n| x | b \\| c |",
        ] {
            assert_eq!(table(text).unwrap().queries, ["a", "b | c"], "{text}");
        }
        for text in ["a | b", "", "|", "|---|", "| a |\n|---|", "x --- y | z"] {
            assert!(table(text).is_none(), "{text}");
        }
    }

    #[test]
    fn xml() {
        for text in [
            "<queries>\n<query>a</query>\n<query>b &lt; c</query>\n</queries>",
            "<query type=\"x\">a</query><query id=\"2\"><text>b &lt; c</text></query>",
            "<item><![CDATA[a]]></item><item>b &lt; c</item>",
        ] {
            assert_eq!(elements(text), ["a", "b < c"], "{text}");
        }
        for text in ["<query>", "<queries>", "a < b", "<query a"] {
            assert!(elements(text).is_empty(), "{text}");
        }
    }
}
