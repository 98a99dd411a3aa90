//! The report for programs: JSON and TSV.

use std::io::{self, Write};

use embtune_records::Judgments;
use serde_json::{Map, Value, json};

use crate::compare::Comparison;
use crate::report::{Measured, Report};

/// Writes one JSON object.
pub(crate) fn write_json(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let systems: Vec<Value> = report.systems.iter().map(|system| system_object(report, system)).collect();
    let object = json!({
        "queries": report.queries,
        "evaluated_queries": report.measured,
        "primary": report.metrics[report.primary].to_string(),
        "systems": systems,
    });
    serde_json::to_writer_pretty(&mut *out, &object).map_err(io::Error::from)?;
    writeln!(out)
}

fn system_object(report: &Report, system: &Measured) -> Value {
    let mut object = json!({
        "name": system.name,
        "missing_queries": system.missing,
        "metrics": by_metric(report, |metric| system.evaluation.mean(metric).into()),
    });
    if !system.comparisons.is_empty() {
        object["compared_with"] = report.systems[0].name.as_str().into();
        object["comparison"] = by_metric(report, |metric| comparison_object(&system.comparisons[metric]));
    }
    object
}

/// An object that has one field for each metric.
fn by_metric(report: &Report, value: impl Fn(usize) -> Value) -> Value {
    let fields = report.metrics.iter().enumerate().map(|(index, metric)| (metric.to_string(), value(index)));
    Value::Object(fields.collect::<Map<_, _>>())
}

/// An infinite t (all differences are the same) becomes null: JSON has no infinity.
fn comparison_object(comparison: &Comparison) -> Value {
    json!({
        "difference": comparison.difference,
        "ci95": [comparison.interval.low, comparison.interval.high],
        "p": comparison.randomisation.p,
        "p_exact": comparison.randomisation.exact,
        "t": comparison.t_test.map(|test| test.t),
        "t_p": comparison.t_test.map(|test| test.p),
        "wins": comparison.tally.wins,
        "ties": comparison.tally.ties,
        "losses": comparison.tally.losses,
        "significant": comparison.is_significant(),
    })
}

/// Writes one line for each system and metric; the columns of the comparison are empty for the first system.
pub(crate) fn write_tsv(report: &Report, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "system\tmetric\tvalue\tdifference\tci_low\tci_high\tp")?;
    for system in &report.systems {
        for (index, metric) in report.metrics.iter().enumerate() {
            write!(out, "{}\t{metric}\t{}\t", system.name, system.evaluation.mean(index))?;
            match system.comparisons.get(index) {
                None => writeln!(out, "\t\t\t")?,
                Some(Comparison { difference, interval, randomisation, .. }) => {
                    writeln!(out, "{difference}\t{}\t{}\t{}", interval.low, interval.high, randomisation.p)?;
                }
            }
        }
    }
    Ok(())
}

/// Writes one line for each measured query, with one column for each system and metric.
pub(crate) fn write_per_query(report: &Report, judgments: &Judgments, out: &mut impl Write) -> io::Result<()> {
    write!(out, "query")?;
    for system in &report.systems {
        report.metrics.iter().try_for_each(|metric| write!(out, "\t{}:{metric}", system.name))?;
    }
    writeln!(out)?;
    for (row, query) in judgments.queries().iter().enumerate() {
        write!(out, "{}", query.id)?;
        for system in &report.systems {
            system.evaluation.values.iter().try_for_each(|values| write!(out, "\t{}", values[row]))?;
        }
        writeln!(out)?;
    }
    Ok(())
}
