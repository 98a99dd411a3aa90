//! Results on their way into the journal.

use std::collections::HashSet;
use std::io::BufRead;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::bounds::Bounds;
use super::line::Result as LineResult;
use super::lines;
use crate::llm::Run;
use crate::llm::budget::{Budget, Spent, Tokens};
use crate::llm::client::{Failure, Verdict};
use crate::llm::journal::{Cost, Journal, Key};
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
        if let Taken { read: 0, unreadable: Some(first) } = collected.take(&name, input).await? {
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
    errors: Lines,
    unreadable: Lines,
    mended: Lines,
    repeated: Lines,
    others: u64,
}

/// What a file held.
pub(super) struct Taken {
    /// Lines that are JSON.
    read: u64,
    /// The first of those that are not.
    unreadable: Option<String>,
}

/// Lines of a kind, and what is said of the first.
#[derive(Default)]
struct Lines {
    count: u64,
    first: Option<String>,
}

impl Lines {
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
            errors: Lines::default(),
            unreadable: Lines::default(),
            mended: Lines::default(),
            repeated: Lines::default(),
            others: 0,
        }
    }

    /// Takes the lines of a result or error file. One that cannot be read costs itself only.
    ///
    /// # Errors
    /// A file that cannot be read, or a journal that cannot be written.
    pub(super) async fn take(&mut self, name: &str, mut reader: impl BufRead) -> anyhow::Result<Taken> {
        let most = self.run.cli.records.max_record_bytes;
        let mut taken = Taken { read: 0, unreadable: None };
        let mut line = Vec::new();
        for number in 1_u64.. {
            self.run.session.interrupt().check()?;
            let Some(is_whole) = lines::next(&mut reader, most, &mut line).with_context(|| name.to_owned())? else {
                break;
            };
            if line.trim_ascii().is_empty() {
                continue;
            }
            let place = || format!("{name}:{number}");
            match json::read(&line).filter(|_| is_whole) {
                Some(read) => {
                    taken.read += 1;
                    if read.is_repaired {
                        self.mended.add(place);
                    }
                    self.result(name, LineResult::read(&read.value), place).await?;
                }
                None => {
                    let what = if is_whole { "not JSON".to_owned() } else { format!("longer than {most} bytes") };
                    let what = format!("{}: {what}", place());
                    taken.unreadable.get_or_insert_with(|| what.clone());
                    self.unreadable.add(|| what);
                    self.may_be_paid(LineResult::key(&line)).await?;
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

    /// Counts a request as paid of which the reply cannot be read, once.
    async fn may_be_paid(&mut self, key: Option<Key>) -> anyhow::Result<()> {
        if let Some(key) = key.filter(|key| !self.journal.has(*key) && !self.journal.is_unanswered(*key)) {
            let most = self.bounds.of(key)?;
            self.journal.asked(key, Cost::of(most, self.budget)).await?;
            self.count(most);
        }
        Ok(())
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
