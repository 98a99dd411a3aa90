//! Results on their way into the journal.

use std::collections::{HashMap, HashSet};
use std::io::BufRead;
use std::path::PathBuf;

use anyhow::bail;
use embtune_cli::counted;
use embtune_records::{Line, Lines};
use serde_json::Value;

use super::BatchContext;
use super::lines::ResultLine;
use crate::llm::budget::{Budget, Spent, Tokens};
use crate::llm::client::{Batch, Status};
use crate::llm::failure::Verdict;
use crate::llm::journal::{BatchState, Cost, Key};
use crate::llm::json;
use crate::llm::reply::Reply;

/// Collects the replies of result files that the user names.
///
/// # Errors
/// A file that cannot be read or is something else, or a journal that cannot be written.
pub(crate) async fn collect_files(
    context: BatchContext<'_>,
    budget: &Budget,
    longest_reply: Option<u64>,
    files: &[PathBuf],
) -> anyhow::Result<()> {
    let mut collector = Collector::new(context, budget, longest_reply);
    for path in files {
        let input = context.session.input(path)?;
        let name = input.name.clone();
        let found = collector.read(&name, input).await?;
        collector.count_unreadable(&found).await?;
        if let FileContents { readable: 0, first_unreadable: Some(first), .. } = found {
            bail!("{first}\nhint: is it a result or error file of a batch?");
        }
    }
    collector.report();
    Ok(())
}

/// Puts results into the journal, and counts them.
pub(super) struct Collector<'a> {
    context: BatchContext<'a>,
    budget: &'a Budget,
    longest_reply: Option<u64>,
    /// The most tokens that each request can take, for replies without token counts. They are computed when the first
    /// such reply comes, because most servers count.
    upper_bounds: Option<HashMap<Key, Tokens>>,
    /// The requests of the replies read so far.
    seen: HashSet<Key>,
    counts: Counts,
}

/// What was collected.
#[derive(Default)]
struct Counts {
    replies: u64,
    without_usage: u64,
    spent: Spent,
    errors: LineCount,
    unreadable: LineCount,
    mended: LineCount,
    duplicates: LineCount,
    foreign: u64,
}

/// The contents of a result file.
#[derive(Default)]
pub(super) struct FileContents {
    /// The number of lines that are JSON.
    readable: u64,
    /// The first line that is not.
    first_unreadable: Option<String>,
    /// The requests that have a reply.
    replied: HashSet<Key>,
    /// The requests that have an error.
    failed: HashSet<Key>,
    /// The requests of unreadable lines, as far as they can be identified.
    garbled: Vec<Key>,
}

impl FileContents {
    /// Adds another file of the same batch.
    pub(super) fn add(&mut self, other: Self) {
        self.replied.extend(other.replied);
        self.failed.extend(other.failed);
    }
}

/// The number of lines of a kind, and a description of the first.
#[derive(Default)]
struct LineCount {
    count: u64,
    first: Option<String>,
}

impl LineCount {
    fn add(&mut self, description: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(description);
    }
}

impl<'a> Collector<'a> {
    /// A collector that has read nothing yet.
    pub(super) fn new(context: BatchContext<'a>, budget: &'a Budget, longest_reply: Option<u64>) -> Self {
        Self { context, budget, longest_reply, upper_bounds: None, seen: HashSet::new(), counts: Counts::default() }
    }

    /// Reads the lines of a result or error file. An unreadable line costs only itself.
    ///
    /// # Errors
    /// A file that cannot be read, or a journal that cannot be written.
    pub(super) async fn read(&mut self, name: &str, reader: impl BufRead) -> anyhow::Result<FileContents> {
        let max_line_bytes = self.context.max_line_bytes;
        let mut contents = FileContents::default();
        let mut lines = Lines::new(name, reader, max_line_bytes);
        for number in 1_u64.. {
            self.context.session.interrupt().check()?;
            let Some(Line { bytes, is_whole }) = lines.next_bytes().transpose()? else { break };
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            let place = || format!("{name}:{number}");
            match json::read(bytes).filter(|_| is_whole) {
                Some(read) => {
                    contents.readable += 1;
                    if read.is_repaired {
                        self.counts.mended.add(place);
                    }
                    let result = ResultLine::read(&read.value);
                    match &result {
                        ResultLine::Reply { key, .. } => _ = contents.replied.insert(*key),
                        ResultLine::Error { key, .. } => _ = contents.failed.insert(*key),
                        ResultLine::Foreign => {}
                    }
                    self.record(name, result, place).await?;
                }
                None => {
                    let reason =
                        if is_whole { "not JSON".to_owned() } else { format!("longer than {max_line_bytes} bytes") };
                    let description = format!("{}: {reason}", place());
                    contents.first_unreadable.get_or_insert_with(|| description.clone());
                    self.counts.unreadable.add(|| description);
                    contents.garbled.extend(ResultLine::key_of_unreadable(bytes));
                }
            }
        }
        Ok(contents)
    }

    async fn record(&mut self, source: &str, line: ResultLine, place: impl FnOnce() -> String) -> anyhow::Result<()> {
        match line {
            ResultLine::Reply { key, body } => {
                if !self.seen.insert(key) {
                    self.counts.duplicates.add(place);
                }
                if !self.context.journal.holds(key, source, &body)? {
                    let reply = Reply::read(&body);
                    let most = if reply.usage.is_some() { Tokens::default() } else { self.upper_bound(key)? };
                    self.counts.without_usage += u64::from(reply.usage.is_none());
                    self.put(source, key, reply.tokens(most), &body).await?;
                }
                self.counts.replies += 1;
            }
            ResultLine::Error { key, failure, body } => {
                // Recorded if it will happen again, or if it was paid for.
                let is_recorded = failure.verdict == Verdict::Request || failure.paid.is_some() || failure.may_cost;
                if is_recorded && !self.context.journal.holds(key, source, &body)? {
                    let used = match &failure.paid {
                        Some(paid) => paid.tokens,
                        None if failure.may_cost => self.upper_bound(key)?,
                        None => Tokens::default(),
                    };
                    self.put(source, key, used, &body).await?;
                }
                self.counts.errors.add(|| failure.to_string());
            }
            ResultLine::Foreign => self.counts.foreign += 1,
        }
        Ok(())
    }

