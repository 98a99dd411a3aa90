//! The report as a table of a spreadsheet; with `--compat st` as sentence-transformers writes it.

use std::io::{self, Write};

use embtune_metrics::{Kind, Metric};

use super::{Measured, Report};
use crate::cli::Compat;

/// Writes one line for each system, below a header.
pub(super) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let is_st = report.names.compat == Some(Compat::St);
    let order = if is_st { st_order(&report.metrics) } else { (0..report.metrics.len()).collect() };
    // sentence-transformers' file is one of a training, and -1 stands for its end.
    let (first, start): (&str, &dyn Fn(&Measured) -> String) =
        if is_st { ("epoch,steps", &|_| "-1,-1".into()) } else { ("system", &|system| system.name.clone()) };
    write!(out, "{first}")?;
    for metric in &order {
        match is_st {
            true => write!(out, ",{}-{}", report.names.function(), st_name(report.metrics[*metric]))?,
            false => write!(out, ",{}", report.name(*metric))?,
        }
    }
    writeln!(out)?;
    for system in &report.systems {
        write!(out, "{}", start(system))?;
        // With a point in every number, as Python prints a float.
        order.iter().try_for_each(|metric| write!(out, ",{:?}", report.value(system, *metric)))?;
        writeln!(out)?;
    }
    Ok(())
}

/// Columns as in InformationRetrievalEvaluator: precision and recall alternate.
fn st_order(metrics: &[Metric]) -> Vec<usize> {
    let place = |index: &usize| {
        let Metric { kind, k } = metrics[*index];
        match kind {
            Kind::Accuracy => (0, None, 0),
            Kind::Precision => (1, k, 0),
            Kind::Recall => (1, k, 1),
            Kind::Mrr => (2, None, 0),
            Kind::Ndcg => (3, None, 0),
            Kind::CappedMap => (4, None, 0),
            _ => (5, None, 0),
        }
    };
    let mut order: Vec<usize> = (0..metrics.len()).collect();
    order.sort_by_key(place);
    order
}

fn st_name(metric: Metric) -> String {
    let name = match metric.kind {
        Kind::Accuracy => "Accuracy",
        Kind::Precision => "Precision",
        Kind::Recall => "Recall",
        Kind::Mrr => "MRR",
        Kind::Ndcg => "NDCG",
        Kind::CappedMap => "MAP",
        _ => return metric.to_string(),
    };
    metric.k.map_or_else(|| name.to_owned(), |k| format!("{name}@{k}"))
}
