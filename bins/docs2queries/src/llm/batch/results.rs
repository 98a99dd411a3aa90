//! Results on their way into the journal.

use std::io::BufRead;

use anyhow::Context as _;
use embtune_records::{Object, Records};
use serde_json::{Value, json};

use super::bounds::Bounds;
use super::line::Result as LineResult;
use crate::llm::Run;
use crate::llm::budget::{Budget, Spent, Tokens};
use crate::llm::journal::{Cost, Journal, Key};
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
        collected.take(&input.name.clone(), input).await?;
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
    replies: u64,
    without_usage: u64,
    errors: u64,
    first_error: Option<String>,
    others: u64,
    spent: Spent,
}

impl<'a> Collected<'a> {
    /// Nothing yet.
    pub(super) fn new(run: &'a Run<'a>, journal: &'a Journal, budget: &'a Budget, longest_reply: Option<u64>) -> Self {
        Self {
            run,
            journal,
            budget,
            bounds: Bounds::new(run, longest_reply),
            replies: 0,
            without_usage: 0,
            errors: 0,
            first_error: None,
            others: 0,
            spent: Spent::default(),
        }
    }

    /// Takes the lines of a result or error file.
    ///
    /// # Errors
    /// Content that is something else, or a journal that cannot be written.
    pub(super) async fn take(&mut self, name: &str, reader: impl BufRead) -> anyhow::Result<()> {
        for line in Records::<Object, _>::new(name, reader, self.run.cli.records.max_record_bytes) {
            self.run.session.interrupt().check()?;
            match LineResult::read(&json!(line?)) {
                LineResult::Reply { key, .. } if self.journal.has(key) => self.replies += 1,
                LineResult::Reply { key, reply } => self.keep(key, &reply).await?,
                LineResult::Error(what) => {
                    self.errors += 1;
                    self.first_error.get_or_insert(what);
                }
                LineResult::Other => self.others += 1,
            }
        }
        Ok(())
    }

    async fn keep(&mut self, key: Key, body: &Value) -> anyhow::Result<()> {
        let reply = Reply::read(body);
        let most = if reply.usage.is_some() { Tokens::default() } else { self.bounds.of(key)? };
        let used = reply.tokens(most);
        self.journal.put_of_batch(key, Cost::of(used, self.budget), body).await?;
        let spent = self.budget.cost(used);
        self.budget.add(spent);
        self.spent += spent;
        self.replies += 1;
        self.without_usage += u64::from(reply.usage.is_none());
        Ok(())
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
        if let Some(first) = &self.first_error {
            self.run.session.warn(format!("batch requests that failed: {}, the first: {first}", self.errors));
        }
        if self.others > 0 {
            self.run.session.warn(format!("lines that answer no request of this program: {}", self.others));
        }
    }
}
