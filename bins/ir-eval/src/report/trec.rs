//! The report as trec_eval prints it.

use std::io::{self, Write};

use super::Report;
use crate::measure::trec_name;

/// Writes a block for each system: name, `all`, value with four decimals.
pub(super) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    for system in &report.systems {
        line("runid", &system.name, out)?;
        line("num_q", &report.queries.len().to_string(), out)?;
        for (index, metric) in report.metrics.iter().enumerate() {
            line(&trec_name(*metric), &format!("{:.4}", system.evaluation.mean(index)), out)?;
        }
    }
    Ok(())
}

fn line(name: &str, value: &str, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{name:<22}\tall\t{value}")
}
