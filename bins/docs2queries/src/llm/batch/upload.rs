//! Writes the requests of a round trip to files for upload.

use std::io::{BufWriter, Write as _};

use tempfile::NamedTempFile;

use super::{BatchContext, request_lines};
use crate::llm::budget::{Spent, Tokens};
use crate::llm::journal::Cost;
use crate::llm::model::Model;
use crate::llm::requester::{Server, report_resent};

/// OpenAI's limit on the requests of a file.
pub(super) const MAX_LINES: u64 = 50_000;
/// A quarter of OpenAI's limit on the bytes of a file, which fits other servers too.
const MAX_BYTES: u64 = 50 << 20;

/// A file of requests.
struct RequestFile {
    file: BufWriter<NamedTempFile>,
    lines: u64,
    bytes: u64,
    /// The most tokens that its requests can take.
    most: Tokens,
}

impl RequestFile {
    fn new() -> anyhow::Result<Self> {
        let file = BufWriter::new(tempfile::Builder::new().suffix(".jsonl").tempfile()?);
        Ok(Self { file, lines: 0, bytes: 0, most: Tokens::default() })
    }
}

/// Writes the requests to which the journal has no reply, as far as the caps allow, to files that are small enough for
/// servers, and returns each file with the most that it can cost.
///
/// # Errors
/// If the requests cannot be made, or the files cannot be written.
pub(super) fn request_files(
    context: BatchContext<'_>,
    model: &Model<'_>,
    server: &Server,
) -> anyhow::Result<Vec<(NamedTempFile, Cost)>> {
    let mut files: Vec<RequestFile> = Vec::new();
    let (to_line, mut planned, mut left_out) = (request_lines(model), Spent::default(), 0_u64);
    let resent = context.requests.for_each(Some(context.journal), server.longest_reply, &mut |request| {
        let more = planned + server.budget.cost(request.estimate.upper_bound);
        if left_out > 0 || !server.budget.has_room(more) {
            left_out += 1;
            return Ok(());
        }
        planned = more;
        let line = to_line(&request);
        let has_room = |file: &RequestFile| file.lines < MAX_LINES && file.bytes + line.len() as u64 <= MAX_BYTES;
        if !files.last().is_some_and(has_room) {
            files.push(RequestFile::new()?);
        }
        if let Some(file) = files.last_mut() {
            file.file.write_all(line.as_bytes())?;
            file.lines += 1;
            file.bytes += line.len() as u64;
            file.most += request.estimate.upper_bound;
        }
        Ok(())
    })?;
    report_resent(resent, context.session);
    if left_out > 0 {
        let hint = "hint: a batch reserves the longest reply for each request: see --max-completion-tokens";
        context.session.warn(format!("requests left out because a cap has no room for them: {left_out}\n{hint}"));
    }
    let cost = |most: Tokens| {
        let cost = Cost::of(most, &server.budget);
        if server.longest_reply.is_some() { cost } else { cost.without_limit() }
    };
    let finished =
        |file: RequestFile| Ok((file.file.into_inner().map_err(|error| error.into_error())?, cost(file.most)));
    files.into_iter().map(finished).collect()
}
