//! The report for people.

use std::io::{self, Write};

use super::verdict::{p_value, sentence};
use super::{Measured, Report};
use crate::compare::{Comparison, SIGNIFICANCE};

/// Writes metrics in lines and systems in columns, then what the comparison says.
pub(super) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let mut lines = vec![header(report)];
    lines.extend((0..report.metrics.len()).map(|metric| line(report, metric)));
    write_aligned(&lines, out)?;
    for (number, note) in notes(report).into_iter().enumerate() {
        writeln!(out, "{}{note}", if number == 0 { "\n" } else { "" })?;
    }
    report.compared().iter().try_for_each(|system| writeln!(out, "\n{}", sentence(report, system)))
}

/// What the marks beside p-values say.
pub(super) fn notes(report: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    if !report.compared().is_empty() {
        notes.push(format!("*  p < {SIGNIFICANCE}: Fisher's randomisation test, two-sided, of this metric alone"));
    }
    let withstands = |system: &Measured| system.comparisons.iter().any(Comparison::withstands_holm);
    if report.metrics.len() > 1 && report.compared().iter().any(withstands) {
        notes.push(format!("** p < {SIGNIFICANCE} when corrected for {} metrics (Holm)", report.metrics.len()));
    }
    notes
}

pub(super) fn header(report: &Report) -> Vec<String> {
    let mut cells = vec!["metric".to_owned(), report.systems[0].name.clone()];
    for system in report.compared() {
        cells.extend([system.name.clone(), "diff".into(), "p   ".into()]);
    }
    cells
}

pub(super) fn line(report: &Report, metric: usize) -> Vec<String> {
    let mut cells = vec![report.name(metric), number(report.systems[0].evaluation.mean(metric))];
    for system in report.compared() {
        let comparison = &system.comparisons[metric];
        cells.extend([
            number(system.evaluation.mean(metric)),
            format!("{:+.4}", comparison.difference),
            marked_p(comparison),
        ]);
    }
    cells
}

fn number(value: f64) -> String {
    format!("{value:.4}")
}

fn marked_p(comparison: &Comparison) -> String {
    let mark = match (comparison.is_significant(), comparison.withstands_holm()) {
        (true, true) => "**",
        (true, false) => "*",
        (false, _) => "",
    };
    format!("{} {mark:<2}", p_value(comparison.randomisation.p, ""))
}

/// Writes the first column to the left, the others to the right, each as wide as its widest cell.
pub(super) fn write_aligned(lines: &[Vec<String>], out: &mut impl Write) -> io::Result<()> {
    let width = |column: usize| lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    for cells in lines {
        let mut text = format!("{:<width$}", cells[0], width = widths[0]);
        for (cell, width) in cells.iter().zip(&widths).skip(1) {
            text.push_str(&format!("  {cell:>width$}"));
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}
