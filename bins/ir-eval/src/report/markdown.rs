//! The report as a table of Markdown (GitHub's).

use std::io::{self, Write};

use super::table::{header, line};
use super::verdict::sentence;
use super::{Report, table};

/// Writes what the table for people says.
pub(super) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let header = header(report);
    row(&header, out)?;
    writeln!(out, "|---|{}", "---:|".repeat(header.len() - 1))?;
    (0..report.metrics.len()).try_for_each(|metric| row(&line(report, metric), out))?;
    for note in table::notes(report) {
        writeln!(out, "\n{}", escaped(&note))?;
    }
    report.compared().iter().try_for_each(|system| writeln!(out, "\n{}", escaped(&sentence(report, system))))
}

fn row(cells: &[String], out: &mut impl Write) -> io::Result<()> {
    cells.iter().try_for_each(|cell| write!(out, "| {} ", escaped(cell.trim())))?;
    writeln!(out, "|")
}

/// Signs that Markdown takes for markup.
fn escaped(text: &str) -> String {
    text.replace('*', "\\*").replace('_', "\\_").replace('<', "&lt;")
}
