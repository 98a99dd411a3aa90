//! Removes a model's reasoning before its answer, in the format of each family, and any text after its turn.

use super::list_markers::{Mark, marker};

/// The marks of harmony, the format of GPT-OSS (<https://cookbook.openai.com/articles/openai-harmony>).
const CHANNEL: &str = "<|channel|>";
const MESSAGE: &str = "<|message|>";
/// The tags around thoughts, in lower case: an opening and a closing one with `…` between them, and `¦` between pairs.
const THOUGHTS: &str = "<think>…</think>¦<thinking>…</thinking>¦<thought>…</thought>¦<thoughts>…</thoughts>¦\
    <reasoning>…</reasoning>¦<reason>…</reason>¦<reflection>…</reflection>¦<analysis>…</analysis>¦\
    <scratchpad>…</scratchpad>¦<antthinking>…</antthinking>¦<seed:think>…</seed:think>¦\
    <longcat_think>…</longcat_think>¦<details…</details>¦[think]…[/think]¦[thinking]…[/thinking]¦\
    [reasoning]…[/reasoning]¦◁think▷…◁/think▷¦<|think|>…<|/think|>¦<|thinking|>…<|/thinking|>¦\
    <|begin_of_thought|>…<|end_of_thought|>¦<|start_thinking|>…<|end_thinking|>¦<|inner_prefix|>…<|inner_suffix|>¦\
    <|channel>thought…<channel|>¦<unused94>thought…<unused95>¦here is my thought process:…here is my response:¦\
    thinking...\n…...done thinking.";
/// Tokens that end a turn or begin the next.
const TURNS: &str = "<|im_end|> <|im_start|> <|eot_id|> <|eom_id|> <|start_header_id|> <|end_of_text|> \
    <|endoftext|> <|end_of_turn|> <|end_of_role|> <|start_of_role|> <|end|> <|return|> <|user|> \
    <|END_OF_TURN_TOKEN|> <end_of_turn> <start_of_turn> <turn|> <|turn> <eos> </s> [INST] <｜end▁of▁sentence｜>";
/// Names before a turn of the user, which a model invents if nothing stops it.
const ASKERS: [&str; 3] = ["user", "human", "instruction"];
/// Elements that contain the answer.
const ELEMENTS: [&str; 5] = ["answer", "final_answer", "response", "output", "solution"];
/// Names of a section of thoughts without tags.
const SECTIONS: &str = "thinking process|thought process|thinking|thoughts|reasoning|reasoning process|analysis|\
    chain of thought";
/// Names of the section that follows it.
const ANSWERS: &str = "final answer|final output|final queries|final response|final json|final|answer|output|\
    response";

/// The text without thoughts; empty if the reply was cut off during the thoughts.
pub(super) fn without_thoughts(text: &str) -> String {
    element(without_section(&without_blocks(final_message(text)))).to_owned()
}

/// The message in harmony's final channel, else the last one that is not analysis. If the server has removed the marks,
/// the names of the channels tell.
fn final_message(text: &str) -> &str {
    if text.contains(CHANNEL) || text.contains(MESSAGE) {
        let mut messages = text.split(CHANNEL);
        let before = messages.next().unwrap_or_default();
        let (name, message) = before.split_once(MESSAGE).unwrap_or(("final", before));
        let before = (name.trim(), message.trim_end().trim_end_matches("assistant").trim_end_matches("<|start|>"));
        let others = messages.map(|message| match message.split_once(MESSAGE) {
            Some((name, message)) => (name.trim(), message),
            None if message.starts_with("final") => ("final", &message["final".len()..]),
            None => ("analysis", message),
        });
        let messages: Vec<(&str, &str)> = [before]
            .into_iter()
            .chain(others)
            .filter(|(name, text)| !name.contains("analysis") && !text.trim().is_empty())
            .collect();
        let last_final = messages.iter().rev().find(|(name, _)| name.starts_with("final"));
        return last_final.or(messages.last()).map_or("", |(_, message)| message);
    }
    let start = text.trim_start();
    let is_analysis =
        start.strip_prefix("analysis").is_some_and(|rest| rest.starts_with(|c: char| c.is_uppercase() || c == '\n'));
    let is_value = |rest: &str| rest.trim_start().starts_with(['{', '[', '`']);
    for channel in ["final", "commentary"] {
        for (at, word) in text.rmatch_indices("assistant") {
            let rest = text[at + word.len()..].trim_start();
            if let Some(rest) = rest.strip_prefix(channel)
                && (is_analysis || is_value(rest))
            {
                return rest;
            }
        }
    }
    if is_analysis { "" } else { text }
}

