//! Where the numbers of a page come from.

use std::path::PathBuf;

use embtune_metrics::Ties;

use super::TrainingLog;
use crate::comparison::CONFIDENCE;
use crate::measure::{MissingPolicy, NoRelevantPolicy, Rules};
use crate::results::Results;

/// The inputs and rules that a page names.
pub(crate) struct PageSettings {
    pub(crate) qrels: PathBuf,
    pub(crate) queries: Option<PathBuf>,
    pub(crate) corpus: Option<PathBuf>,
    pub(crate) training_log: Option<TrainingLog>,
    pub(crate) rules: Rules,
    /// How many hits a search keeps per query.
    pub(crate) depth: usize,
    pub(crate) seed: u64,
}

/// Names with their meanings. The same flags always give the same page.
pub(super) fn all(settings: &PageSettings, results: &Results) -> Vec<(String, String)> {
    let rules = settings.rules;
    let mut all = vec![
        ("program".to_owned(), format!("ir-eval {}", env!("CARGO_PKG_VERSION"))),
        ("judgments".into(), judgments(settings, results)),
    ];
    for system in &results.systems {
        let missing = match system.missing {
            0 => String::new(),
            1 => "; 1 judged query not answered".into(),
            missing => format!("; {missing} judged queries not answered"),
        };
        all.push((system.name.clone(), format!("{}{missing}", system.origin)));
    }
    let training_log = settings.training_log.as_ref().map(|log| &log.file);
    let files =
        [("queries", settings.queries.as_ref()), ("corpus", settings.corpus.as_ref()), ("training log", training_log)];
    for (name, file) in files {
        if let Some(file) = file {
            all.push((name.into(), file.display().to_string()));
        }
    }
    let ties = match rules.ties {
        Ties::GreaterId => "the greater id first",
        Ties::SmallerId => "the smaller id first",
    };
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

fn judgments(settings: &PageSettings, results: &Results) -> String {
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
        settings.qrels.display(),
        results.judged_queries,
        results.queries.len(),
        results.without_relevant
    )
}
