//! The channels of harmony, the form of GPT-OSS.

const CHANNEL: &str = "<|channel|>";
const MESSAGE: &str = "<|message|>";

/// The message of harmony's final channel (<https://cookbook.openai.com/articles/openai-harmony>), else its last one that
/// is no analysis; also where the server took the marks out and left the words.
pub(super) fn message(text: &str) -> &str {
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
        let said: Vec<(&str, &str)> = [before]
            .into_iter()
            .chain(others)
            .filter(|(name, text)| !name.contains("analysis") && !text.trim().is_empty())
            .collect();
        let last_final = said.iter().rev().find(|(name, _)| name.starts_with("final"));
        return last_final.or(said.last()).map_or("", |(_, message)| message);
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
