//! The queries in a reply, and why a passage has none.

use crate::llm::{FailureKind, Reply, Unusable};
use crate::parse::{self, ParsedQueries};

/// The queries in a reply, at most `max_queries`.
///
/// # Errors
/// The reason why there is none.
pub(super) fn queries_of(reply: &Reply, max_queries: usize) -> Result<ParsedQueries, Unusable> {
    let found = parse::queries(reply.text()?, max_queries, reply.is_cut_off());
    if found.queries.is_empty() { Err(reply.without("query")) } else { Ok(found) }
}

/// The tokens of a reply with `queries` queries of twelve words each, and the JSON around them.
pub(super) fn expected_output(queries: usize) -> u64 {
    10 + 20 * queries as u64
}

/// A message about a passage without queries, with a hint at its end if there is one for that kind of failure.
pub(super) fn with_hint(message: String, kind: FailureKind) -> String {
    let hint = match kind {
        FailureKind::TooLong => "a lower --passage-chars cuts documents into shorter passages",
        FailureKind::CutOff => "raise --max-completion-tokens",
        _ => return message,
    };
    format!("{message}\nhint: {hint}")
}

/// How the summary calls passages without queries.
pub(super) fn kind_name(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::TooLong => "too long for the model",
        FailureKind::Rejected => "rejected by the server",
        FailureKind::Moderated => "moderated",
        FailureKind::Refused => "refused",
        FailureKind::Empty => "empty reply",
        FailureKind::CutOff => "reply cut off",
        FailureKind::NoAnswer => "no query in the reply",
        FailureKind::Server => "no proper answer",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reply_that_was_cut_off_keeps_its_complete_queries() {
        let body =
            json!({"choices": [{"finish_reason": "length", "message": {"content": "{\"queries\": [\"a\", \"b"}}]});
        assert_eq!(queries_of(&Reply::read(&body), 5).unwrap().queries, ["a"]);
    }

    #[test]
    fn the_hint_comes_last() {
        let body = json!({"choices": [{"finish_reason": "length", "message": {"content": "<think>hm"}}]});
        let unusable = queries_of(&Reply::read(&body), 5).unwrap_err();
        let expected = "no query in the model's answer (finish reason: length): <think>hm; twice\nhint: raise \
                        --max-completion-tokens";
        assert_eq!(with_hint(unusable.message + "; twice", unusable.kind), expected);
    }
}