/// The turns of a text. What follows the model's own turn is a conversation that it made up, and a document is an echo
/// of the prompt's, or one that it made up.
pub(super) fn turns(text: &str) -> Vec<&str> {
    let mut parts = text.split("<document>");
    let first = parts.next().into_iter();
    let mut turns: Vec<&str> =
        first.chain(parts.filter_map(|part| part.split_once("</document>")).map(|(_, rest)| rest)).collect();
    for mark in TURNS.split(' ') {
        turns = turns.into_iter().flat_map(|turn| turn.split(mark)).collect();
    }
    turns.into_iter().flat_map(by_asker).collect()
}

/// The parts of a text before and after each line that begins with the name of the user: `User: …`, `### Human:`.
fn by_asker(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut at) = (0, 0);
    let is_called = |line: &str, names: &[&str]| {
        let words = line.trim_start_matches(['#', '*', ' ']);
        let name = words.split_once(':').map_or(words, |(name, _)| name).trim_end_matches(['*', ' ', '\r', '\n']);
        !line.starts_with(' ') && names.iter().any(|other| name.eq_ignore_ascii_case(other))
    };
    // A single line of that kind between others, without a reply to it, names the searcher of a query.
    let has_reply = text.lines().any(|line| is_called(line, &["assistant", "ai", "response"]));
    for line in text.split_inclusive('\n') {
        let follows_blank = text[..at].lines().next_back().is_none_or(|line| line.trim().is_empty());
        let is_turn = is_called(line, &ASKERS) && (has_reply || follows_blank);
        if is_turn {
            parts.push(&text[start..at]);
            start = at;
        }
        at += line.len();
    }
    parts.push(&text[start..]);
    parts
}

/// The text without the thoughts between tags. A closing tag alone ends thoughts that the chat template
/// opened.
fn without_blocks(text: &str) -> String {
    let marks = marks(text);
    let mut last_close = vec![0; THOUGHTS.split('¦').count()];
    for mark in marks.iter().filter(|mark| !mark.opens) {
        last_close[mark.of] = mark.start;
    }
    let mut left = String::new();
    let mut at = 0;
    let mut open: Option<usize> = None;
    for mark in marks {
        match open {
            Some(of) if mark.opens || mark.of != of => {}
            Some(_) => (open, at) = (None, mark.end),
            None if mark.opens => {
                let line = text[..mark.start].rsplit('\n').next().unwrap_or_default();
                // An opening tag in the middle of a line that is never closed is part of the text.
                if last_close[mark.of] > mark.start || line.trim().is_empty() {
                    left.push_str(&text[at..mark.start]);
                    open = Some(mark.of);
                }
            }
            None => {
                left.clear();
                at = mark.end;
            }
        }
    }
    if open.is_none() {
        left.push_str(&text[at..]);
    }
    left
}

/// A tag that opens or closes thoughts.
struct Tag {
    start: usize,
    end: usize,
    /// The index of its pair.
    of: usize,
    opens: bool,
}

/// All tags of thoughts in a text.
fn marks(text: &str) -> Vec<Tag> {
    let pairs: Vec<(&str, &str)> = THOUGHTS.split('¦').filter_map(|pair| pair.split_once('…')).collect();
    let small = text.to_ascii_lowercase();
    let mut marks = Vec::new();
    for (start, _) in small.match_indices(['<', '[', '◁', 'h', 't', '.']) {
        let rest = &small[start..];
        let found = pairs.iter().enumerate().find_map(|(of, (open, close))| {
            let is =
                |mark: &str, opens| rest.starts_with(mark).then(|| Tag { start, end: start + mark.len(), of, opens });
            is(open, true).or_else(|| is(close, false))
        });
        marks.extend(found);
    }
    marks
}

/// The content of the last element that is named after an answer.
fn element(text: &str) -> &str {
    let found = ELEMENTS.iter().find_map(|name| {
        let (at, open) = text
            .rmatch_indices(&format!("<{name}>"))
            .find(|(at, _)| *at == 0 || text[..*at].ends_with('\n'))
            .map(|(at, open)| (at, open.len()))?;
        let inner = &text[at + open..];
        Some(inner.split_once(&format!("</{name}>")).map_or(inner, |(inner, _)| inner))
    });
    found.filter(|inner| inner.contains(char::is_alphanumeric)).unwrap_or(text)
}

