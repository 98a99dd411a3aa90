//! TREC's forms: the report as trec_eval prints it, and runs.

use std::io::{self, Write};

use anyhow::ensure;
use embtune_cli::Session;
use embtune_records::Run;

use crate::measure::trec_name;
use crate::results::Results;

/// Writes a block for each system, whose lines are name, `all`, and the value with four decimals.
pub(super) fn write(results: &Results, out: &mut impl Write) -> io::Result<()> {
    for system in &results.systems {
        write_line("runid", &system.name, out)?;
        write_line("num_q", &results.queries.len().to_string(), out)?;
        for (index, metric) in results.metrics.iter().enumerate() {
            write_line(&trec_name(*metric), &format!("{:.4}", system.evaluation.mean(index)), out)?;
        }
    }
    Ok(())
}

fn write_line(name: &str, value: &str, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{name:<22}\tall\t{value}")
}

/// Writes the run of one system to the file named by `pattern`, in which `{}` is the system's name. The name is also the
/// tag of the run.
pub(crate) fn write_run(run: &Run, system: &str, pattern: &str, session: &Session) -> anyhow::Result<()> {
    let mut out = session.output(Some(pattern.replace("{}", system).as_ref()))?;
    for (query, documents) in &run.queries {
        for id in [query].into_iter().chain(documents.iter().map(|entry| &entry.document)) {
            ensure!(
                !id.contains(|c: char| c.is_ascii_whitespace()),
                "--run: id \"{id}\" contains white space, which TREC's format does not allow"
            );
        }
        embtune_records::write_run(query, documents, system, &mut out)?;
    }
    Ok(out.finish()?)
}
