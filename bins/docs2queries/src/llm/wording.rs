//! Requests in the words of the server they go to.

use serde_json::Value;

use super::budget::longest_completion;
use super::client::Address;

/// What OpenAI calls the longest reply, and what everybody else does.
const NAMES: [&str; 2] = ["max_completion_tokens", "max_tokens"];

/// How a server wants its requests. Their keys go by OpenAI's words, so that a reply of one server is found again
/// wherever the next request goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wording {
    is_openai: bool,
}

impl Wording {
    /// For a model at a server.
    ///
    /// OpenAI's newer models refuse `max_tokens`, wherever they are served; Ollama takes the new name and ignores it
    /// (<https://github.com/ollama/ollama/issues/7125>), and Mistral refuses it.
    pub(crate) fn new(llm: &str, address: &Address) -> Self {
        Self { is_openai: address.is_openai() || address.is_azure || longest_completion(llm, true).is_some() }
    }

    /// The request as it is sent.
    pub(crate) fn of(self, request: &Value) -> Value {
        let mut request = request.clone();
        if !self.is_openai
            && let Some(fields) = request.as_object_mut()
            && let Some(limit) = fields.remove(NAMES[0])
        {
            fields.insert(NAMES[1].into(), limit);
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_server_hears_of_the_limit() {
        let request = json!({"model": "m", "max_completion_tokens": 9});
        let sent = |llm, url| Wording::new(llm, &Address::read(url).unwrap()).of(&request);
        for (llm, url) in [
            ("o9-mini", ""),
            ("any", "https://name.openai.azure.com/openai/deployments/mini"),
            ("gpt-5-mini-2025-08-07", "http://gateway:1/v1"),
        ] {
            assert_eq!(sent(llm, url), request, "{llm} at {url}");
        }
        for llm in ["gpt-oss:20b", "qwen3:8b"] {
            assert_eq!(sent(llm, "http://localhost:11434/v1"), json!({"model": "m", "max_tokens": 9}), "{llm}");
        }
        let request = json!({"model": "m"});
        assert_eq!(Wording::new("m", &Address::read("http://h/v1").unwrap()).of(&request), request);
    }
}
