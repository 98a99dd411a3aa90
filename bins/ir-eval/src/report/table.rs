//! The report for people: an aligned table or one in Markdown, and the verdict in a sentence.

use std::io::{self, Write};

use crate::comparison::{CONFIDENCE, Comparison, SIGNIFICANCE};
use crate::results::{Results, SystemResults};

/// Writes metrics in rows and systems in columns, then the conclusions of the comparison.
pub(super) fn write(results: &Results, out: &mut impl Write) -> io::Result<()> {
    let mut rows = vec![header(results)];
    rows.extend((0..results.metrics.len()).map(|metric| row(results, metric)));
    write_aligned(&rows, out)?;
    for (number, note) in notes(results).into_iter().enumerate() {
        writeln!(out, "{}{note}", if number == 0 { "\n" } else { "" })?;
    }
    results.compared().iter().try_for_each(|system| writeln!(out, "\n{}", verdict(results, system)))
}

/// Writes the same in GitHub's Markdown.
pub(super) fn write_markdown(results: &Results, out: &mut impl Write) -> io::Result<()> {
    let header = header(results);
    write_markdown_row(&header, out)?;
    writeln!(out, "|---|{}", "---:|".repeat(header.len() - 1))?;
    (0..results.metrics.len()).try_for_each(|metric| write_markdown_row(&row(results, metric), out))?;
    for note in notes(results) {
        writeln!(out, "\n{}", escape_markdown(&note))?;
    }
    let verdict = |system: &SystemResults| escape_markdown(&verdict(results, system));
    results.compared().iter().try_for_each(|system| writeln!(out, "\n{}", verdict(system)))
}

fn header(results: &Results) -> Vec<String> {
    let mut cells = vec!["metric".to_owned(), results.systems[0].name.clone()];
    for system in results.compared() {
        cells.extend([system.name.clone(), "diff".into(), "p   ".into()]);
    }
    cells
}

fn row(results: &Results, metric: usize) -> Vec<String> {
    let value = |system: &SystemResults| format!("{:.4}", system.evaluation.mean(metric));
    let mut cells = vec![results.metric_name(metric), value(&results.systems[0])];
    for system in results.compared() {
        let comparison = &system.comparisons[metric];
        let p = format!("{} {:<2}", p_value(comparison.randomisation.p), comparison.significance_mark());
        cells.extend([value(system), format!("{:+.4}", comparison.difference), p]);
    }
    cells
}

/// Explains the asterisks.
fn notes(results: &Results) -> Vec<String> {
    let mut notes = Vec::new();
    if !results.compared().is_empty() {
        notes.push(format!("*  p < {SIGNIFICANCE}: Fisher's randomisation test, two-sided, of this metric alone"));
    }
    let has_two_asterisks =
        |system: &SystemResults| system.comparisons.iter().any(Comparison::is_significant_when_corrected);
    if results.metrics.len() > 1 && results.compared().iter().any(has_two_asterisks) {
        notes.push(format!("** p < {SIGNIFICANCE} when corrected for {} metrics (Holm)", results.metrics.len()));
    }
    notes
}

/// Says whether a system differs from the first one by the primary metric, and by which numbers.
pub(super) fn verdict(results: &Results, system: &SystemResults) -> String {
    let metric = results.metric_name(results.primary);
    let (comparison, first) = (&system.comparisons[results.primary], &results.systems[0].name);
    let relation = match (comparison.is_significant(), comparison.difference > 0.0) {
        (true, true) => "is significantly better than",
        (true, false) => "is significantly worse than",
        (false, _) => "does not differ significantly from",
    };
    let (interval, tally) = (comparison.interval, comparison.tally);
    let p = match p_value(comparison.randomisation.p) {
        p if p.starts_with('<') => p,
        p => format!("= {p}"),
    };
    format!(
        "{} {relation} {first} on {metric}: {:+.4}, {:.0} % CI {:+.4} to {:+.4}, p {p}, n = {} queries \
         ({} wins, {} ties, {} losses).",
        system.name,
        comparison.difference,
        100.0 * CONFIDENCE,
        interval.low,
        interval.high,
        results.queries.len(),
        tally.wins,
        tally.ties,
        tally.losses,
    )
}

/// A p-value with four decimals.
pub(super) fn p_value(p: f64) -> String {
    if p < 0.000_05 { "< 0.0001".into() } else { format!("{p:.4}") }
}

/// Writes columns as wide as their widest cells, the first aligned to the left and the others to the right.
pub(super) fn write_aligned(rows: &[Vec<String>], out: &mut impl Write) -> io::Result<()> {
    let width = |column: usize| rows.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    for cells in rows {
        let mut text = format!("{:<width$}", cells[0], width = widths[0]);
        for (cell, width) in cells.iter().zip(&widths).skip(1) {
            text.push_str(&format!("  {cell:>width$}"));
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}

fn write_markdown_row(cells: &[String], out: &mut impl Write) -> io::Result<()> {
    cells.iter().try_for_each(|cell| write!(out, "| {} ", escape_markdown(cell.trim())))?;
    writeln!(out, "|")
}

fn escape_markdown(text: &str) -> String {
    text.replace('*', "\\*").replace('_', "\\_").replace('<', "&lt;")
}
