//! The flags.

mod sections;
mod threshold;
mod values;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::TypedValueParser;
use clap::{Args, Parser};
use embtune_cli::{CommonArgs, HubArgs, OrtArgs, output_format, output_path_parser, parse_not_negative, parse_rank};
use embtune_metrics::Metric;

use crate::input::System;

pub(crate) use threshold::Threshold;
pub(crate) use values::{Compat, Format, Missing, NoRelevant, SimilarityArg, TiesArg};

/// Measure retrieval and compare systems
///
/// Searches exactly, with each system's vectors, for the queries that the judgments name, and reports how high the
/// relevant documents stand; of two systems or more, also whether they differ by more than chance.
#[derive(Debug, Parser)]
#[command(name = "ir-eval", version, after_long_help = sections::SECTIONS)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) input: InputArgs,

    #[command(flatten)]
    pub(crate) metrics: MetricArgs,

    #[command(flatten)]
    pub(crate) search: SearchArgs,

    #[command(flatten)]
    pub(crate) gates: GateArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(flatten)]
    pub(crate) ort: OrtArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// What is measured.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct InputArgs {
    /// Systems to measure; the others are compared with the first
    ///
    /// NAME=QUERIES,CORPUS takes two files of vectors, in any form that `embed` writes: safetensors, JSON Lines, or X.npy
    /// with the ids in X.ids, one a line. Each may be a pattern of names, in quotes ('b=q.npy,corpus-*.npy'): its files are one corpus, which may
    /// be larger than memory. NAME=QUERIES,CORPUS,FULL finds four times the hits in CORPUS, whose vectors may be
    /// quantised, and orders them by the vectors in FULL. NAME=MODEL takes a model, a directory or a Hugging Face
    /// name, which embeds --queries and --corpus. NAME=RUN takes a run: see Files.
    #[arg(value_name = "SYSTEM", required = true)]
    pub(crate) systems: Vec<System>,

    /// Which documents are relevant to which queries, in BEIR's or TREC's form, CSV or JSON: see Files
    #[arg(long, value_name = "FILE")]
    pub(crate) qrels: PathBuf,

    /// The queries' texts, for models and for what is shown of single queries
    #[arg(long, value_name = "FILE")]
    pub(crate) queries: Option<PathBuf>,

    /// The documents' texts, likewise
    #[arg(long, value_name = "FILE")]
    pub(crate) corpus: Option<PathBuf>,

    /// What mnrl-train wrote to stdout: its curve becomes part of the page
    #[arg(long, value_name = "FILE")]
    pub(crate) training_log: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) hub: HubArgs,
}

/// How it is measured.
#[derive(Debug, Args)]
#[command(next_help_heading = "Metrics")]
pub(crate) struct MetricArgs {
    /// Cutoffs at which ndcg, recall, mrr, precision, map and accuracy are taken [default: 1,5,10]
    #[arg(short = 'k', value_name = "NUM,...", value_delimiter = ',', value_parser = parse_rank)]
    pub(crate) cutoffs: Vec<NonZeroUsize>,

    /// Metrics to report instead, such as ndcg@10,recall@100,bpref, also by the names of other programs
    #[arg(long, value_name = "METRIC,...", value_delimiter = ',', conflicts_with = "cutoffs")]
    pub(crate) metrics: Vec<Metric>,

    /// Metric that decides: ndcg@10 unless another is named, or the first if that is not reported
    #[arg(long, value_name = "METRIC")]
    pub(crate) primary: Option<Metric>,

    /// Compute as another program does, and name the figures as it does
    #[arg(long, value_name = "PROGRAM", value_enum)]
    pub(crate) compat: Option<Compat>,

    /// Which of two documents of equal score stands first [default: docid-desc]
    #[arg(long, value_name = "RULE", value_enum)]
    pub(crate) ties: Option<TiesArg>,

    /// Leave out documents that have the query's own id
    #[arg(long)]
    pub(crate) exclude_self: bool,

    /// What to do about a judged query that a system did not answer
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = Missing::Zero)]
    pub(crate) missing: Missing,

    /// What to do about a query without a relevant document [default: skip]
    #[arg(long, value_name = "POLICY", value_enum)]
    pub(crate) no_relevant: Option<NoRelevant>,

    /// Seed of every random choice
    ///
    /// The randomisation test and the confidence interval draw samples.
    #[arg(long, value_name = "NUM", default_value_t = 42)]
    pub(crate) seed: u64,
}

/// How vectors are searched.
#[derive(Debug, Args)]
#[command(next_help_heading = "Search")]
pub(crate) struct SearchArgs {
    /// How query and document vectors are compared
    #[arg(long, value_name = "HOW", value_enum, default_value_t = SimilarityArg::Cosine)]
    pub(crate) similarity: SimilarityArg,

    /// Hits that a search keeps of each query; never fewer than the largest k
    #[arg(long, value_name = "NUM", default_value = "100", value_parser = parse_rank)]
    pub(crate) depth: NonZeroUsize,

    /// Compare only the first elements of all vectors (Matryoshka)
    #[arg(long, value_name = "NUM")]
    pub(crate) truncate_dim: Option<NonZeroUsize>,
}

/// When the answer is no.
#[derive(Debug, Args)]
#[command(next_help_heading = "Gates")]
pub(crate) struct GateArgs {
    /// Exit with 1 when a figure of the last system is under a bound, such as ndcg@10=0.8
    #[arg(long, value_name = "METRIC=NUM,...", value_delimiter = ',')]
    pub(crate) fail_under: Vec<Threshold>,

    /// Exit with 1 when the last system's primary metric is lower than the first one's by more than this
    #[arg(long, value_name = "NUM", value_parser = parse_not_negative)]
    pub(crate) fail_on_regression: Option<f64>,
}

/// Where the results go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Write the report to this file, which appears whole or not at all
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub(crate) path: Option<PathBuf>,

    /// Form of the report [default: what the file's name ends in, else table]
    #[arg(long, value_name = "FORM", value_enum)]
    pub(crate) format: Option<Format>,

    /// Also say where and why relevant documents are missed (table and json; the page always does)
    ///
    /// Whether the relevant documents are found at all (0.75 is the line under which a system that answers from what
    /// it retrieves has too little to go by), which documents stand above them, by how much, in queries with which
    /// words (with --queries), and which queries were gained and lost.
    #[arg(long)]
    pub(crate) diagnose: bool,

    /// Write the values of every query to this file, as TSV
    #[arg(long, value_name = "FILE", value_parser = output_path_parser(&["tsv", "tab"]))]
    pub(crate) per_query: Option<PathBuf>,

    /// Write what was retrieved to this file, as a TREC run
    ///
    /// `{}` in the name stands for the system's name, and must be there when there are several systems.
    #[arg(long, value_name = "FILE", value_parser = run_pattern())]
    pub(crate) run: Option<String>,

    /// Write everything to this file as one page that needs no network
    #[arg(long, value_name = "FILE", value_parser = output_path_parser(&["html", "htm"]))]
    pub(crate) html: Option<PathBuf>,
}

/// Text, with a place for the system's name.
fn run_pattern() -> impl TypedValueParser<Value = String> {
    output_path_parser(&["run", "trec"]).try_map(|path| path.into_os_string().into_string().map_err(|_| "not UTF-8"))
}

impl OutputArgs {
    /// The form of the report.
    ///
    /// # Errors
    /// A file's name that promises another form.
    pub(crate) fn format(&self) -> anyhow::Result<Format> {
        output_format(self.format, self.path.as_deref(), Format::Table, Format::Table)
    }
}

embtune_cli::filter!(Cli, "block");
