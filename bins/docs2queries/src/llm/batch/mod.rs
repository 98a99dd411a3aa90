//! Requests by the file: OpenAI's Batch API, at half the price, and whatever else reads its files.
//!
//! A line's `custom_id` is the key of the request in the journal, so results need nothing but the same command to find
//! their document.

mod bounds;
mod line;
mod lines;
mod request_files;
mod results;
mod round_trip;

use std::io::Write as _;

use embtune_cli::Outcome;

use super::Run;
use super::requests::say_again;

pub(super) use results::ingest;
pub(super) use round_trip::round_trip;

/// Writes the requests that the journal has no reply to.
///
/// # Errors
/// Those of reading the input, and of writing.
pub(super) fn emit(run: &Run<'_>) -> anyhow::Result<Outcome> {
    let mut out = run.session.output(run.cli.output.as_deref())?;
    let wording = run.wording();
    let mut requests = 0_u64;
    let found = run.requests(None, |request| {
        requests += 1;
        Ok(out.write_all(line::of(request.key, &wording.of(&request.body)).as_bytes())?)
    })?;
    out.finish()?;
    let kept = if found.in_journal > 0 { format!(", in the journal: {}", found.in_journal) } else { String::new() };
    run.session.notice(format!("documents: {}, requests: {requests}{kept}", found.census.documents));
    say_again(found.again, run.session);
    Ok(found.outcome)
}
