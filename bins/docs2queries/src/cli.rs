//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use embtune_cli::{Common, RecordArgs};

const SECTIONS: &str = "\
Generators:
  openai      asks a language model behind any OpenAI-compatible server for queries that the
              document answers: questions, keywords and short statements. Of a document longer
              than 24,000 characters the model sees the beginning, cut at the end of a paragraph;
              the pair holds it whole.
  extractive  asks nobody: the title, key sentences, and the document's rarest terms. A sentence
              is left out of its document in 9 pairs of 10 (inverse cloze), so that a model
              cannot match the words alone. Titles and sentences that two documents share are no
              queries. The same input, seed and flags give the same bytes.

Output:
  One pair a line, in the order of the documents: anchor (the query), positive (title and text,
  as they are embedded), anchor_id (the document's id with -q1, -q2 ...), positive_id (the
  document's id), group (the document's field of that name, else its id).

Journal:
  With --journal FILE each reply of the server is on disk before it is used. A second run with
  the same file takes the replies from there and asks only for what is missing, so an interrupted
  or failed run is continued by repeating its command. A reply is found again by the document's
  title and text, the prompt, the model and its parameters. A line that was cut off by a crash is
  repaired. To ask again for one document, delete its line.

Errors of the server:
  408, 409, 429, 5xx, time-outs and lost connections are retried, with growing random pauses, or
  after the pause that the server asks for (at most 60 s). Other errors stop the filter at once.
  A document that the model refuses or gives no usable answer for is a bad record (--on-error).

Memory:
  openai      --concurrency documents, and 40 bytes for each reply in the journal
  extractive  the whole input, because the rarity of a term is known at the end only

Environment:
  OPENAI_API_KEY     the key; never logged, and not needed by a server that asks for none
  OPENAI_BASE_URL    where --base-url is not given
  OPENAI_ORG_ID, OPENAI_PROJECT_ID
                     who pays, for accounts that belong to several
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY
                     the way to the server

Examples:
  docs2queries --llm gpt-4o-mini --journal replies.jsonl corpus.jsonl -o pairs.jsonl
  docs2queries --llm qwen3 --base-url http://localhost:11434/v1 -n 3 < corpus.jsonl | head
  docs2queries --generator extractive corpus.jsonl -o pairs.jsonl
";

/// Write search queries for documents, as training pairs
///
/// Reads documents (JSON Lines with _id, text and optionally title and group) and writes for each of them the queries
/// that it answers, as pairs of a query and the document. The queries come from a language model, or from the
/// documents' own sentences.
#[derive(Debug, Parser)]
#[command(name = "docs2queries", version, after_long_help = SECTIONS)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) records: RecordArgs,

    /// Write the pairs to this file, which appears whole or not at all
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    /// Who writes the queries
    #[arg(long, value_name = "NAME", value_enum, default_value_t = Generator::Openai, help_heading = "Queries")]
    pub(crate) generator: Generator,

    /// Most queries for one document
    #[arg(short = 'n', long, value_name = "NUM", default_value_t = 5, help_heading = "Queries")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=50))]
    pub(crate) queries_per_document: u32,

    /// Seed of every random choice
    ///
    /// Only the extractive generator chooses; a language model's own chance is its server's.
    #[arg(long, value_name = "NUM", default_value_t = 42, help_heading = "Queries")]
    pub(crate) seed: u64,

    #[command(flatten)]
    pub(crate) llm: LlmArgs,

    #[command(flatten)]
    pub(crate) common: Common,
}

/// Flags of the generator `openai`.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Language model")]
pub(crate) struct LlmArgs {
    /// Language model, as its server calls it; needed by the generator openai
    #[arg(long, value_name = "NAME")]
    pub(crate) llm: Option<String>,

    /// Address of the server, to the part before /chat/completions
    ///
    /// Without it, OpenAI's own: `https://api.openai.com/v1`.
    #[arg(long, value_name = "URL", env = "OPENAI_BASE_URL", hide_env_values = true)]
    pub(crate) base_url: Option<String>,

    /// Keep every reply in this file, and take from it what is there
    #[arg(long, value_name = "FILE")]
    pub(crate) journal: Option<PathBuf>,

    /// Requests in flight at once
    #[arg(long, value_name = "NUM", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) concurrency: u32,

    /// Sampling temperature, from 0 to 2; without it, the server's own
    #[arg(long, value_name = "NUM", value_parser = parse_temperature)]
    pub(crate) temperature: Option<f64>,

    /// Most tokens of a reply, reasoning included; without it, the server's own
    #[arg(long, value_name = "NUM", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_completion_tokens: Option<u32>,

    /// Longest wait for one reply, in seconds
    #[arg(long, value_name = "NUM", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout_secs: u64,

    /// Attempts after the first, for one document
    #[arg(long, value_name = "NUM", default_value_t = 8)]
    pub(crate) max_retries: u32,
}

/// Who writes the queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Generator {
    /// A language model behind an OpenAI-compatible server
    Openai,
    /// The document itself: title, sentences, rare terms; no network
    Extractive,
}

embtune_cli::filter!(Cli);

fn parse_temperature(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|value| (0.0..=2.0).contains(value)).ok_or_else(|| "expected a number from 0 to 2".into())
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
    }
}
