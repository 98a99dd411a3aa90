//! The requests of a round trip, in files.

use std::io::{BufWriter, Write as _};

use tempfile::NamedTempFile;

use super::line;
use crate::llm::Run;
use crate::llm::asker::Server;
use crate::llm::budget::{Spent, Tokens};
use crate::llm::journal::Cost;
use crate::llm::requests::say_again;

/// OpenAI's limit on requests, and a quarter of its limit on bytes, which other servers have too.
pub(super) const MOST_LINES: u64 = 50_000;
const MOST_BYTES: u64 = 50 << 20;

/// A file, and what it holds.
struct RequestFile {
    file: BufWriter<NamedTempFile>,
    lines: u64,
    bytes: u64,
    most: Tokens,
}

impl RequestFile {
    fn new() -> anyhow::Result<Self> {
        let file = BufWriter::new(tempfile::Builder::new().suffix(".jsonl").tempfile()?);
        Ok(Self { file, lines: 0, bytes: 0, most: Tokens::default() })
    }

    fn has_room(&self, line: &str) -> bool {
        self.lines < MOST_LINES && self.bytes + line.len() as u64 <= MOST_BYTES
    }
}

/// The requests that the journal has no reply to, in files of the size that servers take, as far as the caps allow; and
/// the most that each can cost.
///
/// # Errors
/// Those of reading the input, and of writing the files.
pub(super) fn request_files(run: &Run<'_>, server: &Server) -> anyhow::Result<Vec<(NamedTempFile, Cost)>> {
    let mut files: Vec<RequestFile> = Vec::new();
    let (wording, mut planned, mut left_out) = (run.wording(), Spent::default(), 0_u64);
    let found = run.requests(server.longest_reply, |request| {
        let more = planned + server.budget.cost(request.estimate.most);
        if left_out > 0 || !server.budget.has_room(more) {
            left_out += 1;
            return Ok(());
        }
        planned = more;
        let line = line::of(request.key, &wording.of(&request.body));
        if !files.last().is_some_and(|file| file.has_room(&line)) {
            files.push(RequestFile::new()?);
        }
        if let Some(file) = files.last_mut() {
            file.file.write_all(line.as_bytes())?;
            file.lines += 1;
            file.bytes += line.len() as u64;
            file.most += request.estimate.most;
        }
        Ok(())
    })?;
    say_again(found.again, run.session);
    if left_out > 0 {
        let hint = "hint: a batch reserves the longest reply for each request: see --max-completion-tokens";
        run.session.warn(format!("requests that a cap leaves no room for: {left_out}\n{hint}"));
    }
    let cost = |most: Tokens| {
        let cost = Cost::of(most, &server.budget);
        if server.longest_reply.is_some() { cost } else { cost.without_limit() }
    };
    let whole = |file: RequestFile| Ok((file.file.into_inner().map_err(|error| error.into_error())?, cost(file.most)));
    files.into_iter().map(whole).collect()
}
