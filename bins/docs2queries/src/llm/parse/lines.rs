//! Plain lists: lines with numbers, bullets or labels, and lines with nothing at all.

use super::dress::undressed;

/// What may stand before the items of a list.
const BULLETS: [char; 17] = ['-', '*', '+', '•', '‣', '▪', '◦', '·', '–', '—', '●', '○', '■', '□', '➤', '→', '・'];
const ROMAN: [&str; 10] = ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x"];
/// A label before a number is no longer, in characters.
const LONGEST_LABEL: usize = 24;
/// A line of prose is longer than a query, in characters.
const LONGEST_QUERY: usize = 300;
/// Parts of words in the headings of lists of queries, and in those of what is beside them.
const WANTED: [&str; 16] = [
    "quer", "question", "keyword", "claim", "search", "anfrage", "frage", "requête", "consulta", "pregunta", "domand", "vragen",
    "查询", "问题", "検索", "質問",
];
const UNWANTED: [&str; 12] = [
    "note", "explanation", "reason", "rationale", "key point", "analysis", "summary", "why ", "hinweis", "remarque", "nota", "说明",
];

/// What begins a line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mark {
    Bullet,
    /// A number, with the word before it in small letters: `Q` of `Q1:`.
    Number(String, u32),
}

/// An item of a list.
struct Item {
    indent: usize,
    mark: Mark,
    text: String,
}

/// Items without other lines between them, and the line before them.
#[derive(Default)]
struct Run {
    heading: String,
    items: Vec<Item>,
}

/// The items of the lists with numbers or bullets in a text.
pub(super) fn marked(text: &str) -> Vec<String> {
    let runs = runs(text);
    let has = |run: &Run, words: &[&str]| words.iter().any(|word| run.heading.contains(word));
    let is_aside = |run: &&Run| has(run, &UNWANTED) && !has(run, &WANTED);
    let runs: Vec<&Run> = runs.iter().filter(|run| !run.items.is_empty() && !is_aside(run)).collect();
    let is_numbered = |run: &&Run| matches!(run.items[0].mark, Mark::Number(..));
    // Points that the model made before its list, or after it, have other marks or no heading of the kind.
    let first_wanted = runs.iter().position(|run| has(run, &WANTED));
    let numbers = runs.iter().any(is_numbered);
    let numbers = first_wanted.map_or(numbers, |first| is_numbered(&runs[first]));
    let runs = runs.iter().skip(first_wanted.unwrap_or_default()).filter(|run| is_numbered(run) == numbers);
    undressed(runs.flat_map(|run| of_run(run)).collect())
}

/// The lines of a text in which nothing but lines tells what is a query, if they look like it.
///
/// Lines that end with a colon announce others. Where some stand together, those that stand alone are notes; and where
/// something announces the list, so is the sentence after it.
pub(super) fn plain(text: &str, most: usize) -> Vec<String> {
    let lines = || text.lines().map(str::trim).filter(|line| !is_rule(line));
    if lines().any(is_code) {
        return Vec::new();
    }
    let mut blocks: Vec<Vec<&str>> = vec![Vec::new()];
    let mut is_announced = false;
    let mut announced: Vec<usize> = Vec::new();
    for line in lines() {
        if line.ends_with([':', '：']) {
            is_announced = true;
            announced.push(blocks.len());
        }
        if line.is_empty() || line.ends_with([':', '：']) {
            blocks.push(Vec::new());
        } else if let Some(block) = blocks.last_mut() {
            block.push(line);
        }
    }
    // Questions with answers.
    let labelled = |line: &&str| asks(line);
    if blocks.iter().flatten().any(labelled) {
        let asked: Vec<&str> = blocks.iter().flatten().copied().filter(labelled).collect();
        return undressed(asked.into_iter().map(str::to_owned).collect());
    }
    let has_list = blocks.iter().any(|block| block.len() > 1);
    let follows_heading = |at: usize| announced.contains(&at) || at > 0 && announced.contains(&(at - 1)) && blocks[at - 1].is_empty();
    let kept = blocks.iter().enumerate().filter(|(at, block)| !has_list || block.len() > 1 || follows_heading(*at));
    let mut queries: Vec<&str> = kept.flat_map(|(_, block)| block.iter().copied()).collect();
    let ends = |line: &str, marks: &[char]| line.ends_with(marks);
    if !has_list && is_announced && queries.len() > 1 && queries.last().is_some_and(|line| ends(line, &['.', '!', '。', '！'])) {
        queries.pop();
    }
    if let [first, second, _, ..] = queries[..]
        && ends(first, &['!', '！'])
        && !ends(second, &['!', '！'])
    {
        queries.remove(0);
    }
    let sentences = queries.iter().filter(|line| ends(line, &['.', '!', '。', '！'])).count();
    let begins_with_sentence = !is_announced && queries.first().is_some_and(|line| ends(line, &['.', '!', '。', '！']));
    let is_prose = begins_with_sentence || sentences * 2 > queries.len() || queries.iter().any(|line| line.chars().nth(LONGEST_QUERY).is_some());
    let is_one = |line: &str| most == 1 && line.ends_with(['?', '？']) && !line.contains(". ") && !line.contains("! ");
    let is_list = queries.len() > 1 || queries.first().is_some_and(|line| is_announced || is_one(line));
    if is_prose || !is_list { Vec::new() } else { undressed(queries.into_iter().map(str::to_owned).collect()) }
}

