//! The command line.

mod help;
mod llm;
mod money;
mod prompt;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use embtune_cli::{CommonArgs, RecordArgs, output_path_parser};

use crate::filters::Reasons;

pub(crate) use llm::{BatchArgs, LlmArgs, ReplyFormat, TokenLimitName};
pub(crate) use money::MoneyArgs;
pub(crate) use prompt::PromptArgs;

/// Write search queries for documents, as training pairs
///
/// Reads documents (JSON Lines with _id, text and optionally title and group) and writes for each of them the queries
/// that it answers, as pairs of a query and the document. The queries come from a language model, or from the
/// documents' own sentences.
#[derive(Debug, Parser)]
#[command(name = "docs2queries", version, after_long_help = help::SECTIONS)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) records: RecordArgs,

    /// Write the pairs to this file, which appears whole or not at all
    #[arg(short, long, value_name = "FILE", help_heading = "Output", value_parser = output_path_parser(&["jsonl", "ndjson"]))]
    pub(crate) output: Option<PathBuf>,

    /// What is wrong with queries that are dropped (see below), or none
    ///
    /// The end of the run says how many were dropped for which reason, and what the replies lost besides; -v shows each.
    #[arg(long, value_name = "REASONS", default_value = "empty,example,duplicate,copied,reference,language")]
    #[arg(value_parser = Reasons::parse, help_heading = "Output")]
    pub(crate) drop: Reasons,

    /// Who writes the queries
    #[arg(long, value_name = "NAME", value_enum, default_value_t = Generator::Openai, help_heading = "Queries")]
    pub(crate) generator: Generator,

    /// Most queries for one document, or for each passage of a long one
    ///
    /// Without it, 5 with the generator extractive, and with openai a number by the size of the corpus: 250,000 divided
    /// by the number of passages, but at least 3 and at most 10. The input is then read twice; what comes through a
    /// pipe is kept in a temporary file meanwhile. Name a number when the corpus is going to grow: another number is
    /// another question, which the journal has no reply to.
    #[arg(short = 'n', long, value_name = "NUM", help_heading = "Queries")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=50))]
    pub(crate) queries_per_document: Option<u32>,

    /// Seed of every random choice
    ///
    /// The extractive generator chooses by it which sentences stay in their document, and the other one how the styles
    /// of --styles fall on a passage. A language model's own chance is its server's.
    #[arg(long, value_name = "NUM", default_value_t = 42, help_heading = "Queries")]
    pub(crate) seed: u64,

    #[command(flatten)]
    pub(crate) prompt: PromptArgs,

    #[command(flatten)]
    pub(crate) llm: LlmArgs,

    #[command(flatten)]
    pub(crate) money: MoneyArgs,

    #[command(flatten)]
    pub(crate) batch: BatchArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Who writes the queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Generator {
    /// A language model behind an OpenAI-compatible server
    Openai,
    /// The document itself: title, sentences, rare terms; no network
    Extractive,
}

embtune_cli::filter!(Cli, "documents in flight");
