//! The command line.

mod llm;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use embtune_cli::{CommonArgs, RecordArgs, output_path_parser};
use embtune_text::Language;

use crate::filters::Reasons;
use crate::prompt::{DEFAULT_STYLES, Styles};

use llm::{BatchArgs, CostArgs, LlmArgs};

/// Write search queries for documents, as training pairs
///
/// Reads documents (JSON Lines with _id, text and optionally title and group), and writes for each of them the queries
/// that it answers, as pairs of a query and the document. The queries come from a language model or from the documents'
/// own sentences.
#[derive(Debug, Parser)]
#[command(name = "docs2queries", version, after_long_help = include_str!("help.txt"))]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) records: RecordArgs,

    /// Write the pairs to this file, which appears whole or not at all
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    #[arg(value_parser = output_path_parser(&["jsonl", "ndjson"]))]
    pub(crate) output: Option<PathBuf>,

    /// Drop queries for these reasons, which are explained below, or for none
    ///
    /// The summary at the end says how many were dropped for which reason, and how many the replies lost in addition;
    /// -v shows each.
    #[arg(long, value_name = "REASONS", default_value = "empty,example,duplicate,copied,reference,language")]
    #[arg(value_parser = Reasons::parse, help_heading = "Output", hide_short_help = true)]
    pub(crate) drop: Reasons,

    /// Source of the queries
    #[arg(long, value_name = "NAME", value_enum, default_value_t = Generator::Openai, help_heading = "Queries")]
    pub(crate) generator: Generator,

    /// Maximum queries per document, or per passage of a long one
    ///
    /// Without it, 5 with the generator extractive, and with openai a number that depends on the size of the corpus:
    /// 250,000 divided by the number of passages, but at least 3 and at most 10. The input is then read twice, for
    /// which a pipe is copied to a temporary file. Name a number if the corpus is going to grow, because the journal
    /// has no replies to requests for another number.
    #[arg(short = 'n', long, value_name = "NUM", help_heading = "Queries")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=50))]
    pub(crate) queries_per_document: Option<u32>,

    /// Seed of every random choice
    ///
    /// It decides which sentences the extractive generator leaves in their document, and how the styles of --styles are
    /// distributed over the passages. It does not reach the language model.
    #[arg(long, value_name = "NUM", default_value_t = 42, help_heading = "Queries", hide_short_help = true)]
    pub(crate) seed: u64,

    #[command(flatten)]
    pub(crate) prompt: PromptArgs,

    #[command(flatten)]
    pub(crate) llm: LlmArgs,

    #[command(flatten)]
    pub(crate) cost: CostArgs,

    #[command(flatten)]
    pub(crate) batch: BatchArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// The source of the queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Generator {
    /// A language model on an OpenAI-compatible server
    Openai,
    /// The document itself: title, sentences, rare terms; no network
    Extractive,
}

/// Flags that shape the prompt.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Prompt")]
pub(crate) struct PromptArgs {
    /// Use the prompt in this file, a Jinja template, instead of the built-in one
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) prompt: Option<PathBuf>,

    /// Print the template of the prompt and exit
    #[arg(long, hide_short_help = true)]
    pub(crate) show_prompt: bool,

    /// Show the model these pairs of documents and good queries (JSON Lines) with every request
    ///
    /// Pairs with the same positive are one example, of which there may be 20. A handful is enough.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) examples: Option<PathBuf>,

    /// Mix of kinds of queries, as weights: question, keyword, claim, exact (a term or paragraph number), lay, typo
    #[arg(long, value_name = "MIX", default_value = DEFAULT_STYLES, value_parser = Styles::parse, hide_short_help = true)]
    pub(crate) styles: Styles,

    /// Language of the queries; without it, the document's
    ///
    /// A code (de) or an English name (German).
    #[arg(long, value_name = "NAME", value_parser = parse_language, help_heading = "Queries")]
    pub(crate) language: Option<Language>,

    /// Maximum length of a passage, in characters
    ///
    /// A longer document is split into passages of about the same length, between paragraphs if possible. A passage
    /// should not be longer than the part of it that the embedding model sees.
    #[arg(long, value_name = "NUM", default_value_t = 2000, value_parser = parse_passage_chars, help_heading = "Queries")]
    pub(crate) passage_chars: usize,
}

fn parse_language(text: &str) -> Result<Language, String> {
    Language::named(text).ok_or_else(|| "expected a code such as de or deu, or an English name such as German".into())
}

fn parse_passage_chars(text: &str) -> Result<usize, String> {
    let chars = text.parse().ok().filter(|chars| *chars >= 100);
    chars.ok_or_else(|| "expected a number of characters, at least 100".into())
}

embtune_cli::filter!(Cli {
    unit: "documents in flight",
    example: "docs2queries --llm gpt-4o-mini --max-usd 5 --journal replies.jsonl corpus.jsonl -o pairs.jsonl"
});
