//! The flags of the dev set.

use std::num::NonZero;
use std::path::PathBuf;

use clap::Args;
use embtune_metrics::Metric;

/// What is measured during the training, and how often.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Dev set")]
pub(crate) struct DevArgs {
    /// Queries to measure retrieval with, as JSON Lines (BEIR's form)
    ///
    /// The model with the best figure is the one that is saved. Texts are embedded as `embed --role query` and
    /// `--role document` do it, with the prompts of the shards, and figures are those of `ir-eval`.
    #[arg(long, value_name = "FILE", requires_all = ["dev_corpus", "dev_qrels"])]
    pub(crate) dev_queries: Option<PathBuf>,

    /// Documents that the dev set's queries are to find, as JSON Lines (BEIR's form)
    #[arg(long, value_name = "FILE", requires_all = ["dev_queries", "dev_qrels"])]
    pub(crate) dev_corpus: Option<PathBuf>,

    /// Which of these documents are relevant to which queries, in BEIR's or TREC's form
    #[arg(long, value_name = "FILE", requires_all = ["dev_queries", "dev_corpus"])]
    pub(crate) dev_qrels: Option<PathBuf>,

    /// Steps between two evaluations [default: an epoch]
    #[arg(long, value_name = "STEPS", requires = "dev_queries")]
    pub(crate) eval_every: Option<NonZero<u64>>,

    /// Metric that decides which model is the best: ndcg, recall, mrr, precision, map or accuracy, at a rank
    #[arg(long, value_name = "METRIC", default_value = "ndcg@10", requires = "dev_queries")]
    pub(crate) metric: Metric,

    /// Stop after so many evaluations in a row without a better figure
    #[arg(long, value_name = "NUM", requires = "dev_queries")]
    pub(crate) patience: Option<NonZero<u32>>,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::DevArgs;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        dev: DevArgs,
    }

    fn parse(line: &str) -> Result<DevArgs, String> {
        let words = ["prog"].into_iter().chain(line.split_whitespace());
        Cli::try_parse_from(words).map(|cli| cli.dev).map_err(|error| error.to_string())
    }

    #[test]
    fn the_files_come_together() {
        let none = parse("").unwrap();
        assert!(none.dev_queries.is_none() && none.metric.to_string() == "ndcg@10");
        let all = parse("--dev-queries q --dev-corpus c --dev-qrels r --metric recall@5 --patience 2").unwrap();
        assert!(all.metric.to_string() == "recall@5" && all.patience.unwrap().get() == 2 && all.eval_every.is_none());
        for part in
            ["--dev-queries q --dev-corpus c", "--dev-qrels r", "--patience 2", "--metric map@5", "--eval-every 9"]
        {
            assert!(parse(part).unwrap_err().contains("required arguments were not provided"), "{part}");
        }
    }

    #[test]
    fn a_wrong_metric_is_refused_with_the_known_ones() {
        let message = parse("--dev-queries q --dev-corpus c --dev-qrels r --metric ndgc@10").unwrap_err();
        assert!(
            message.contains("no metric is called \"ndgc\"; the nearest is ndcg; there are ndcg, ndcg-exp, recall"),
            "{message}"
        );
    }
}
