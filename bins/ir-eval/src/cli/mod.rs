//! The command line.

mod sections;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::TypedValueParser;
use clap::{Args, Parser};
use embtune_cli::{CommonArgs, HubArgs, OrtArgs, output_path_parser, parse_not_negative, parse_rank};
use embtune_metrics::Metric;
use embtune_search::Similarity;

use crate::gates::Threshold;
use crate::measure::{Compat, MissingPolicy, NoRelevantPolicy, TieRule};
use crate::report::Format;
use crate::system::System;

/// Measure retrieval and compare systems
///
/// Searches exactly, with the vectors of each system, for the queries that the judgments name, and reports how high the
/// relevant documents are ranked. With two systems or more, it also tests whether they differ by more than chance.
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
    /// with the ids in X.ids, one per line. Each may be a quoted glob pattern ('b=q.npy,corpus-*.npy'), whose files are one
    /// corpus, which may be larger than memory. NAME=QUERIES,CORPUS,FULL finds four times as many hits in CORPUS, whose
    /// vectors may be quantised, and orders them by the vectors in FULL. NAME=MODEL takes a model, as a directory or a
    /// Hugging Face name, and embeds --queries and --corpus with it. NAME=RUN takes a run: see Files.
    #[arg(value_name = "SYSTEM", required = true)]
    pub(crate) systems: Vec<System>,

    /// Relevance judgments in BEIR's or TREC's form, CSV or JSON (see Files)
    #[arg(long, value_name = "FILE")]
    pub(crate) qrels: PathBuf,

    /// Texts of the queries, for models and for showing single queries
    #[arg(long, value_name = "FILE")]
    pub(crate) queries: Option<PathBuf>,

    /// Texts of the documents, likewise
    #[arg(long, value_name = "FILE")]
    pub(crate) corpus: Option<PathBuf>,

    /// What mnrl-train wrote to stdout, to show its curves on the page
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) training_log: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) hub: HubArgs,
}

/// How it is measured.
#[derive(Debug, Args)]
#[command(next_help_heading = "Metrics")]
pub(crate) struct MetricArgs {
    /// Cutoffs of the default metrics [default: 1,5,10]
    ///
    /// The default metrics are ndcg, recall, mrr, precision, map and accuracy.
    #[arg(short = 'k', value_name = "NUM,...", value_delimiter = ',', value_parser = parse_rank)]
    pub(crate) cutoffs: Vec<NonZeroUsize>,

    /// Metrics to report instead, such as ndcg@10,recall@100,bpref
    #[arg(long, value_name = "METRIC,...", value_delimiter = ',', conflicts_with = "cutoffs")]
    pub(crate) metrics: Vec<Metric>,

    /// The metric that decides; by default ndcg@10, or the first one if that is not reported
    #[arg(long, value_name = "METRIC", hide_short_help = true)]
    pub(crate) primary: Option<Metric>,

    /// Compute and name metrics as another program does
    #[arg(long, value_name = "PROGRAM", value_enum)]
    pub(crate) compat: Option<Compat>,

    /// Which of two documents with equal scores is ranked first [default: docid-desc]
    #[arg(long, value_name = "RULE", value_enum, hide_short_help = true)]
    pub(crate) ties: Option<TieRule>,

    /// Leave out documents that have the query's own id
    #[arg(long, hide_short_help = true)]
    pub(crate) exclude_self: bool,

    /// How to treat a judged query that a system did not answer
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = MissingPolicy::Zero, hide_short_help = true)]
    pub(crate) missing: MissingPolicy,

    /// How to treat a query without a relevant document [default: skip]
    #[arg(long, value_name = "POLICY", value_enum, hide_short_help = true)]
    pub(crate) no_relevant: Option<NoRelevantPolicy>,

    /// Seed of every random choice
    ///
    /// The randomisation test and the confidence interval draw samples.
    #[arg(long, value_name = "NUM", default_value_t = 42, hide_short_help = true)]
    pub(crate) seed: u64,
}

/// How vectors are searched.
#[derive(Debug, Args)]
#[command(next_help_heading = "Search")]
pub(crate) struct SearchArgs {
    /// How query and document vectors are compared
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Similarity::Cosine, hide_short_help = true)]
    pub(crate) similarity: Similarity,

    /// Hits to keep per query; never fewer than the largest cutoff
    #[arg(long, value_name = "NUM", default_value = "100", value_parser = parse_rank, hide_short_help = true)]
    pub(crate) depth: NonZeroUsize,

    /// Compare only the first elements of all vectors (Matryoshka)
    #[arg(long, value_name = "NUM", hide_short_help = true)]
    pub(crate) truncate_dim: Option<NonZeroUsize>,
}

/// When the answer is no.
#[derive(Debug, Args)]
#[command(next_help_heading = "Gates")]
pub(crate) struct GateArgs {
    /// Exit with 1 if a metric of the last system is under a bound, such as ndcg@10=0.8
    #[arg(long, value_name = "METRIC=NUM,...", value_delimiter = ',', hide_short_help = true)]
    pub(crate) fail_under: Vec<Threshold>,

    /// Exit with 1 if the last system's primary metric is lower than the first one's by more than this
    #[arg(long, value_name = "NUM", value_parser = parse_not_negative, hide_short_help = true)]
    pub(crate) fail_on_regression: Option<f64>,
}

/// Where the results go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Write the report to this file, which appears whole or not at all
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub(crate) path: Option<PathBuf>,

    /// Form of the report [default: by the file's extension, else table]
    #[arg(long, value_name = "FORM", value_enum)]
    pub(crate) format: Option<Format>,

    /// Also say where and why relevant documents are missed
    ///
    /// For the forms table and json; a page always does. The diagnosis says whether the relevant documents are found at all (below 0.75, a system that answers from what it retrieves has too
    /// little to go by), which documents are ranked above them and by how much, which words the failing queries contain
    /// (with --queries), and which queries were gained and lost.
    #[arg(long)]
    pub(crate) diagnose: bool,

    /// Write the values of every query to this file, as TSV
    #[arg(long, value_name = "FILE", value_parser = output_path_parser(&["tsv", "tab"]), hide_short_help = true)]
    pub(crate) per_query: Option<PathBuf>,

    /// Write what was retrieved to this file, as a TREC run
    ///
    /// `{}` in the file's name is replaced with the system's name. It is required if there are several systems.
    #[arg(long, value_name = "FILE", value_parser = run_pattern(), hide_short_help = true)]
    pub(crate) run: Option<String>,

    /// Write everything to this file as one page that needs no network
    #[arg(long, value_name = "FILE", value_parser = output_path_parser(&["html", "htm"]))]
    pub(crate) html: Option<PathBuf>,
}

/// A file name, which may contain a placeholder for the system's name.
fn run_pattern() -> impl TypedValueParser<Value = String> {
    output_path_parser(&["run", "trec"]).try_map(|path| path.into_os_string().into_string().map_err(|_| "not UTF-8"))
}

embtune_cli::filter!(Cli {
    unit: "block",
    example: "ir-eval --qrels qrels.tsv base=base.q.npy,base.c.npy tuned=tuned.q.npy,tuned.c.npy"
});
