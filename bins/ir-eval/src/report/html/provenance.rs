//! Where the figures come from.

use embtune_metrics::Ties;

use super::super::Report;
use crate::cli::{Cli, Missing, NoRelevant};
use crate::compare::CONFIDENCE;
use crate::measure::Rules;

/// Names and what they stand for. Nothing here changes from one run to the next with the same flags.
pub(super) fn all(cli: &Cli, report: &Report) -> Vec<(String, String)> {
    let rules = Rules::new(&cli.metrics);
    let mut all = vec![
        ("program".to_owned(), format!("ir-eval {}", env!("CARGO_PKG_VERSION"))),
        ("judgments".into(), judgments(cli, report, rules)),
    ];
    for system in &report.systems {
        let missing = match system.missing {
            0 => String::new(),
            missing => format!("; {missing} judged queries not answered"),
        };
        all.push((system.name.clone(), format!("{}{missing}", system.origin)));
    }
    let texts =
        [("queries", &cli.input.queries), ("corpus", &cli.input.corpus), ("training log", &cli.input.training_log)];
    for (name, file) in texts {
        if let Some(file) = file {
            all.push((name.into(), file.display().to_string()));
        }
    }
    let ties = match rules.ties {
        Ties::GreaterId => "the greater id first",
        Ties::SmallerId => "the smaller id first",
    };
    let left_out = if rules.exclude_self { "; documents with the query's id left out" } else { "" };
    let (similarity, hits) = (report.names.function(), cli.search.depth);
    let search = format!("exact, {similarity} similarity, {hits} hits a query; of equal scores {ties}{left_out}");
    all.push(("search".into(), search));
    let compared = format!(
        "{:.0} % percentile bootstrap of 10,000 samples; Fisher's randomisation test, two-sided, exact up to 20 queries \
         that differ, else 10,000 samples; seed {}",
        100.0 * CONFIDENCE,
        cli.metrics.seed
    );
    if report.systems.len() > 1 {
        all.push(("statistics".into(), compared));
    }
    all
}

fn judgments(cli: &Cli, report: &Report, rules: Rules) -> String {
    let no_relevant = match rules.no_relevant {
        NoRelevant::Zero => "counted as 0",
        NoRelevant::Skip => "left out",
    };
    let missing = match rules.missing {
        Missing::Skip => "left out",
        Missing::Zero | Missing::Error => "counted as 0",
    };
    format!(
        "{}: {} queries, {} evaluated, {} without a relevant document ({no_relevant}); those not answered {missing}",
        cli.input.qrels.display(),
        report.in_file,
        report.queries.len(),
        report.without_relevant
    )
}
