//! `--per-query`: the values of every query.

use std::io::{self, Write};

use super::Report;

/// Writes one line for each measured query, with one column for each system and metric.
pub(super) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    write!(out, "query")?;
    for system in &report.systems {
        (0..report.metrics.len()).try_for_each(|metric| write!(out, "\t{}:{}", system.name, report.name(metric)))?;
    }
    writeln!(out)?;
    for (row, query) in report.queries.iter().enumerate() {
        write!(out, "{}", query.id)?;
        for system in &report.systems {
            system.evaluation.values.iter().try_for_each(|values| write!(out, "\t{}", values[row]))?;
        }
        writeln!(out)?;
    }
    Ok(())
}
