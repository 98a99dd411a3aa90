//! Flags of the generator `openai`.

use std::path::PathBuf;

use clap::ValueEnum;

/// Flags about the language model and its server.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Language model")]
pub(crate) struct LlmArgs {
    /// Language model, as its server calls it; needed by the generator openai
    #[arg(long, value_name = "NAME")]
    pub(crate) llm: Option<String>,

    /// Address of the server, to the part before /chat/completions
    ///
    /// Without it, OpenAI's own: `https://api.openai.com/v1`. Azure's may end in `?api-version=VERSION`, and gets the key
    /// in the header api-key (a token of Entra ID as all others get theirs).
    #[arg(long, value_name = "URL", env = "OPENAI_BASE_URL", hide_env_values = true)]
    pub(crate) base_url: Option<String>,

    /// Keep every reply in this file, and take from it what is there
    #[arg(long, value_name = "FILE")]
    pub(crate) journal: Option<PathBuf>,

    /// Say how many requests and tokens a run would take and what it would cost, and send nothing
    #[arg(long, conflicts_with_all = ["batch", "emit_batch", "ingest_batch", "show_prompt"])]
    pub(crate) dry_run: bool,

    /// Most requests in flight at once
    #[arg(long, value_name = "NUM", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) concurrency: u32,

    /// Most requests a minute, evenly spread
    #[arg(long, value_name = "NUM", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rpm: Option<u64>,

    /// Most tokens a minute, of prompts and completions together, evenly spread
    #[arg(long, value_name = "NUM", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) tpm: Option<u64>,

    /// Sampling temperature, from 0 to 2; without it, the server's own
    #[arg(long, value_name = "NUM", value_parser = parse_temperature)]
    pub(crate) temperature: Option<f64>,

    /// Most tokens of a reply, reasoning included; without it, the server's own
    ///
    /// See --token-limit-name for how the server is told.
    #[arg(long, value_name = "NUM", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_completion_tokens: Option<u32>,

    /// What the server calls the limit of a reply's tokens
    #[arg(long, value_name = "NAME", value_enum, default_value_t = TokenLimitName::Auto)]
    pub(crate) token_limit_name: TokenLimitName,

    /// How the form of the reply is asked for; it is read leniently whatever comes
    #[arg(long, value_name = "FORM", value_enum, default_value_t = ReplyFormat::Schema)]
    pub(crate) reply_format: ReplyFormat,

    /// Longest wait for one reply, in seconds
    #[arg(long, value_name = "NUM", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout_secs: u64,

    /// Attempts after the first, for one document
    #[arg(long, value_name = "NUM", default_value_t = 8)]
    pub(crate) max_retries: u32,
}

/// How the form of a reply is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReplyFormat {
    /// With a JSON schema, which the server enforces
    Schema,
    /// As some JSON object
    Json,
    /// In the prompt only
    Text,
}

/// What the limit of a reply's tokens is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenLimitName {
    /// max_completion_tokens for OpenAI, its models and Azure, max_tokens for all others; the other name where the
    /// server refuses the one
    Auto,
    /// As OpenAI called it once, and most servers do
    #[value(name = "max_tokens")]
    MaxTokens,
    /// As OpenAI calls it now
    #[value(name = "max_completion_tokens")]
    MaxCompletionTokens,
}

/// Flags about requests by the file.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Batches")]
pub(crate) struct BatchArgs {
    /// Write the requests, in the form of OpenAI's Batch API, instead of pairs
    #[arg(long, conflicts_with_all = ["ingest_batch", "batch", "show_prompt"])]
    pub(crate) emit_batch: bool,

    /// Take the replies from this result or error file of a batch, and ask nobody; may be repeated
    #[arg(long, value_name = "FILE", conflicts_with_all = ["batch", "show_prompt"])]
    pub(crate) ingest_batch: Vec<PathBuf>,

    /// Send the requests as batches and wait for the results: half the price, within a day; needs --journal
    #[arg(long, conflicts_with = "show_prompt")]
    pub(crate) batch: bool,

    /// Seconds between two looks at a batch
    #[arg(long, value_name = "NUM", default_value_t = 30.0, value_parser = parse_poll_secs)]
    pub(crate) poll_secs: f64,
}

fn parse_temperature(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|value| (0.0..=2.0).contains(value)).ok_or_else(|| "expected a number from 0 to 2".into())
}

fn parse_poll_secs(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|value| (0.1..=86_400.0).contains(value));
    number.ok_or_else(|| "expected a number of seconds from 0.1 to 86400".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperatures_are_bounded() {
        assert_eq!(parse_temperature("0.7"), Ok(0.7));
        for bad in ["-0.1", "2.1", "NaN", "inf", "warm"] {
            assert!(parse_temperature(bad).is_err(), "{bad}");
        }
        assert!(parse_poll_secs("0.05").is_err() && parse_poll_secs("NaN").is_err());
    }
}
