//! Results on their way into the journal.

use std::collections::HashSet;
use std::io::BufRead;

use anyhow::{Context as _, bail};
use embtune_records::{Line, Lines};
use serde_json::Value;

use super::bounds::Bounds;
use super::line::Result as LineResult;
use crate::llm::Run;
use crate::llm::budget::{Budget, Spent, Tokens};
use crate::llm::client::{Batch, Failure, Status, Verdict};
use crate::llm::journal::{BatchState, Cost, Journal, Key};
use crate::llm::json;
use crate::llm::reply::Reply;

/// Takes replies from the files that the user names.
///
/// # Errors
/// A file that cannot be read or holds something else, or a journal that cannot be written.
pub(in crate::llm) async fn ingest(run: &Run<'_>) -> anyhow::Result<()> {
    let (budget, longest_reply) = run.budget()?;
    let journal = run.journal.as_ref().context("no journal")?;
    let mut collected = Collected::new(run, journal, &budget, longest_reply);
    for path in &run.cli.batch.ingest_batch {
        let input = run.session.input(path)?;
        let name = input.name.clone();
        let taken = collected.take(&name, input).await?;
        collected.may_be_paid(&taken).await?;
        if let Taken { read: 0, unreadable: Some(first), .. } = taken {
            bail!("{first}\nhint: is it a result or error file of a batch?");
        }
    }
    collected.say();
    Ok(())
}

/// Puts results into the journal, and counts them.
pub(super) struct Collected<'a> {
    run: &'a Run<'a>,
    journal: &'a Journal,
    budget: &'a Budget,
    bounds: Bounds<'a>,
    /// Requests of which a reply was read.
    seen: HashSet<Key>,
    replies: u64,
    without_usage: u64,
    spent: Spent,
    errors: Counted,
    unreadable: Counted,
    mended: Counted,
    repeated: Counted,
    others: u64,
}

/// What a file held.
#[derive(Default)]
pub(super) struct Taken {
    /// Lines that are JSON.
    read: u64,
    /// The first of those that are not.
    unreadable: Option<String>,
    /// Requests of which a line tells the reply, or why there is none.
    replied: HashSet<Key>,
    failed: HashSet<Key>,
    /// Requests of the lines that cannot be read, where these can be told.
    garbled: Vec<Key>,
}

impl Taken {
    /// Another file of the same batch.
    pub(super) fn add(&mut self, other: Self) {
        self.replied.extend(other.replied);
        self.failed.extend(other.failed);
    }
}

/// Lines of a kind, and what is said of the first.
#[derive(Default)]
struct Counted {
    count: u64,
    first: Option<String>,
}

impl Counted {
    fn add(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(what);
    }
}

impl<'a> Collected<'a> {
    /// Nothing yet.
    pub(super) fn new(run: &'a Run<'a>, journal: &'a Journal, budget: &'a Budget, longest_reply: Option<u64>) -> Self {
        Self {
            run,
            journal,
            budget,
            bounds: Bounds::new(run, longest_reply),
            seen: HashSet::new(),
            replies: 0,
            without_usage: 0,
            spent: Spent::default(),
            errors: Counted::default(),
            unreadable: Counted::default(),
            mended: Counted::default(),
            repeated: Counted::default(),
            others: 0,
        }
    }

    /// Takes the lines of a result or error file. One that cannot be read costs itself only.
    ///
    /// # Errors
    /// A file that cannot be read, or a journal that cannot be written.
    pub(super) async fn take(&mut self, name: &str, reader: impl BufRead) -> anyhow::Result<Taken> {
        let most = self.run.cli.records.max_record_bytes;
        let mut taken = Taken::default();
        let mut lines = Lines::new(name, reader, most);
        for number in 1_u64.. {
            self.run.session.interrupt().check()?;
            let Some(Line { bytes, is_whole }) = lines.next_bytes().transpose()? else { break };
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            let place = || format!("{name}:{number}");
            match json::read(bytes).filter(|_| is_whole) {
                Some(read) => {
                    taken.read += 1;
                    if read.is_repaired {
                        self.mended.add(place);
                    }
                    let result = LineResult::read(&read.value);
                    match &result {
                        LineResult::Reply { key, .. } => _ = taken.replied.insert(*key),
                        LineResult::Error { key, .. } => _ = taken.failed.insert(*key),
                        LineResult::Other => {}
                    }
                    self.result(name, result, place).await?;
                }
                None => {
                    let what = if is_whole { "not JSON".to_owned() } else { format!("longer than {most} bytes") };
                    let what = format!("{}: {what}", place());
                    taken.unreadable.get_or_insert_with(|| what.clone());
                    self.unreadable.add(|| what);
                    taken.garbled.extend(LineResult::key(bytes));
                }
            }
        }
        Ok(taken)
    }