    /// The most that a request can take; nothing for one that is not made of these documents.
    fn upper_bound(&mut self, key: Key) -> anyhow::Result<Tokens> {
        let bounds = match &mut self.upper_bounds {
            Some(bounds) => bounds,
            missing => {
                let mut bounds = HashMap::new();
                // Requests whose reply is in the journal by now were part of a batch too.
                self.context.requests.for_each(None, self.longest_reply, &mut |request| {
                    bounds.insert(request.key, request.estimate.upper_bound);
                    Ok(())
                })?;
                missing.insert(bounds)
            }
        };
        Ok(bounds.get(&key).copied().unwrap_or_default())
    }

    async fn put(&mut self, source: &str, key: Key, used: Tokens, body: &Value) -> anyhow::Result<()> {
        self.context.journal.put_batch_reply(key, source, Cost::of(used, self.budget), body).await?;
        self.count(self.budget.cost(used));
        Ok(())
    }

    /// Counts the requests of unreadable lines as paid, once.
    async fn count_unreadable(&mut self, contents: &FileContents) -> anyhow::Result<()> {
        let journal = self.context.journal;
        for key in contents.garbled.iter().copied() {
            if !journal.has(key) && !journal.is_unanswered(key) {
                let most = self.upper_bound(key)?;
                journal.asked(key, Cost::of(most, self.budget)).await?;
                self.count(self.budget.cost(most));
            }
        }
        Ok(())
    }

    /// Ends a batch whose results are all in `contents`. Requests without a result may have been processed, and count
    /// as the most that they can cost. Returns a description of these, if there are any.
    ///
    /// # Errors
    /// If the requests cannot be made, or the journal cannot be written.
    pub(super) async fn end(
        &mut self,
        file: &str,
        batch: &Batch,
        contents: &FileContents,
        is_gone: bool,
    ) -> anyhow::Result<Option<String>> {
        let with_result: HashSet<Key> = contents.replied.union(&contents.failed).copied().collect();
        let count = |keys: &HashSet<Key>| keys.len() as u64;
        // The server does not charge for what it reports as failed, or has not done in time.
        let paid =
            if batch.status == Status::Completed { batch.total.saturating_sub(batch.failed) } else { batch.completed };
        let missing = paid
            .saturating_sub(count(&contents.replied))
            .min(batch.total.max(batch.completed).saturating_sub(count(&with_result)));
        // If the server does not count requests, the token counts show whether any were done.
        let is_uncounted = batch.total == 0 && (is_gone || batch.status == Status::Completed);
        let mut most = self.context.journal.most_of_batch(file);
        let is_known = most.input > 0;
        let is_complete = missing == 0 && !is_uncounted;
        if !is_complete && !with_result.is_empty() {
            let most_with_result =
                with_result.iter().try_fold(Tokens::default(), |sum, key| anyhow::Ok(sum + self.upper_bound(*key)?))?;
            most = most.minus(most_with_result, self.budget);
        }
        // If the requests with a result make up the whole batch, the server has counted wrongly.
        if is_complete || most.input == 0 && (missing == 0 || is_known) {
            self.context.journal.put_batch(file, &BatchState::Collected).await?;
            return Ok(None);
        }
        self.context.journal.put_batch(file, &BatchState::Lost(most)).await?;
        self.count(most.spent(self.budget));
        let requests = match missing {
            0 => "some of its requests".to_owned(),
            missing => counted(missing, "request", "requests"),
        };
        Ok(Some(format!("has no result for {requests}; {}", lost_requests(most))))
    }

    fn count(&mut self, spent: Spent) {
        self.budget.add(spent);
        self.counts.spent += spent;
    }

    /// Reports the counts.
    pub(super) fn report(&self) {
        let session = self.context.session;
        let Counts { replies, without_usage, spent: Spent { tokens, usd }, errors, .. } = &self.counts;
        let mut counts =
            format!("batch replies: {replies}, tokens in: {}, tokens out: {}", tokens.input, tokens.output);
        if *without_usage > 0 {
            counts.push_str(&format!(", replies without usage: {without_usage}"));
        }
        if self.budget.price.is_some() {
            counts.push_str(&format!(", cost: {usd}"));
        }
        session.notice(counts);
        for (lines, kind) in [
            (errors, "failed batch requests"),
            (&self.counts.unreadable, "unreadable result lines"),
            (&self.counts.mended, "result lines with invalid characters, read as U+FFFD"),
            (&self.counts.duplicates, "result lines that repeat a reply; only the first is used"),
        ] {
            if let Some(first) = &lines.first {
                session.warn(format!("{kind}: {}, the first: {first}", lines.count));
            }
        }
        if self.counts.foreign > 0 {
            session.warn(format!("result lines for requests that are not of this run: {}", self.counts.foreign));
        }
    }
}

/// Explains what happens to requests whose results are lost and that may have cost `most`.
pub(super) fn lost_requests(most: Cost) -> String {
    let cost = match (most.input, most.output) {
        (0, _) | (_, None) => "its cost is not known".to_owned(),
        (input, Some(output)) => format!("it counts as {} tokens", input.saturating_add(output)),
    };
    format!("its requests will be sent again, and {cost}")
}
