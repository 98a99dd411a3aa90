//! The values of the flags that have a few.

use clap::ValueEnum;
use embtune_cli::OutputFormat;
use embtune_metrics::Ties;
use embtune_search::Similarity;

/// Format of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns and a verdict, for people
    Table,
    /// One object, for programs
    Json,
    /// One line for each system and metric
    Tsv,
    /// One line for each system
    Csv,
    /// As trec_eval prints it, a block for each system
    Trec,
    /// A table for a paper (booktabs)
    Latex,
    /// A table for a README or a comment, and a verdict
    Markdown,
    /// One page that needs no network
    Html,
}

impl OutputFormat for Format {
    fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Table => &["txt", "text", "log"],
            Self::Json => &["json"],
            Self::Tsv => &["tsv", "tab"],
            Self::Csv => &["csv"],
            Self::Trec => &["trec", "eval", "txt", "text", "log"],
            Self::Latex => &["tex"],
            Self::Markdown => &["md", "markdown"],
            Self::Html => &["html", "htm"],
        }
    }
}

/// Another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compat {
    /// trec_eval -c
    Trec,
    /// InformationRetrievalEvaluator of sentence-transformers 6
    St,
    /// EvaluateRetrieval of BEIR
    Beir,
}

/// Which of two documents of equal score stands first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TiesArg {
    /// The greater id, byte by byte
    DocidDesc,
    /// The smaller id
    DocidAsc,
}

impl From<TiesArg> for Ties {
    fn from(ties: TiesArg) -> Self {
        match ties {
            TiesArg::DocidDesc => Self::GreaterId,
            TiesArg::DocidAsc => Self::SmallerId,
        }
    }
}

/// What to do about a judged query that a system did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Missing {
    /// It counts as 0
    Zero,
    /// It is left out, for all systems
    Skip,
    /// It is an error
    Error,
}

/// What to do about a query without a relevant document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NoRelevant {
    /// It counts as 0
    Zero,
    /// It is left out
    Skip,
}

/// How near two vectors are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SimilarityArg {
    /// The cosine of their angle
    Cosine,
    /// Their dot product
    Dot,
    /// Their distance, negative
    Euclidean,
}

impl From<SimilarityArg> for Similarity {
    fn from(similarity: SimilarityArg) -> Self {
        match similarity {
            SimilarityArg::Cosine => Self::Cosine,
            SimilarityArg::Dot => Self::Dot,
            SimilarityArg::Euclidean => Self::Euclidean,
        }
    }
}
