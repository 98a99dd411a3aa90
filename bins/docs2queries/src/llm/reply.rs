//! A chat completion, read as leniently as servers write it.

use serde_json::Value;

use super::budget::Tokens;
use super::failure::FailureKind;
use crate::text::{has_word, one_line};

/// Characters of a server's or model's text that a message shows.
const EXCERPT_CHARS: usize = 200;

/// Finish reasons of replies that moderation stopped or withheld: OpenAI's and Azure's, Zhipu's, Google's, Anthropic's,
/// Bedrock's. What there is of such a reply is no answer.
const MODERATED: &str = "content_filter sensitive safety recitation prohibited_content blocklist spii refusal \
    guardrail_intervened";

/// Why a reply contains no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unusable {
    pub(crate) kind: FailureKind,
    pub(crate) message: String,
}

/// The contents of a chat completion. A field that is missing or has another type counts as absent and is never an
/// error, because the reply is paid for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    content: String,
    refusal: Option<String>,
    finish_reason: Option<String>,
    /// Token counts, if the server gives them.
    pub(crate) usage: Option<Tokens>,
}

impl Reply {
    /// Reads the body of a response.
    pub(crate) fn read(body: &Value) -> Self {
        let choice = &body["choices"][0];
        let message = &choice["message"];
        let text = |value: &Value| value.as_str().map(str::to_owned).filter(|text| !text.is_empty());
        let content = content(&message["content"]);
        Self {
            usage: Tokens::of_usage(&body["usage"], !content.is_empty()),
            content,
            refusal: text(&message["refusal"]),
            finish_reason: text(&choice["finish_reason"]),
        }
    }

    /// The tokens that the reply and its request took. Without counts from the server, these are the most that the
    /// request could take; a reply without a limit (`output` is 0) counts as many tokens as it has bytes.
    pub(crate) fn tokens(&self, most: Tokens) -> Tokens {
        let output = if most.output > 0 { most.output } else { self.content.len() as u64 };
        self.usage.unwrap_or(Tokens { output, ..most })
    }

    /// The text that the model wrote.
    ///
    /// # Errors
    /// A reply that moderation stopped: what there is of it must not be used.
    pub(crate) fn text(&self) -> Result<&str, Unusable> {
        let reason = self.finish_reason();
        if !has_word(MODERATED, &reason.to_lowercase()) {
            return Ok(&self.content);
        }
        let message = format!("moderation stopped the reply (finish reason: {reason}){}", self.excerpt());
        Err(Unusable { kind: FailureKind::Moderated, message })
    }

    /// Whether the reply reached its length limit, so that its end is missing.
    pub(crate) fn is_cut_off(&self) -> bool {
        matches!(self.finish_reason(), "length" | "max_tokens" | "MAX_TOKENS")
    }

    /// Whether the text contains characters in place of those that the server did not send whole.
    pub(crate) fn is_mended(&self) -> bool {
        self.content.contains(char::REPLACEMENT_CHARACTER)
    }

    /// Why there is no answer in the text; `missing` names the thing that was looked for, such as "query".
    pub(crate) fn without(&self, missing: &str) -> Unusable {
        if let Some(refusal) = &self.refusal {
            return Unusable {
                kind: FailureKind::Refused,
                message: format!("the model refused: {}", excerpt(refusal)),
            };
        }
        let is_empty = self.content.trim().is_empty();
        let kind = match (self.is_cut_off(), is_empty) {
            (true, _) => FailureKind::CutOff,
            (false, true) => FailureKind::Empty,
            (false, false) => FailureKind::NoAnswer,
        };
        let reason = self.finish_reason();
        let message = if is_empty {
            format!("the model's answer is empty (finish reason: {reason})")
        } else {
            format!("no {missing} in the model's answer (finish reason: {reason}){}", self.excerpt())
        };
        Unusable { kind, message }
    }

    fn finish_reason(&self) -> &str {
        self.finish_reason.as_deref().unwrap_or("unknown")
    }

    /// The beginning of the model's text, for the end of a message.
    fn excerpt(&self) -> String {
        match excerpt(self.refusal.as_deref().unwrap_or(&self.content)) {
            text if text.is_empty() => text,
            text => format!(": {text}"),
        }
    }
}

/// The message's text: a string, or the texts of a list of parts.
fn content(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

/// The beginning of a text, on one line.
pub(super) fn excerpt(text: &str) -> String {
    let text = one_line(text);
    match text.char_indices().nth(EXCERPT_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_usual_reply() {
        let reply = Reply::read(&json!({
            "id": "x", "object": "chat.completion", "created": 1, "model": "m", "service_tier": "on_demand",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant",
                "content": "{\"queries\": [\"a\", \"b\", \"c\"]}", "refusal": null}}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        }));
        assert_eq!(reply.tokens(Tokens::default()), Tokens { input: 10, output: 5 });
        assert_eq!((reply.text(), reply.is_cut_off()), (Ok("{\"queries\": [\"a\", \"b\", \"c\"]}"), false));
    }

    #[test]
    fn without_usage_the_upper_bound_counts() {
        let reply = Reply::read(&json!({"choices": [{"message": {"content": "[\"five\"]"}}]}));
        let most = Tokens { input: 10, output: 50 };
        assert_eq!(reply.tokens(most), most);
        assert_eq!(reply.tokens(Tokens { output: 0, ..most }), Tokens { input: 10, output: 8 });
    }

    #[test]
    fn a_list_of_parts() {
        let content = json!([{"type": "text", "text": "[\"a\","}, {"type": "text", "text": "\"b\"]"}]);
        assert_eq!(Reply::read(&json!({"choices": [{"message": {"content": content}}]})).text(), Ok("[\"a\",\"b\"]"));
    }

    #[test]
    fn the_reason_for_a_missing_answer_is_given() {
        let unusable = |body: Value| {
            let reply = Reply::read(&body);
            let Unusable { kind, message } = reply.text().err().unwrap_or_else(|| reply.without("query"));
            (kind, message)
        };
        let of = |message: Value, reason: &str| json!({"choices": [{"message": message, "finish_reason": reason}]});
        let expect = |body: Value, kind: FailureKind, what: &str| assert_eq!(unusable(body), (kind, what.to_owned()));
        expect(of(json!({"refusal": "I can't."}), "stop"), FailureKind::Refused, "the model refused: I can't.");
        let cut = "no query in the model's answer (finish reason: length): <think>hm";
        expect(of(json!({"content": "<think>hm"}), "length"), FailureKind::CutOff, cut);
        let none = "no query in the model's answer (finish reason: stop): No.";
        expect(of(json!({"content": "No."}), "stop"), FailureKind::NoAnswer, none);
        let empty = "the model's answer is empty (finish reason: unknown)";
        expect(of(json!({"content": null}), ""), FailureKind::Empty, empty);
        let filtered = json!({"content": "{\"queries\": [\"a\", \"b"});
        let what = "moderation stopped the reply (finish reason: content_filter): {\"queries\": [\"a\", \"b";
        expect(of(filtered, "content_filter"), FailureKind::Moderated, what);
        let what = "moderation stopped the reply (finish reason: SAFETY)";
        expect(of(json!({"content": null}), "SAFETY"), FailureKind::Moderated, what);
        for odd in [json!({}), json!([]), json!(null), json!({"choices": {}}), json!({"choices": [], "usage": 3})] {
            assert_eq!(unusable(odd), (FailureKind::Empty, empty.to_owned()));
        }
    }
}
