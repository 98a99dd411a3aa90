//! Flags of the generator `openai`: the model, its server, and the limits on its cost.

use std::path::PathBuf;

use embtune_cli::parse_not_negative;

use crate::prompt::ReplyFormat;

/// The language model and its server.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Language model")]
pub(crate) struct LlmArgs {
    /// Name of the language model; required by the generator openai
    #[arg(long, value_name = "NAME")]
    pub(crate) llm: Option<String>,

    /// Address of the server; without it, OpenAI's
    ///
    /// It is the part before /chat/completions; OpenAI's is `https://api.openai.com/v1`. An Azure address may end in
    /// `?api-version=VERSION`; Azure gets the key in the header api-key, and a token of Entra ID like all other
    /// servers.
    #[arg(long, value_name = "URL", env = "OPENAI_BASE_URL", hide_env_values = true)]
    pub(crate) base_url: Option<String>,

    /// Keep every reply in this file, and use those that are in it
    #[arg(long, value_name = "FILE")]
    pub(crate) journal: Option<PathBuf>,

    /// Maximum number of requests in flight
    #[arg(long, value_name = "NUM", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) concurrency: u32,

    /// Maximum number of requests per minute, evenly spread
    #[arg(long, value_name = "NUM", value_parser = clap::value_parser!(u64).range(1..), hide_short_help = true)]
    pub(crate) rpm: Option<u64>,

    /// Maximum number of tokens per minute, of prompts and completions together, evenly spread
    #[arg(long, value_name = "NUM", value_parser = clap::value_parser!(u64).range(1..), hide_short_help = true)]
    pub(crate) tpm: Option<u64>,

    /// Sampling temperature, from 0 to 2; without it, the server's default
    #[arg(long, value_name = "NUM", value_parser = parse_temperature, hide_short_help = true)]
    pub(crate) temperature: Option<f64>,

    /// Maximum number of tokens of a reply, including reasoning; without it, the server's default
    #[arg(long, value_name = "NUM", value_parser = clap::value_parser!(u32).range(1..), hide_short_help = true)]
    pub(crate) max_completion_tokens: Option<u32>,

    /// How to request the form of the reply; any form is understood
    #[arg(long, value_name = "FORM", value_enum, default_value_t = ReplyFormat::Schema, hide_short_help = true)]
    pub(crate) reply_format: ReplyFormat,

    /// Timeout for one reply, in seconds
    #[arg(long, value_name = "NUM", default_value_t = 120, hide_short_help = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout_secs: u64,

    /// Maximum number of retries for one document
    #[arg(long, value_name = "NUM", default_value_t = 8, hide_short_help = true)]
    pub(crate) max_retries: u32,
}

/// Limits on the cost of a run.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Cost and batches")]
pub(crate) struct CostArgs {
    /// Report the requests, tokens and cost of a run, and send nothing
    #[arg(long, conflicts_with_all = ["batch", "emit_batch", "ingest_batch", "show_prompt"])]
    pub(crate) dry_run: bool,

    /// Spending limit in dollars, including replies in the journal
    #[arg(long, value_name = "USD", value_parser = parse_not_negative)]
    pub(crate) max_usd: Option<f64>,

    /// Limit on the tokens of prompts and completions together, including replies in the journal
    #[arg(long, value_name = "NUM", hide_short_help = true)]
    pub(crate) max_tokens: Option<u64>,

    /// Dollars for a million tokens of prompts
    #[arg(long, value_name = "USD", value_parser = parse_not_negative, hide_short_help = true)]
    pub(crate) price_in: Option<f64>,

    /// Dollars for a million tokens of completions
    #[arg(long, value_name = "USD", value_parser = parse_not_negative, hide_short_help = true)]
    pub(crate) price_out: Option<f64>,
}

/// Requests in batches.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Cost and batches")]
pub(crate) struct BatchArgs {
    /// Write the requests, in the form of OpenAI's Batch API, instead of pairs
    #[arg(long, conflicts_with_all = ["ingest_batch", "batch", "show_prompt"], hide_short_help = true)]
    pub(crate) emit_batch: bool,

    /// Use the replies in this result or error file of a batch, and send nothing; may be repeated
    #[arg(long, value_name = "FILE", conflicts_with_all = ["batch", "show_prompt"], hide_short_help = true)]
    pub(crate) ingest_batch: Vec<PathBuf>,

    /// Send batches, at half the price, and wait for the results; needs --journal
    ///
    /// The results come within a day.
    #[arg(long, conflicts_with = "show_prompt")]
    pub(crate) batch: bool,

    /// Seconds between two checks of a batch's status
    #[arg(long, value_name = "NUM", default_value_t = 30.0, value_parser = parse_poll_secs, hide_short_help = true)]
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
    fn temperatures_and_intervals_out_of_range_are_refused() {
        assert_eq!(parse_temperature("0.7"), Ok(0.7));
        for bad in ["-0.1", "2.1", "NaN", "inf", "warm"] {
            assert!(parse_temperature(bad).is_err(), "{bad}");
        }
        assert!(parse_poll_secs("0.05").is_err() && parse_poll_secs("NaN").is_err());
    }
}
