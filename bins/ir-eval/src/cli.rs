//! The flags.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use embtune_cli::{Common, OrtArgs};
use embtune_metrics::Metric;
use embtune_search::Similarity;

use crate::system::System;

const SECTIONS: &str = "\
Formulas:
  Of each query, the first k ranks are looked at. A document is relevant when its relevance is
  above 0; R is the number of relevant documents in the judgments, whether or not the corpus
  holds them. Every figure equals that of trec_eval's measure in parentheses.

  ndcg@k       DCG / DCG of the best order, with linear gain:
               DCG = sum of relevance / log2(rank + 1)               (ndcg_cut)
  recall@k     relevant documents found / R                          (recall)
  mrr@k        1 / rank of the first relevant document, 0 without    (recip_rank, run cut at k)
  precision@k  relevant documents found / k                          (P)
  map@k        precision at each rank of a relevant document,
               summed, / R                                           (map_cut)
  accuracy@k   1 if a relevant document is found, else 0             (success)

  A system's figure is the mean over the queries that have a relevant document. Queries without
  one are left out and counted (trec_eval -c counts them as 0). Queries that a system did not
  answer count as 0. Documents of equal score stand in descending order of their ids, byte by
  byte, as in trec_eval.

Comparison:
  Every system is compared with the first, query by query. p is that of Fisher's randomisation
  test, two-sided: the share of all ways to swap the two systems' results that give a mean
  difference as large as the one observed. All ways are tried when at most 20 queries differ,
  else 10,000 are drawn from --seed. The 95 % confidence interval of the mean difference is the
  percentile bootstrap's, of 10,000 samples. The p-values of several metrics are not corrected
  for their number: decide on one metric, the primary one, before you look.

Memory:
  The vectors are mapped, not loaded. Held in memory: the judgments, the hits of every judged
  query (--depth) of one system at a time, and one number for each query, metric and system.
  A TREC run is read whole.

Examples:
  Did fine-tuning help?
    ir-eval --qrels qrels.tsv base=base.q.safetensors,base.c.safetensors \\
      tuned=tuned.q.safetensors,tuned.c.safetensors
  Other metrics, for a program:
    ir-eval --qrels qrels.tsv --metrics recall@100,ndcg@10 --format json bm25=bm25.run |
      jq .systems
  The same figures from trec_eval:
    ir-eval --qrels qrels.txt --run '{}.run' tuned=q.safetensors,c.safetensors
    trec_eval -m ndcg_cut.10 qrels.txt tuned.run
";

/// Measure retrieval and compare systems
///
/// Searches exactly, with each system's vectors, for the queries that the judgments name, and reports how high the
/// relevant documents stand; of two systems or more, also whether they differ by more than chance.
#[derive(Debug, Parser)]
#[command(name = "ir-eval", version, after_long_help = SECTIONS)]
pub(crate) struct Cli {
    /// Systems to measure; the others are compared with the first
    ///
    /// NAME=QUERIES,CORPUS takes two files of vectors, as `embed` writes them; NAME=RUN takes a TREC run (a file without
    /// a comma in its name).
    #[arg(value_name = "SYSTEM", required = true, help_heading = "Input")]
    pub(crate) systems: Vec<System>,

    /// Which documents are relevant to which queries, in BEIR's or TREC's form
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    pub(crate) qrels: PathBuf,

    /// Cutoffs at which all metrics are taken
    #[arg(
        short = 'k',
        value_name = "NUM,...",
        value_delimiter = ',',
        default_value = "1,5,10",
        help_heading = "Metrics"
    )]
    pub(crate) cutoffs: Vec<NonZeroUsize>,

    /// Metrics to report instead, such as ndcg@10,recall@100
    #[arg(
        long,
        value_name = "METRIC,...",
        value_delimiter = ',',
        conflicts_with = "cutoffs",
        help_heading = "Metrics"
    )]
    pub(crate) metrics: Vec<Metric>,

    /// Metric that decides: ndcg@10 unless another is named, or the first if that is not reported
    #[arg(long, value_name = "METRIC", help_heading = "Metrics")]
    pub(crate) primary: Option<Metric>,

    /// Seed of every random choice
    ///
    /// The randomisation test and the confidence interval draw samples.
    #[arg(long, value_name = "NUM", default_value_t = 42, help_heading = "Metrics")]
    pub(crate) seed: u64,

    /// How query and document vectors are compared: cosine or dot
    #[arg(long, value_name = "HOW", default_value_t = Similarity::Cosine, help_heading = "Search")]
    pub(crate) similarity: Similarity,

    /// Hits kept of each query; never fewer than the largest k
    #[arg(long, value_name = "NUM", default_value = "100", help_heading = "Search")]
    pub(crate) depth: NonZeroUsize,

    /// Write the report to this file, which appears whole or not at all
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    /// Form of the report
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Format::Table, help_heading = "Output")]
    pub(crate) format: Format,

    /// Write the values of every query to this file, as TSV
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) per_query: Option<PathBuf>,

    /// Write what was retrieved to this file, as a TREC run
    ///
    /// `{}` in the name stands for the system's name, and must be there when there are several systems.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) run: Option<String>,

    #[command(flatten)]
    pub(crate) ort: OrtArgs,

    #[command(flatten)]
    pub(crate) common: Common,
}

/// Form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns and a verdict, for people
    Table,
    /// One object, for programs
    Json,
    /// One line for each system and metric
    Tsv,
}

embtune_cli::filter!(Cli);
