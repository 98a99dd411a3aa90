//! `--run`: what was retrieved, in TREC's form.

use std::path::PathBuf;

use anyhow::ensure;
use embtune_cli::Session;
use embtune_records::{Run, write_run};

/// The file of a system: the pattern with its name in the place of `{}`.
pub(crate) fn path(pattern: &str, system: &str) -> PathBuf {
    pattern.replace("{}", system).into()
}

/// Writes the run of one system, which is also the run's tag.
pub(crate) fn write(run: &Run, system: &str, pattern: &str, session: &Session) -> anyhow::Result<()> {
    let mut out = session.output(Some(&path(pattern, system)))?;
    for (query, documents) in &run.queries {
        for id in [query].into_iter().chain(documents.iter().map(|entry| &entry.document)) {
            ensure!(
                !id.contains(|c: char| c.is_ascii_whitespace()),
                "--run: id \"{id}\" has a blank, which TREC's format cannot hold"
            );
        }
        write_run(query, documents, system, &mut out)?;
    }
    Ok(out.finish()?)
}
