//! The beginning of a line in a list.

/// Bullets.
const BULLETS: [char; 17] = ['-', '*', '+', '•', '‣', '▪', '◦', '·', '–', '—', '●', '○', '■', '□', '➤', '→', '・'];
const ROMAN: [&str; 10] = ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x"];
/// The digit zero in ASCII, full width, Arabic, Persian, Devanagari, Bengali, Thai, Burmese and Khmer.
const ZEROS: [char; 9] = ['0', '０', '٠', '۰', '०', '০', '๐', '၀', '០'];
/// The longest label before a number, in characters.
const LONGEST_LABEL: usize = 24;

/// The mark at the beginning of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mark {
    Bullet,
    /// A number, with the label before it in lower case: `q` for `Q1:`.
    Number(String, u32),
}

/// The mark at the beginning of a line, and the rest of the line.
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

/// A number and its punctuation: `1.`, `1)`, `(1)`, `1、`, `①`, `a)`, `Q1:`, `**Query 1**:`.
fn number(text: &str) -> Option<(Mark, &str)> {
    let first = text.chars().next()?;
    let circled = [('①', '⑳'), ('⑴', '⒇'), ('❶', '❿')].into_iter().find(|(from, to)| (from..=to).contains(&&first));
    if let Some((from, _)) = circled {
        let number = first as u32 - from as u32 + 1;
        return Some((Mark::Number("①".into(), number), text[first.len_utf8()..].trim_start()));
    }
    let brackets = [('(', ')'), ('[', ']'), ('（', '）'), ('【', '】')].into_iter().find(|(open, _)| *open == first);
    if let Some((open, close)) = brackets {
        return number_in_brackets(text, open, close);
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
    labelled_number(text)
}

/// A number in brackets, such as `(1)` or `[1/3]`.
fn number_in_brackets(text: &str, open: char, close: char) -> Option<(Mark, &str)> {
    let (inner, rest) = text[open.len_utf8()..].split_once(close)?;
    if let Some((number, total)) = inner.split_once('/')
        && let (Some((number, "")), Some((total, ""))) = (digits(number), digits(total))
    {
        return Some((Mark::Number(format!("/{total}"), number), rest.trim_start()));
    }
    let number =
        digits(inner).filter(|(_, rest)| rest.is_empty()).map(|(number, _)| number).or_else(|| letter(inner))?;
    let is_list = open != '[' || rest.starts_with(|c: char| c.is_whitespace() || c == ':');
    let rest = rest.trim_start_matches(':');
    is_list.then(|| (Mark::Number(open.into(), number), rest.trim_start()))
}

/// A number with its punctuation, which may follow a label: `1.`, `1/3`, `Q1:`, `Query 1 - `.
fn labelled_number(text: &str) -> Option<(Mark, &str)> {
    let start = text.find(|c: char| digit(c).is_some())?;
    let label = text[..start].trim_end();
    let is_of_label = |c: char| c.is_alphabetic() || c == ' ' || c == '#' || c == '-';
    if label.starts_with(['-', ' ']) || label.chars().nth(LONGEST_LABEL).is_some() || !label.chars().all(is_of_label) {
        return None;
    }
    let (number, rest) = digits(&text[start..])?;
    let rest = strip_strong(rest).unwrap_or(rest);
    if let Some(rest) = rest.strip_prefix("\u{fe0f}\u{20e3}") {
        return Some((Mark::Number("①".into(), number), rest.trim_start())); // a keycap emoji
    }
    if label.is_empty()
        && let Some((total, after)) = rest.strip_prefix('/').and_then(digits)
        && (number..=99).contains(&total)
        && number > 0
        && let Some(after) = after.strip_prefix([' ', ':', '.', ')'])
    {
        return Some((Mark::Number(format!("/{total}"), number), after.trim_start()));
    }
    let rest = rest.strip_prefix('\\').unwrap_or(rest);
    if rest.trim().is_empty() && !label.is_empty() && is_label(&label.to_lowercase()) {
        return Some((Mark::Number(label.to_lowercase(), number), "")); // the label is a heading
    }
    let dash = rest.trim_start().strip_prefix(['-', '–', '—']).filter(|after| after.starts_with(' '));
    let point = rest.trim_start().strip_prefix([':', '：']).filter(|_| rest.starts_with([' ', ':', '：']));
    let point = point.or_else(|| rest.strip_prefix(['.', ')', '、', '．', '。', '）', ']', '\t']));
    let after = dash.or(point)?;
    // More digits follow: this is a decimal number or a time of day.
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

/// Whether a line only separates others: a code fence, a rule, a single tag.
pub(super) fn is_rule(line: &str) -> bool {
    let line = line.trim();
    let is_tag = line.starts_with('<') && line.ends_with('>') && !line.contains(' ');
    line.starts_with("```") || is_tag || line.len() > 2 && line.chars().all(|c| matches!(c, '-' | '*' | '_' | '='))
}

fn strip_strong(text: &str) -> Option<&str> {
    text.strip_prefix("**").or_else(|| text.strip_prefix("__"))
}

/// Whether the label before a number says only that a query follows.
pub(super) fn is_label(label: &str) -> bool {
    let last = label.rsplit(' ').next().unwrap_or(label);
    matches!(last, "" | "q" | "query" | "question" | "①" | "(" | "[" | "（" | "【" | "a" | "#")
}

/// A number of at most three digits in any script, and the rest of the text.
fn digits(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| digit(c).is_none()).unwrap_or(text.len());
    let count = text[..end].chars().count();
    let number = text[..end]
        .chars()
        .filter_map(digit)
        .fold(0, |number: u32, digit| number.saturating_mul(10).saturating_add(digit));
    (1..=3).contains(&count).then_some((number, &text[end..]))
}

fn digit(c: char) -> Option<u32> {
    ZEROS.iter().filter_map(|zero| (c as u32).checked_sub(*zero as u32)).find(|digit| *digit < 10)
}

/// The position in the alphabet of the letter that a text consists of.
fn letter(text: &str) -> Option<u32> {
    match text.as_bytes() {
        [letter] if letter.is_ascii_alphabetic() => Some(u32::from(letter.to_ascii_lowercase() - b'a') + 1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_many_kinds() {
        let marks = "1. |1.|1) |(1) |[1] |1: |1、|１．|（1）|【1】|①|a) |(a) |Q1: |Q1. |Query 1: |**Query 1:** |**Query 1**: |\
            **1.** |### 1. |> 1. |查询1：|Requête 1 : |Search query 1 - |1 - |1\t|- |* |• |•|- [ ] |– |- Q1: ";
        for mark in marks.split('|') {
            let line = format!("{mark}what is a lease?");
            assert_eq!(marker(&line).map(|(_, rest)| rest), Some("what is a lease?"), "{mark}");
        }
    }

    #[test]
    fn words_are_not_list_markers() {
        for line in ["1.5 months notice", "10:30 train", "2024 budget", "vec![\"a\"]", "-- d", "*args", "C++", ""] {
            assert_eq!(marker(line), None, "{line}");
        }
    }
}
