//! The report for programs, as lines with tabs.

use std::io::{self, Write};

use super::Report;

/// Columns of the comparison, which are empty for the first system.
const COMPARISON: &str = "difference\tci_low\tci_high\tp\tp_holm\tt_p\twilcoxon_p\teffect_size";

/// Writes one line for each system and metric.
pub(super) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "system\tmetric\tvalue\t{COMPARISON}")?;
    let empty = "\t".repeat(COMPARISON.matches('\t').count());
    for system in &report.systems {
        for metric in 0..report.metrics.len() {
            write!(out, "{}\t{}\t{}\t", system.name, report.name(metric), report.value(system, metric))?;
            let Some(comparison) = system.comparisons.get(metric) else {
                writeln!(out, "{empty}")?;
                continue;
            };
            let number = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
            let figures = [
                Some(comparison.difference),
                Some(comparison.interval.low),
                Some(comparison.interval.high),
                Some(comparison.randomisation.p),
                Some(comparison.holm),
                comparison.t_test.map(|test| test.p),
                Some(comparison.wilcoxon.p),
                comparison.effect_size,
            ];
            writeln!(out, "{}", figures.map(number).join("\t"))?;
        }
    }
    Ok(())
}
