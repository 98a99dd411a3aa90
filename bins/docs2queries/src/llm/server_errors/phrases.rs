//! Classifies error messages by their phrases.
//!
//! Servers have no common code for a prompt that is too long or that their moderation turns away, so the message has to
//! tell. The phrases were collected from the servers' sources and from reports of their users; each occurs in many
//! messages.

use crate::text::has_phrase;

/// A prompt that does not fit into the model's context: OpenAI, Azure, vLLM, SGLang, TGI, llama.cpp, Ollama, LM Studio,
/// Anthropic, Mistral, Gemini, xAI, Cohere, Bedrock, DashScope, Moonshot, Copilot, TensorRT-LLM, TabbyAPI.
const LENGTH: &str = "context length|context_length|context size|context window|context limit|context overflow|\
    when context the overflows|maximum model length|max_model_len|max_seq_len|maximum prompt length|\
    maximum input length|range of input length|input length exceeds|input is too long|input too long|\
    prompt is too long|prompt too long|prompt length|prompt token count|input token count|input tokens exceed|\
    too many input tokens|too many tokens|exceeded model token limit|exceeds the maximum number of tokens|\
    exceeds the maximum allowed length|string too long|reduce the length of the messages|\
    input is too large to process";

/// The same for TGI and Together, whose phrases come in two parts.
const LENGTH_OF_INPUTS: [[&str; 2]; 2] = [["`inputs`", "must be <="], ["`inputs` must have less than", "tokens"]];

/// Codes for the same, reduced to lower-case letters and digits, and separated by spaces.
pub(super) const LENGTH_CODES: &str = "contextlengthexceeded exceedcontextsizeerror contextwindowexceeded contextwindowexceedederror \
    modelmaxprompttokensexceeded stringabovemaxlength requesttoolarge modelcontextwindowexceeded";

/// A reply or a request that moderation stopped: OpenRouter, Azure, OpenAI, Anthropic, DashScope, DeepSeek, Moonshot,
/// Zhipu, MiniMax, Volcengine, xAI, Gemini, Bedrock, Cloudflare, LiteLLM, one-api.
const MODERATION: &str = "moderation|flagged|content policy|content_policy|content filter|content_filter|\
    content management policy|content safety|content violates|content exists risk|considered high risk|\
    inappropriate content|sensitive content|sensitive words|new_sensitive|datainspectionfailed|\
    data_inspection_failed|prohibited content|prohibited_content|violate our usage polic|violating our usage polic|\
    usage guidelines|guardrail|due to security configurations|敏感内容";

/// What else can be flagged and blocked; then no request will succeed.
const ACCOUNT: &str = "your account|your organization|your access|your api key|your project";

/// Codes for moderation, in the same form.
pub(super) const MODERATION_CODES: &str = "contentfilter contentpolicyviolation contentpolicyviolationerror responsibleaipolicyviolation \
    datainspectionfailed invalidprompt moderationblocked sensitivewordsdetected sensitivecontentdetected \
    inputtextsensitivecontentdetected outputtextsensitivecontentdetected inputtextriskdetection safety \
    prohibitedcontent blocklist 1301";

/// An account that cannot pay.
pub(super) const OUT_OF_CREDIT: &str = "credit balance is too low|insufficient balance|insufficient credits";

/// A file or a batch that is not at the server any more.
pub(super) const MISSING_FILE: &str = "no such file|no such batch|not found|does not exist|expired|deleted";

/// A limit on tokens a minute that the request alone exceeds, so that no pause helps.
pub(super) const LENGTH_BEYOND_RATE: &str = "request too large";

/// A key that is wrong or missing.
pub(super) const KEY: &str = "api key|api_key|apikey";

/// Whether the prompt is too long for the model.
pub(super) fn is_length(message: &str) -> bool {
    let message = message.to_lowercase();
    has_phrase(LENGTH, &message) || LENGTH_OF_INPUTS.iter().any(|parts| parts.iter().all(|part| message.contains(part)))
}

/// Whether moderation stopped the request or its reply.
pub(super) fn is_moderation(message: &str) -> bool {
    has_phrase(MODERATION, message) && !has_phrase(ACCOUNT, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_has_a_phrase_for_a_long_prompt() {
        for words in [
            "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
            "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens.",
            "Invalid 'messages[0].content': string too long. Expected a string with maximum length 1048576.",
            "The decoder prompt (length 9000) is longer than the maximum model length of 4096.",
            "The input (9000 tokens) is longer than the model's context length (4096 tokens).",
            "Input length (9000 tokens) exceeds the maximum allowed length (8186 tokens).",
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens",
            "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000",
            "the request exceeds the available context size, try increasing it",
            "the prompt is too long: exceeded max context length by 900 tokens",
            "Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded with",
            "The number of tokens to keep from the initial prompt is greater than the context length.",
            "prompt is too long: 213424 tokens > 200000 maximum",
            "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
            "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
            "Your request exceeded model token limit: 8192",
            "Range of input length should be [1, 30720]",
            "Input is too long for requested model.",
            "prompt token count of 130000 exceeds the limit of 128000",
        ] {
            assert!(is_length(words), "{words}");
        }
        for other in ["Unknown parameter: 'seed'", "max_tokens is too large: 100000", "model not found", ""] {
            assert!(!is_length(other) && !is_moderation(other), "{other}");
        }
    }

    #[test]
    fn moderation_has_many_names() {
        for words in [
            "Your input was flagged",
            "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
            "<400> InternalError.Algo.DataInspectionFailed: Input text data may contain inappropriate content.",
            "Content Exists Risk",
            "The request was rejected because it was considered high risk",
            "input new_sensitive",
            "系统检测到输入或生成内容可能包含不安全或敏感内容",
            "Output blocked by content filtering policy",
            "Content violates usage guidelines. Team: x, API key ID: y, Model: grok, Failed check: BIO",
            "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
            "input contains sensitive words: [test]",
        ] {
            assert!(is_moderation(words), "{words}");
        }
        for account in ["Your account was flagged for abuse", "Your organization must be verified", "invalid key"] {
            assert!(!is_moderation(account), "{account}");
        }
    }
}
