//! The report as a table for a paper.

use std::io::{self, Write};

use super::{Measured, Report};
use crate::compare::SIGNIFICANCE;

/// Writes a `tabular` with metrics in lines and systems in columns, the best of each line in bold.
pub(super) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "% \\usepackage{{booktabs}}")?;
    writeln!(out, "\\begin{{tabular}}{{l{}}}", "r".repeat(report.systems.len()))?;
    writeln!(out, "\\toprule")?;
    let names = report.systems.iter().map(|system| format!(" & {}", escaped(&system.name)));
    writeln!(out, "Metric{} \\\\", names.collect::<String>())?;
    writeln!(out, "\\midrule")?;
    for metric in 0..report.metrics.len() {
        let digits = |system: &Measured| format!("{:.4}", system.evaluation.mean(metric));
        let best = report.systems.iter().map(digits).max().unwrap_or_default();
        write!(out, "{}", escaped(&report.name(metric)))?;
        for system in &report.systems {
            let value = digits(system);
            let value = if value == best { format!("\\textbf{{{value}}}") } else { value };
            let is_significant = system.comparisons.get(metric).is_some_and(|comparison| comparison.is_significant());
            write!(out, " & {value}{}", if is_significant { "$^{*}$" } else { "" })?;
        }
        writeln!(out, " \\\\")?;
    }
    writeln!(out, "\\bottomrule")?;
    writeln!(out, "\\end{{tabular}}")?;
    if let [first, _, ..] = &report.systems[..] {
        let (first, queries) = (&first.name, report.queries.len());
        writeln!(out, "% * p < {SIGNIFICANCE} against {first}: Fisher's randomisation test, {queries} queries")?;
    }
    Ok(())
}

/// Names have letters, digits and a few signs, of which these mean something to TeX.
fn escaped(name: &str) -> String {
    name.replace('_', "\\_")
}