/// Whether a line says of itself that it is a query: `Q: …`.
fn asks(line: &str) -> bool {
    let label = line.split_once([':', '：']).map(|(label, _)| label.trim_matches('*').to_lowercase());
    label.is_some_and(|label| matches!(label.as_str(), "q" | "query" | "question"))
}

/// Queries that are numbered or have bullets although they are the strings of a list, without those.
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

/// The items of a string that is known to be a list.
pub(super) fn of_string(text: &str) -> Vec<String> {
    let items = marked(text);
    if !items.is_empty() {
        return items;
    }
    undressed(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn runs(text: &str) -> Vec<Run> {
    let mut runs = vec![Run::default()];
    let mut numbers: Vec<(String, u32)> = Vec::new();
    let mut follows_blank = false;
    for line in text.lines().filter(|line| !is_rule(line)) {
        if line.trim().is_empty() {
            follows_blank = true;
            continue;
        }
        let indent = line.chars().take_while(|c| c.is_whitespace()).map(|c| if c == '\t' { 4 } else { 1 }).sum();
        let found = marker(line).filter(|(mark, _)| continues(mark, &mut numbers));
        let Some(run) = runs.last_mut() else { break };
        let awaited = run.items.last_mut().filter(|item| item.text.is_empty());
        let begins_item = |(mark, _): &(Mark, &str)| matches!(mark, Mark::Number(label, _) if is_label(label)) || awaited.is_none();
        if let Some((mark, text)) = found.filter(begins_item) {
            let item = Item { indent, mark, text: text.to_owned() };
            let is_of_another = run.items.first().is_some_and(|first| indent <= first.indent && !is_kind(first, &item));
            if follows_blank && is_of_another {
                runs.push(Run { heading: String::new(), items: vec![item] });
            } else {
                run.items.push(item);
            }
        } else if let Some(item) = awaited {
            line.trim().clone_into(&mut item.text); // a label on a line of its own
        } else if indent == 0 {
            runs.push(Run { heading: line.to_lowercase(), items: Vec::new() });
        }
        follows_blank = false;
    }
    // A word and a number before one line only is what that line says.
    let count = |label: &str| {
        let items = runs.iter().flat_map(|run| &run.items);
        items.filter(|item| matches!(&item.mark, Mark::Number(other, _) if other == label)).count()
    };
    let single: Vec<String> = numbers.iter().map(|(label, _)| label.clone()).filter(|label| !is_label(label) && count(label) < 2).collect();
    for run in &mut runs {
        run.items.retain(|item| !matches!(&item.mark, Mark::Number(label, _) if single.contains(label)));
    }
    runs
}

/// Whether a number is the next one of its kind: `1.5 months` and `2024: a year` are not.
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

/// The queries of a run: its outer items, or the inner ones of those that are headings.
fn of_run(run: &Run) -> Vec<String> {
    let Some(outer) = run.items.iter().map(|item| item.indent).min() else { return Vec::new() };
    let is_outer = |item: &Item| item.indent <= outer + 1 && is_kind(item, &run.items[0]);
    let mut queries = Vec::new();
    let mut items = run.items.iter().peekable();
    while let Some(item) = items.next() {
        let mut inner = Vec::new();
        while let Some(next) = items.next_if(|next| !is_outer(next)) {
            inner.push(&next.text);
        }
        let text = item.text.trim_end_matches(['*', '_']).trim_end();
        let is_bold = item.text.starts_with("**") && item.text.ends_with("**");
        let are_fields = inner.iter().all(|text| text.split_once(':').is_some_and(|(key, _)| key.split_whitespace().count() < 4));
        if text.ends_with([':', '：']) || is_bold && !inner.is_empty() && !are_fields {
            queries.extend(inner.into_iter().cloned());
        } else {
            queries.push(item.text.clone());
        }
    }
    queries
}

/// What begins a line of a list, and the rest of the line.
pub(super) fn marker(line: &str) -> Option<(Mark, &str)> {
    let line = line.trim().trim_start_matches('>').trim_start();
    let heading = line.trim_start_matches('#');
    let line = if heading.starts_with(' ') { heading.trim_start() } else { line };
    let strong = |text| strip_strong(text).unwrap_or(text);
    if let Some((number, rest)) = number(strong(line)) {
        return Some((number, rest));
    }
    let bullet = line.chars().next().filter(|c| BULLETS.contains(c))?;
    let rest = &line[bullet.len_utf8()..];
    if !rest.starts_with(char::is_whitespace) && "-*+–—·→".contains(bullet) {
        return None;
    }
    let rest = rest.trim_start();
    let rest = ["[ ] ", "[x] ", "[X] "].iter().find_map(|mark| rest.strip_prefix(mark)).unwrap_or(rest);
    match number(strong(rest)) {
        Some((Mark::Number(label, number), rest)) if is_label(&label) && !label.is_empty() => {
            Some((Mark::Number(label, number), rest))
        }
        _ => Some((Mark::Bullet, rest)),
    }
}

/// A number with the marks around it: `1.`, `1)`, `(1)`, `1、`, `①`, `a)`, `Q1:`, `**Query 1**:`.
fn number(text: &str) -> Option<(Mark, &str)> {
    let first = text.chars().next()?;
    let circled = [('①', '⑳'), ('⑴', '⒇'), ('❶', '❿')].into_iter().find(|(from, to)| (from..=to).contains(&&first));
    if let Some((from, _)) = circled {
        let number = first as u32 - from as u32 + 1;
        return Some((Mark::Number("①".into(), number), text[first.len_utf8()..].trim_start()));
    }
    let partner = [('(', ')'), ('[', ']'), ('（', '）'), ('【', '】')].into_iter().find(|(open, _)| *open == first);
    if let Some((open, close)) = partner {
        let (inner, rest) = text[open.len_utf8()..].split_once(close)?;
        let number = digits(inner).filter(|(_, rest)| rest.is_empty()).map(|(number, _)| number).or_else(|| letter(inner))?;
        let is_list = open != '[' || rest.starts_with(char::is_whitespace);
        return is_list.then(|| (Mark::Number(open.into(), number), rest.trim_start()));
    }
    if let Some((inner, rest)) = text.split_once(['.', ')'])
        && let Some(number) = ROMAN.iter().position(|roman| roman.eq_ignore_ascii_case(inner))
    {
        return Some((Mark::Number("i".into(), number as u32 + 1), rest.trim_start()));
    }
    if let Some((inner, rest)) = text.split_once(')')
        && let Some(number) = letter(inner)
    {
        return Some((Mark::Number("a".into(), number), rest.trim_start()));
    }
    let start = text.find(|c: char| digit(c).is_some())?;
    let label = text[..start].trim_end();
    let is_of_label = |c: char| c.is_alphabetic() || c == ' ' || c == '#' || c == '-';
    if label.starts_with(['-', ' ']) || label.chars().nth(LONGEST_LABEL).is_some() || !label.chars().all(is_of_label) {
        return None;
    }
    let (number, rest) = digits(&text[start..])?;
    let rest = strip_strong(rest).unwrap_or(rest);
    if rest.trim().is_empty() && !label.is_empty() && is_label(&label.to_lowercase()) {
        return Some((Mark::Number(label.to_lowercase(), number), "")); // a heading
    }
    let dash = rest.trim_start().strip_prefix(['-', '–', '—']).filter(|after| after.starts_with(' '));
    let point = rest.trim_start().strip_prefix([':', '：']).filter(|_| rest.starts_with([' ', ':', '：']));
    let point = point.or_else(|| rest.strip_prefix(['.', ')', '、', '．', '。', '）', ']', '\t']));
    let after = dash.or(point)?;
    // A number goes on: it is a decimal one, or a time.
    if after.starts_with(|c: char| digit(c).is_some()) && !rest.starts_with([')', '、', '。', '）', ']', '\t']) {
        return None;
    }
    if !label.is_empty() && !after.is_empty() && after == after.trim_start() && rest.starts_with('.') {
        return None;
    }
    let after = strip_strong(after).unwrap_or(after);
    let label = label.to_lowercase();
    Some((Mark::Number(label, number), after.trim_start()))
}

fn strip_strong(text: &str) -> Option<&str> {
    text.strip_prefix("**").or_else(|| text.strip_prefix("__"))
}

/// Whether a word before a number, or before a colon, says no more than that a query follows.
fn is_label(label: &str) -> bool {
    let last = label.rsplit(' ').next().unwrap_or(label);
    matches!(last, "" | "q" | "query" | "question" | "①" | "(" | "[" | "（" | "【" | "a" | "#")
}

/// A number of at most three digits, which may be wide, and the rest.
fn digits(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| digit(c).is_none()).unwrap_or(text.len());
    let count = text[..end].chars().count();
    let number = text[..end].chars().filter_map(digit).fold(0, |number: u32, digit| number.saturating_mul(10).saturating_add(digit));
    (1..=3).contains(&count).then_some((number, &text[end..]))
}

fn digit(c: char) -> Option<u32> {
    c.to_digit(10).or_else(|| ('０'..='９').contains(&c).then(|| c as u32 - '０' as u32))
}

/// The place of a letter in the alphabet, when it is all of the text.
fn letter(text: &str) -> Option<u32> {
    match text.as_bytes() {
        [letter] if letter.is_ascii_alphabetic() => Some(u32::from(letter.to_ascii_lowercase() - b'a') + 1),
        _ => None,
    }
}

/// Lines that part others: fences, rules, tags alone.
fn is_rule(line: &str) -> bool {
    let line = line.trim();
    let is_tag = line.starts_with('<') && line.ends_with('>') && !line.contains(' ');
    line.starts_with("```") || is_tag || line.len() > 2 && line.chars().all(|c| matches!(c, '-' | '*' | '_' | '='))
}

/// A line that JSON consists of.
fn is_code(line: &str) -> bool {
    let rest = line.strip_prefix(['{', '[', '}', ']']);
    rest.is_some_and(|rest| rest.is_empty() || rest.trim_start().starts_with(['"', '\'', '{', '[', ']', '}', ',']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_many_kinds() {
        for mark in [
            "1. ", "1.", "1) ", "(1) ", "[1] ", "1: ", "1、", "１．", "（1）", "【1】", "①", "a) ", "(a) ", "Q1: ", "Q1. ", "Query 1: ",
            "**Query 1:** ", "**Query 1**: ", "**1.** ", "### 1. ", "> 1. ", "查询1：", "Requête 1 : ", "Search query 1 - ", "1 - ", "1\t",
            "- ", "* ", "• ", "•", "- [ ] ", "– ", "- Q1: ",
        ] {
            let line = format!("{mark}what is a lease?");
            assert_eq!(marker(&line).map(|(_, rest)| rest), Some("what is a lease?"), "{mark}");
        }
    }

    #[test]
    fn words_of_the_text_are_no_marks() {
        for line in ["1.5 months notice", "10:30 train", "2024 budget", "vec![\"a\"]", "-- d", "*args", "C++", ""] {
            assert_eq!(marker(line), None, "{line}");
        }
        for text in ["2024: a year", "15. Mai 2024", "3) of three", "what is 1. FC Nuremberg"] {
            assert!(marked(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn headings_points_and_notes_are_no_queries() {
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
            assert_eq!(plain(text, 5), ["lease term", "1.5 months notice"], "{text}");
        }
        for prose in ["I cannot do that.", "I cannot.\nIt is not right.", "{\n\"a\": \"b\"\n}", "null", "", "What?"] {
            assert!(plain(prose, 5).is_empty(), "{prose}");
        }
        assert_eq!(plain("What is a lease?", 1), ["What is a lease?"]);
    }
}