    async fn result(&mut self, source: &str, result: LineResult, place: impl FnOnce() -> String) -> anyhow::Result<()> {
        match result {
            LineResult::Reply { key, body } => {
                if !self.seen.insert(key) {
                    self.repeated.add(place);
                }
                if !self.journal.holds(key, source, &body)? {
                    self.keep(source, key, &body).await?;
                }
                self.replies += 1;
            }
            LineResult::Error { key, failure, body } => {
                // What stands in the way of a document is known from now on, and so is what was paid for nothing.
                let is_kept = failure.verdict == Verdict::Document || failure.paid.is_some() || failure.may_cost;
                if is_kept && !self.journal.holds(key, source, &body)? {
                    self.keep_error(source, key, &failure, &body).await?;
                }
                self.errors.add(|| failure.to_string());
            }
            LineResult::Other => self.others += 1,
        }
        Ok(())
    }

    async fn keep(&mut self, source: &str, key: Key, body: &Value) -> anyhow::Result<()> {
        let reply = Reply::read(body);
        let most = if reply.usage.is_some() { Tokens::default() } else { self.bounds.of(key)? };
        self.without_usage += u64::from(reply.usage.is_none());
        self.put(source, key, reply.tokens(most), body).await
    }

    async fn keep_error(&mut self, source: &str, key: Key, failure: &Failure, body: &Value) -> anyhow::Result<()> {
        let used = match &failure.paid {
            Some(paid) => paid.tokens,
            None if failure.may_cost => self.bounds.of(key)?,
            None => Tokens::default(),
        };
        self.put(source, key, used, body).await
    }

    async fn put(&mut self, source: &str, key: Key, used: Tokens, body: &Value) -> anyhow::Result<()> {
        self.journal.put_of_batch(key, source, Cost::of(used, self.budget), body).await?;
        self.count(used);
        Ok(())
    }

    /// Counts requests as paid of which a file's reply cannot be read, once.
    async fn may_be_paid(&mut self, taken: &Taken) -> anyhow::Result<()> {
        for key in taken.garbled.iter().copied() {
            if !self.journal.has(key) && !self.journal.is_unanswered(key) {
                let most = self.bounds.of(key)?;
                self.journal.asked(key, Cost::of(most, self.budget)).await?;
                self.count(most);
            }
        }
        Ok(())
    }

    /// Ends a batch, of which `taken` is all that there is. Requests of which no line tells anything may have been
    /// answered, and count as much as they can cost; says so, or nothing where there are none.
    ///
    /// # Errors
    /// Those of reading the input, and a journal that cannot be written.
    pub(super) async fn end(
        &mut self,
        file: &str,
        batch: &Batch,
        taken: &Taken,
        is_gone: bool,
    ) -> anyhow::Result<Option<String>> {
        let told: HashSet<Key> = taken.replied.union(&taken.failed).copied().collect();
        let count = |keys: &HashSet<Key>| keys.len() as u64;
        // What the server says has failed, or was not done in time, is not paid for.
        let paid =
            if batch.status == Status::Completed { batch.total.saturating_sub(batch.failed) } else { batch.completed };
        let missing = paid
            .saturating_sub(count(&taken.replied))
            .min(batch.total.max(batch.completed).saturating_sub(count(&told)));
        // A server that does not count leaves the tokens to go by.
        let is_uncounted = batch.total == 0 && (is_gone || batch.status == Status::Completed);
        let mut most = self.journal.most_of_batch(file);
        let is_known = most.input > 0;
        if missing == 0 && !is_uncounted {
            self.journal.put_batch(file, &BatchState::Collected).await?;
            return Ok(None);
        }
        if !told.is_empty() {
            let of_told =
                told.iter().try_fold(Tokens::default(), |sum, key| anyhow::Ok(sum + self.bounds.of(*key)?))?;
            most = most.without(of_told, self.budget);
        }
        // Where the requests that are told of make up the whole batch, the server has counted wrongly.
        if most.input == 0 && (missing == 0 || is_known) {
            self.journal.put_batch(file, &BatchState::Collected).await?;
            return Ok(None);
        }
        self.journal.put_batch(file, &BatchState::Lost(most)).await?;
        let spent = most.spent(self.budget);
        self.budget.add(spent);
        self.spent += spent;
        let requests = if missing > 0 { format!("{missing} requests") } else { "some of its requests".to_owned() };
        Ok(Some(format!("has no result for {requests}: {}", most.of_lost())))
    }

    fn count(&mut self, used: Tokens) {
        let spent = self.budget.cost(used);
        self.budget.add(spent);
        self.spent += spent;
    }

    /// Says the counts.
    pub(super) fn say(&self) {
        let Spent { tokens, usd } = self.spent;
        let mut said = format!("replies: {}, tokens in: {}, tokens out: {}", self.replies, tokens.input, tokens.output);
        if self.without_usage > 0 {
            said.push_str(&format!(", replies without usage: {}", self.without_usage));
        }
        if self.budget.has_price() {
            said.push_str(&format!(", cost: {usd}"));
        }
        self.run.session.notice(format!("batch {said}"));
        for (lines, what) in [
            (&self.errors, "batch requests that failed"),
            (&self.unreadable, "lines of results that cannot be read"),
            (&self.mended, "lines of results with broken characters, read as U+FFFD"),
            (&self.repeated, "lines that repeat a reply, of which the first one counts"),
        ] {
            if let Some(first) = &lines.first {
                self.run.session.warn(format!("{what}: {}, the first: {first}", lines.count));
            }
        }
        if self.others > 0 {
            self.run.session.warn(format!("lines that answer no request of this program: {}", self.others));
        }
    }
}
