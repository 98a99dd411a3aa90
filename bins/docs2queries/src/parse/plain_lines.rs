//! Lists without any marks, whose lines are the queries.

use super::decoration::undecorated;
use super::headings::is_heading;
use super::key_names::is_kind_label;
use super::list_markers::is_rule;

/// A longer line is prose and no query, in characters.
const LONGEST_QUERY: usize = 300;

/// The lines of a text, if they look like queries.
///
/// Headings, and lines that end with a colon, announce others. If some lines are adjacent, single ones are notes. If
/// something announces the list, a sentence after it is a note too.
pub(super) fn lines(text: &str, max_queries: usize) -> Vec<String> {
    let all = || text.lines().map(trimmed).filter(|line| !is_rule(line) && !is_aside(line));
    if all().any(is_code) {
        return Vec::new();
    }
    // If all lines look like headings, they are the queries.
    let is_colon = |line: &str| line.ends_with([':', '：']);
    let has_text = all().any(|line| !line.is_empty() && !is_heading(line));
    let has_kinds = all().filter(|line| is_kind_label(line)).count() > 1;
    let announces = |line: &str| {
        is_colon(line)
            || has_text && has_kinds && is_kind_label(line)
            || has_text && is_heading(line) && is_real_heading(line)
    };
    let mut blocks: Vec<Vec<&str>> = vec![Vec::new()];
    let mut is_announced = false;
    let mut announced: Vec<usize> = Vec::new();
    for line in all() {
        if announces(line) {
            is_announced = true;
            announced.push(blocks.len());
        }
        if line.is_empty() || announces(line) {
            blocks.push(Vec::new());
        } else if let Some(block) = blocks.last_mut() {
            block.push(line);
        }
    }
    // Questions with answers.
    let labelled = |line: &&str| is_labelled(line);
    if blocks.iter().flatten().any(labelled) {
        let asked: Vec<&str> = blocks.iter().flatten().copied().filter(labelled).collect();
        return undecorated(asked.into_iter().map(str::to_owned).collect());
    }
    let has_list = blocks.iter().any(|block| block.len() > 1);
    let follows_heading =
        |at: usize| announced.contains(&at) || at > 0 && announced.contains(&(at - 1)) && blocks[at - 1].is_empty();
    // If there are several headings, the queries are below them, and notes come last.
    let is_parted = (0..blocks.len()).filter(|at| follows_heading(*at) && !blocks[*at].is_empty()).count() > 1;
    let is_list =
        |(at, block): &(usize, &Vec<&str>)| follows_heading(*at) || block.len() > 1 || !has_list && !is_parted;
    let kept = blocks.iter().enumerate().filter(is_list);
    let mut queries: Vec<&str> = kept.flat_map(|(_, block)| block.iter().copied()).collect();
    let ends_with_note = queries.len() > 1 && queries.last().is_some_and(|line| is_sentence(line));
    if is_announced && !has_list && !is_parted && ends_with_note {
        queries.pop();
    }
    if let [first, second, _, ..] = queries[..]
        && is_exclamation(first)
        && !is_exclamation(second)
    {
        queries.remove(0);
    }
    let sentences = queries.iter().filter(|line| is_sentence(line)).count();
    let begins_with_sentence = !is_announced && queries.first().is_some_and(|line| is_sentence(line));
    let is_prose = begins_with_sentence
        || sentences * 2 > queries.len()
        || queries.iter().any(|line| line.chars().nth(LONGEST_QUERY).is_some());
    let is_only_query =
        |line: &str| max_queries == 1 && line.ends_with(['?', '？']) && !line.contains(". ") && !line.contains("! ");
    let is_list = queries.len() > 1 || queries.first().is_some_and(|line| is_announced || is_only_query(line));
    if is_prose || !is_list { Vec::new() } else { undecorated(queries.into_iter().map(str::to_owned).collect()) }
}

/// Whether a line ends like a sentence that is not a question.
fn is_sentence(line: &str) -> bool {
    line.ends_with(['.', '。']) || is_exclamation(line)
}

fn is_exclamation(line: &str) -> bool {
    line.ends_with(['!', '！'])
}

/// Whether a line labels itself as a query: `Q: …`.
fn is_labelled(line: &str) -> bool {
    line.split_once([':', '：'])
        .is_some_and(|(label, query)| is_kind_label(label) && query.contains(char::is_alphanumeric))
}

/// Whether a line that looks like a heading is one, rather than a query in bold type.
fn is_real_heading(line: &str) -> bool {
    line.starts_with('#') || is_kind_label(line) || line.trim_end_matches(['*', '_', ' ']).ends_with([':', '：'])
}

/// A trimmed line, which is empty if it consists of a quotation mark (`>`) only.
fn trimmed(line: &str) -> &str {
    let line = line.trim();
    if line == ">" { "" } else { line }
}

/// Whether a line is a remark in brackets.
fn is_aside(line: &str) -> bool {
    line.starts_with(['(', '（']) && line.ends_with([')', '）'])
}

/// Whether a line is part of JSON.
fn is_code(line: &str) -> bool {
    let rest = line.strip_prefix(['{', '[', '}', ']']);
    rest.is_some_and(|rest| rest.is_empty() || rest.trim_start().starts_with(['"', '\'', '{', '[', ']', '}', ',']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_lines() {
        for text in [
            "lease term\n1.5 months notice",
            "Here are two queries:\nlease term\n1.5 months notice",
            "Two queries follow.\n\nlease term\n1.5 months notice\n\nLet me know!",
            "Here:\n\nlease term\n\n1.5 months notice\n\nLet me know whether they help.",
            "Voici les requêtes :\n\nlease term\n1.5 months notice\n\nN'hésitez pas.",
            "```\nlease term\n1.5 months notice\n```",
            "<queries>\nlease term\n1.5 months notice\n</queries>",
            "\"lease term\"\n\"1.5 months notice\"",
        ] {
            assert_eq!(lines(text, 5), ["lease term", "1.5 months notice"], "{text}");
        }
        for prose in ["I cannot do that.", "I cannot.\nIt is not right.", "{\n\"a\": \"b\"\n}", "null", "", "What?"] {
            assert!(lines(prose, 5).is_empty(), "{prose}");
        }
        assert_eq!(lines("What is a lease?", 1), ["What is a lease?"]);
    }
}
