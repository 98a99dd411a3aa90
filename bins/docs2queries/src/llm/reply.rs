//! A server's reply, read as leniently as servers write.

use serde_json::Value;

use super::budget::Tokens;
use super::client::{Failure, Verdict};
use super::parse::{self, Found};
use super::trouble::Trouble;

/// Characters of a server's or model's own words that a message shows.
pub(crate) const SHOWN_CHARS: usize = 200;

/// Finish reasons of replies that moderation cut off or kept back: OpenAI's and Azure's, Zhipu's, Google's, Anthropic's,
/// Bedrock's. What there is of such a reply is no answer.
const MODERATED: [&str; 9] = [
    "content_filter",
    "sensitive",
    "safety",
    "recitation",
    "prohibited_content",
    "blocklist",
    "spii",
    "refusal",
    "guardrail_intervened",
];

/// What an answer under a status of success is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Worth {
    /// There is a query in it.
    Answer,
    /// There is none, for a reason that lies in the document or the model: to ask again helps once, if at all.
    Nothing,
    /// It tells of an error that may pass.
    Error,
}

/// Why a reply is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Useless {
    pub(crate) trouble: Trouble,
    what: String,
}

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
        let content = content(&message["content"]);
        Self {
            usage: Tokens::of_usage(&body["usage"], !content.is_empty()),
            content,
            refusal: text(&message["refusal"]),
            finish_reason: text(&choice["finish_reason"]),
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
    pub(crate) fn queries(&self, most: usize) -> Result<Found, Useless> {
        let useless = |trouble, what| Err(Useless { trouble, what });
        let reason = self.finish_reason.as_deref().unwrap_or("unknown");
        let said = shown(self.refusal.as_deref().unwrap_or(&self.content));
        if MODERATED.contains(&reason.to_lowercase().as_str()) {
            let said = if said.is_empty() { said } else { format!(": {said}") };
            return useless(
                Trouble::Moderated,
                format!("moderation stopped the reply (finish reason: {reason}){said}"),
            );
        }
        let is_cut = matches!(reason, "length" | "max_tokens" | "MAX_TOKENS");
        let found = parse::queries(&self.content, most, is_cut);
        if !found.queries.is_empty() {
            return Ok(found);
        }
        if self.refusal.is_some() {
            return useless(Trouble::Refused, format!("the model refused: {said}"));
        }
        let is_empty = self.content.trim().is_empty();
        let what = if is_empty { "the model's answer is empty" } else { "no query in the model's answer" };
        let said = if is_empty { said } else { format!(": {said}") };
        let trouble = match (is_cut, is_empty) {
            (true, _) => Trouble::CutOff,
            (false, true) => Trouble::Empty,
            (false, false) => Trouble::NoQuery,
        };
        useless(trouble, format!("{what} (finish reason: {reason}){said}"))
    }

    /// Whether its text holds characters in place of those that the server did not send whole.
    pub(crate) fn is_mended(&self) -> bool {
        self.content.contains(char::REPLACEMENT_CHARACTER)
    }
}

impl Worth {
    /// Of a whole answer to a request for so many queries.
    pub(crate) fn of(body: &Value, queries: usize) -> Self {
        match Failure::in_reply(body) {
            Some(failure) if failure.verdict == Verdict::Document => Self::Nothing,
            Some(_) => Self::Error,
            None if Reply::read(body).queries(queries).is_ok() => Self::Answer,
            None => Self::Nothing,
        }
    }
}

impl Useless {
    /// The message, with more words before its hint.
    pub(crate) fn with(&self, more: &str) -> String {
        let hint = self.trouble.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        format!("{}{more}{hint}", self.what)
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
        let useless = |body: Value| {
            assert_eq!(
                Worth::of(&body, 5),
                if body["choices"].is_array() { Worth::Nothing } else { Worth::of(&body, 5) }
            );
            let useless = Reply::read(&body).queries(5).unwrap_err();
            (useless.trouble, useless.with(""))
        };
        let of = |message: Value, reason: &str| json!({"choices": [{"message": message, "finish_reason": reason}]});
        let expect = |body: Value, trouble: Trouble, what: &str| assert_eq!(useless(body), (trouble, what.to_owned()));
        expect(of(json!({"refusal": "I can't."}), "stop"), Trouble::Refused, "the model refused: I can't.");
        let cut =
            "no query in the model's answer (finish reason: length): <think>hm\nhint: raise --max-completion-tokens";
        expect(of(json!({"content": "<think>hm"}), "length"), Trouble::CutOff, cut);
        let empty = "the model's answer is empty (finish reason: unknown)";
        expect(of(json!({"content": null}), ""), Trouble::Empty, empty);
        let filtered = json!({"content": "{\"queries\": [\"a\", \"b"});
        let what = "moderation stopped the reply (finish reason: content_filter): {\"queries\": [\"a\", \"b";
        expect(of(filtered, "content_filter"), Trouble::Moderated, what);
        let what = "moderation stopped the reply (finish reason: SAFETY)";
        expect(of(json!({"content": null}), "SAFETY"), Trouble::Moderated, what);
        for odd in [json!({}), json!([]), json!(null), json!({"choices": {}}), json!({"choices": [], "usage": 3})] {
            assert_eq!(useless(odd), (Trouble::Empty, empty.to_owned()));
        }
    }

    #[test]
    fn what_is_there_of_a_long_reply_is_an_answer() {
        let body =
            json!({"choices": [{"finish_reason": "length", "message": {"content": "{\"queries\": [\"a\", \"b"}}]});
        assert_eq!(
            (Worth::of(&body, 5), Reply::read(&body).queries(5).unwrap().queries),
            (Worth::Answer, vec!["a".into()])
        );
        let mut broken = body.clone();
        broken["choices"][0]["error"] = json!({"code": 502});
        assert_eq!(Worth::of(&broken, 5), Worth::Error);
        broken["choices"][0]["error"] = json!({"code": 400, "message": "prompt is too long"});
        assert_eq!(Worth::of(&broken, 5), Worth::Nothing);
    }
}
