//! A server's reply, read as leniently as servers write.

use serde_json::Value;

use super::budget::Tokens;
use super::parse::{self, Found};

/// Characters of a server's or model's own words that a message shows.
pub(crate) const SHOWN_CHARS: usize = 200;

/// What a chat completion says. A field that is missing or has another type is absent, never an error: it is paid for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    content: String,
    refusal: Option<String>,
    finish_reason: Option<String>,
    /// Tokens, when the server says how many.
    pub(crate) usage: Option<Tokens>,
}

impl Reply {
    pub(crate) fn read(body: &Value) -> Self {
        let choice = &body["choices"][0];
        let message = &choice["message"];
        let text = |value: &Value| value.as_str().map(str::to_owned).filter(|text| !text.is_empty());
        let usage = &body["usage"];
        Self {
            content: content(&message["content"]),
            refusal: text(&message["refusal"]),
            finish_reason: text(&choice["finish_reason"]),
            usage: usage["prompt_tokens"]
                .as_u64()
                .zip(usage["completion_tokens"].as_u64())
                .map(|(input, output)| Tokens { input, output }),
        }
    }

    /// The tokens that it took. Where the server does not say, the most that the request could take (no `output` is no
    /// limit), and a reply without one as many as it has bytes.
    pub(crate) fn tokens(&self, most: Tokens) -> Tokens {
        let output = if most.output > 0 { most.output } else { self.content.len() as u64 };
        self.usage.unwrap_or(Tokens { output, ..most })
    }

    /// The queries, `most` at most.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn queries(&self, most: usize) -> Result<Found, String> {
        let is_cut = matches!(self.finish_reason.as_deref(), Some("length" | "max_tokens" | "MAX_TOKENS"));
        let found = parse::queries(&self.content, most, is_cut);
        if !found.queries.is_empty() {
            return Ok(found);
        }
        if let Some(refusal) = &self.refusal {
            return Err(format!("the model refused: {}", shown(refusal)));
        }
        let reason = self.finish_reason.as_deref().unwrap_or("unknown");
        let hint = if reason == "length" { "\nhint: raise --max-completion-tokens" } else { "" };
        if self.content.trim().is_empty() {
            return Err(format!("the model's answer is empty (finish reason: {reason}){hint}"));
        }
        Err(format!("no query in the model's answer (finish reason: {reason}): {}{hint}", shown(&self.content)))
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

/// The beginning of somebody else's words, on one line.
pub(crate) fn shown(text: &str) -> String {
    let text = crate::output::one_line(text);
    match text.char_indices().nth(SHOWN_CHARS) {
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
        assert_eq!(reply.queries(2).unwrap().queries, ["a", "b"]);
    }

    #[test]
    fn without_usage_the_most_counts() {
        let reply = Reply::read(&json!({"choices": [{"message": {"content": "[\"five\"]"}}]}));
        let most = Tokens { input: 10, output: 50 };
        assert_eq!(reply.tokens(most), most);
        assert_eq!(reply.tokens(Tokens { output: 0, ..most }), Tokens { input: 10, output: 8 });
    }

    #[test]
    fn a_list_of_parts() {
        let content = json!([{"type": "text", "text": "[\"a\","}, {"type": "text", "text": "\"b\"]"}]);
        assert_eq!(
            Reply::read(&json!({"choices": [{"message": {"content": content}}]})).queries(5).unwrap().queries,
            ["a", "b"]
        );
    }

    #[test]
    fn why_there_is_no_query() {
        let error = |body: Value| Reply::read(&body).queries(5).unwrap_err();
        let of = |message: Value, reason: &str| json!({"choices": [{"message": message, "finish_reason": reason}]});
        assert_eq!(error(of(json!({"refusal": "I can't."}), "stop")), "the model refused: I can't.");
        assert_eq!(
            error(of(json!({"content": "<think>hm"}), "length")),
            "no query in the model's answer (finish reason: length): <think>hm\nhint: raise --max-completion-tokens"
        );
        assert_eq!(error(of(json!({"content": null}), "")), "the model's answer is empty (finish reason: unknown)");
        for odd in [json!({}), json!([]), json!(null), json!({"choices": {}}), json!({"choices": [], "usage": 3})] {
            assert!(error(odd).contains("is empty"));
        }
    }
}