/// The text after a section of thoughts with a heading: from the line that announces the answer on, else after the last
/// point of the thoughts.
fn without_section(text: &str) -> &str {
    let text = text.trim_start();
    let heading = text.lines().next().unwrap_or_default();
    let name = heading.to_lowercase();
    let name = name.trim_matches(|c: char| !c.is_alphanumeric());
    let name = ["here's a ", "here's my ", "here is a ", "here is my ", "my "]
        .iter()
        .find_map(|start| name.strip_prefix(start))
        .unwrap_or(name);
    let is_marked = heading.trim_end().ends_with([':', '*']) || heading.starts_with('#');
    if !SECTIONS.split('|').any(|section| section == name) || !is_marked {
        return text;
    }
    let mut answer = "";
    let mut at = heading.len();
    let is_announced = text.lines().any(|line| announced(line).is_some());
    let mut points = 0;
    for line in text[heading.len()..].split_inclusive('\n') {
        let announced = announced(line);
        if let Some(same_line) = announced {
            answer = &text[at + line.len() - same_line.len()..];
        } else if !is_announced && let Some((mark, _)) = marker(line) {
            let is_outer = !line.starts_with(char::is_whitespace);
            match mark {
                Mark::Number(label, 1) if is_outer && label.is_empty() && points > 1 => return &text[at..], // another list begins
                Mark::Number(label, number) if is_outer && label.is_empty() => points = number,
                _ => {}
            }
            answer = &text[at + line.len()..];
        }
        at += line.len();
    }
    answer
}

/// The rest of a line after the words that announce an answer.
fn announced(line: &str) -> Option<&str> {
    let unmarked = marker(line)
        .map_or(line, |(_, rest)| rest)
        .trim_start_matches(|c: char| c.is_whitespace() || "#*_".contains(c));
    let length = ANSWERS
        .split('|')
        .find(|name| unmarked.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))?
        .len();
    let rest = unmarked[length..].trim_start_matches(['*', '_', ' ']);
    rest.strip_prefix(':')
        .or_else(|| rest.trim().is_empty().then_some(rest))
        .map(|rest| rest.trim_start_matches(['*', '_']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_in_all_formats() {
        for text in [
            "<think>no</think>yes",
            "<think>\nno\n</think>\n\nyes",
            "no</think>yes",
            "<think>no<think>no</think>no</think>yes",
            "<THINK>no</Think>yes",
            "[THINK]no[/THINK]yes",
            "◁think▷no◁/think▷yes",
            "<|begin_of_thought|>no<|end_of_thought|>yes",
            "<|channel>thought\nno<channel|>yes",
            "<details type=\"reasoning\" done=\"true\"><summary>no</summary>no</details>yes",
            "Here is my thought process: no Here is my response: yes",
            "Thinking...\nno\n...done thinking.\n\nyes",
            "yes<think>no</think>",
            "no\n<answer>\nyes\n</answer>\nno",
            "<response>yes</response>",
            "yes\n<think>no",
            "<|channel|>analysis<|message|>no<|end|><|start|>assistant<|channel|>final<|message|>yes",
            "analysis<|message|>no<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>yes",
            "<|channel|>analysis<|message|>no<|end|><|start|>assistant<|channel|>commentary to=functions.x<|message|>yes",
            "<|channel|>final<|message|>yes",
            "analysisWe think: no.assistantfinalyes",
            "analysis\nno\nassistant\nfinal\nyes",
            "Thinking Process:\n\n1.  **Analyze:** no\n2.  no\n\nFinal answer:\nyes",
            "**Thinking Process:**\n\n1. no\n2. **Final Output:** yes",
            "# Reasoning\n- no\n- no\n\nyes",
            "Reasoning:\n1. no\n2. no\n\n1. yes",
        ] {
            assert_eq!(without_thoughts(text).trim().trim_start_matches("1. "), "yes", "{text}");
        }
    }

    #[test]
    fn thoughts_that_were_cut_off_leave_nothing() {
        for text in [
            "<think>it goes on and on",
            "[THINK] on",
            "<|channel|>analysis<|message|>on",
            "analysisWe on",
            "Thinking Process:\n1. on\n2. on",
        ] {
            assert_eq!(without_thoughts(text).trim(), "", "{text}");
        }
    }

    #[test]
    fn words_are_not_channel_marks() {
        for text in [
            "what does <think> do",
            "analysis of the lease",
            "who is assistant final editor",
            "Reasoning by analogy",
            "",
        ] {
            assert_eq!(without_thoughts(text), text);
        }
    }
}
