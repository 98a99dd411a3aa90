//! Queries out of what a model wrote, whatever form it gave them.
//!
//! A schema is a request that servers may ignore and models may break. Read are, first match wins: JSON anywhere in
//! the text, the whole of it or what came before it was cut off; then lines with numbers or bullets.

use serde_json::{Deserializer, Value};

use crate::output::one_line;

/// The queries in a model's answer, in their order, with those that are blank; none when it holds nothing else.
pub(crate) fn queries(answer: &str) -> Vec<String> {
    let answer = without_thoughts(answer);
    [from_json, from_cut_json, from_lines]
        .iter()
        .map(|form| form(answer).into_iter().map(|query| one_line(&query)).collect::<Vec<_>>())
        .find(|queries| queries.iter().any(|query| query.chars().any(char::is_alphanumeric)))
        .unwrap_or_default()
}

/// What stands behind `<think>…</think>`; nothing when the thinking was cut off.
fn without_thoughts(answer: &str) -> &str {
    match answer.rsplit_once("</think>") {
        Some((_, answer)) => answer,
        None if answer.trim_start().starts_with("<think>") => "",
        None => answer,
    }
}

/// The strings of the first JSON value that holds any, with anything around it: a fence, a preamble, an afterthought.
fn from_json(answer: &str) -> Vec<String> {
    let mut rest = answer;
    while let Some(start) = rest.find(['{', '[']) {
        rest = &rest[start..];
        let mut values = Deserializer::from_str(rest).into_iter::<Value>();
        let found = match values.next() {
            Some(Ok(value)) => strings(&value),
            Some(Err(error)) if error.is_eof() => break, // cut off: a part of it must not pass for the whole
            _ => Vec::new(),
        };
        if !found.is_empty() {
            return found;
        }
        rest = &rest[values.byte_offset().max(1)..];
    }
    Vec::new()
}

/// The strings of a list, of the first list inside an object, or, when it holds no list, of the object's fields.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        // `[{"query": "…", "type": "…"}]`: the first text of each.
        Value::Array(items) => items.iter().filter_map(|item| strings(item).into_iter().next()).collect(),
        Value::Object(fields) => {
            let nested = fields.values().filter(|field| field.is_array() || field.is_object()).map(strings);
            nested
                .into_iter()
                .find(|found| !found.is_empty())
                .unwrap_or_else(|| fields.values().filter_map(|field| field.as_str().map(str::to_owned)).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

/// The complete strings of a JSON text that is broken, or ends too early.
fn from_cut_json(answer: &str) -> Vec<String> {
    let opens = |(at, _): &(usize, &str)| answer[at + 1..].trim_start().starts_with(['"', '{', '[']);
    let Some((start, _)) = answer.match_indices(['{', '[']).find(opens) else { return Vec::new() };
    let mut rest = &answer[start..];
    let mut found = Vec::new();
    while let Some(quote) = rest.find('"') {
        rest = &rest[quote..];
        let mut values = Deserializer::from_str(rest).into_iter::<String>();
        let Some(Ok(text)) = values.next() else { break };
        rest = &rest[values.byte_offset()..];
        let is_key = rest.trim_start().starts_with(':');
        if !is_key {
            found.push(text);
        }
    }
    found
}

/// The lines that a number or a bullet begins.
fn from_lines(answer: &str) -> Vec<String> {
    answer.lines().filter_map(|line| item(line.trim())).collect()
}

fn item(line: &str) -> Option<String> {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let text = if digits > 0 {
        line[digits..].strip_prefix(['.', ')', ':'])?
    } else {
        line.strip_prefix(['-', '*', '•'])?.strip_prefix(' ')?
    };
    let text = text.trim().trim_end_matches(',').trim_matches(['"', '“', '”', '*', '`']);
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::queries;

    #[test]
    fn the_schema() {
        assert_eq!(
            queries(r#"{"queries": ["what is  a lease?", "oil royalty"]}"#),
            ["what is a lease?", "oil royalty"]
        );
    }

    #[test]
    fn a_fence_with_words_around_it() {
        assert_eq!(queries("Here you are:\n```json\n{\"queries\": [\"a\", \"b\"]}\n```\nAnything else?"), ["a", "b"]);
        assert_eq!(queries("```\n[\"a\", \"b\"]\n```"), ["a", "b"]);
    }

    #[test]
    fn thoughts_are_left_out() {
        assert_eq!(queries("<think>\n{\"queries\": [\"no\"]} or not?\n</think>\n\n{\"queries\": [\"a\"]}"), ["a"]);
        assert_eq!(queries("the opening tag was in the template</think>{\"queries\": [\"a\"]}"), ["a"]);
        assert!(queries("<think>1. it goes on and on [\"no\"]").is_empty());
    }

    #[test]
    fn a_bare_list() {
        assert_eq!(queries(r#"["a", "b"]"#), ["a", "b"]);
    }

    #[test]
    fn another_key_and_other_depths() {
        assert_eq!(queries(r#"{"language": "en", "questions": ["a", "b"]}"#), ["a", "b"]);
        assert_eq!(queries(r#"{"result": {"queries": ["a", "b"]}}"#), ["a", "b"]);
        assert_eq!(queries(r#"{"queries": [{"query": "a", "type": "question"}, {"query": "b"}]}"#), ["a", "b"]);
        assert_eq!(queries(r#"{"query1": "a", "query2": "b"}"#), ["a", "b"]);
    }

    #[test]
    fn brackets_before_the_json() {
        assert_eq!(queries(r#"As of [1] and {x}: {"queries": ["a"]}"#), ["a"]);
    }

    #[test]
    fn what_came_before_the_cut() {
        assert_eq!(queries(r#"{"queries": ["a \"quoted\" one", "b", "c is not comp"#), ["a \"quoted\" one", "b"]);
        assert_eq!(queries("```json\n{\"queries\": [\"a\", "), ["a"]);
        assert_eq!(queries(r#"{"queries": [{"query": "a"}, {"query": "b"}, {"qu"#), ["a", "b"]);
        assert!(queries(r#"{"queries": ["not comp"#).is_empty());
        assert!(queries(r#"{"queries": ["#).is_empty());
    }

    #[test]
    fn a_comma_too_many() {
        assert_eq!(queries(r#"{"queries": ["a", "b",]}"#), ["a", "b"]);
    }

    #[test]
    fn numbered_and_bulleted_lines() {
        assert_eq!(
            queries("Sure!\n1. What is [E0308]?\n2) \"mismatched types\"\n\nBye."),
            ["What is [E0308]?", "mismatched types"]
        );
        assert_eq!(queries("- a\n* **b**\n• c\n-- d"), ["a", "b", "c"]);
    }

    #[test]
    fn blanks_alone_are_no_queries() {
        assert_eq!(queries(r#"{"queries": ["", " \n", "...", "a"]}"#), ["", "", "...", "a"]);
        assert!(queries(r#"{"queries": ["", "..."]}"#).is_empty());
    }

    #[test]
    fn prose_and_nothing_hold_no_query() {
        for text in ["", "I cannot do that.", "null", "{}", "[]", "{\"queries\": []}", "[1, 2]", "[[[[[[", "{\"a\": 1}"]
        {
            assert!(queries(text).is_empty(), "{text}");
        }
        assert!(queries(&"[".repeat(10_000)).is_empty());
        assert!(queries(&"{\"a\":".repeat(10_000)).is_empty());
    }
}
