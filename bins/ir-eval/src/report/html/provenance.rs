//! Where the numbers of a page come from.

use embtune_cli::counted;
use embtune_metrics::Ties;

use super::TrainingLog;
use crate::comparison::CONFIDENCE;
use crate::input::InputArgs;
use crate::measure::{MissingPolicy, NoRelevantPolicy, Rules};
use crate::results::Results;

/// The inputs and rules that a page names.
pub(crate) struct PageSettings<'a> {
    pub(crate) input: &'a InputArgs,
    pub(crate) training_log: Option<TrainingLog>,
    pub(crate) rules: Rules,
    /// How many hits a search keeps per query.
    pub(crate) depth: usize,
    pub(crate) seed: u64,
}

/// Names and what they stand for. The same flags always give the same page.
pub(super) fn all(settings: &PageSettings<'_>, results: &Results) -> Vec<(String, String)> {
    let rules = settings.rules;
    let mut all = vec![
        ("program".to_owned(), format!("ir-eval {}", env!("CARGO_PKG_VERSION"))),
        ("judgments".into(), judgments(settings, results)),
    ];
    for system in &results.systems {
        let missing = match system.missing {
            0 => String::new(),
            count => format!("; {} not answered", counted(count as u64, "judged query", "judged queries")),
        };
        all.push((system.name.clone(), format!("{}{missing}", system.origin)));
    }
    let InputArgs { queries, corpus, training_log, .. } = settings.input;
    for (name, file) in [("queries", queries), ("corpus", corpus), ("training log", training_log)] {
        if let Some(file) = file {
            all.push((name.into(), file.display().to_string()));
        }
    }
    let ties = if rules.ties == Ties::GreaterId { "the greater id first" } else { "the smaller id first" };
    let left_out = if rules.exclude_self { "; documents with the query's id left out" } else { "" };
    let (similarity, hits) = (results.names.similarity_name(), settings.depth);
    let search = format!("exact, {similarity} similarity, {hits} hits a query; of equal scores {ties}{left_out}");
    all.push(("search".into(), search));
    if results.systems.len() > 1 {
        let statistics = format!(
            "{:.0} % percentile bootstrap of 10,000 samples; Fisher's randomisation test, two-sided, exact up to 20 \
             queries that differ, else 10,000 samples; seed {}",
            100.0 * CONFIDENCE,
            settings.seed
        );
        all.push(("statistics".into(), statistics));
    }
    all
}

fn judgments(settings: &PageSettings<'_>, results: &Results) -> String {
    let no_relevant = match settings.rules.no_relevant {
        NoRelevantPolicy::Zero => "counted as 0",
        NoRelevantPolicy::Skip => "left out",
    };
    let missing = match settings.rules.missing {
        MissingPolicy::Skip => "left out",
        MissingPolicy::Zero | MissingPolicy::Error => "counted as 0",
    };
    format!(
        "{}: {} queries, {} evaluated, {} without a relevant document ({no_relevant}); those not answered {missing}",
        settings.input.qrels.display(),
        results.judged_queries,
        results.queries.len(),
        results.without_relevant
    )
}
