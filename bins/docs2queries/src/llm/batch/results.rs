//! Results on their way into the journal.

use std::io::{BufRead, Cursor};
use std::sync::Arc;

use anyhow::Context as _;
use embtune_records::{Object, Records};

use super::line::Result as LineResult;
use crate::llm::Run;
use crate::llm::budget::{Budget, Spent};
use crate::llm::journal::Journal;

/// What came out of result files.
#[derive(Debug, Default)]
pub(super) struct Collected {
    replies: u64,
    errors: u64,
    first_error: Option<String>,
    others: u64,
    spent: Spent,
}

impl Collected {
    /// Says the counts.
    pub(super) fn say(&self, run: &Run<'_>, budget: &Budget) {
        let Spent { tokens, usd } = self.spent;
        let mut said = format!("replies: {}, tokens in: {}, tokens out: {}", self.replies, tokens.input, tokens.output);
        if budget.has_price() {
            said.push_str(&format!(", cost: {usd}"));
        }
        run.session.notice(format!("batch {said}"));
        if let Some(first) = &self.first_error {
            run.session.warn(format!("batch requests that failed: {}, the first: {first}", self.errors));
        }
        if self.others > 0 {
            run.session.warn(format!("lines that answer no request of this program: {}", self.others));
        }
    }
}

/// Takes replies from the files that the user names.
///
/// # Errors
/// A file that cannot be read or holds something else, or a journal that cannot be written.
pub(in crate::llm) async fn ingest(run: &Run<'_>) -> anyhow::Result<()> {
    let (budget, _) = run.budget()?;
    let journal = run.journal.as_ref().context("no journal")?;
    let mut collected = Collected::default();
    for path in &run.cli.batch.ingest_batch {
        let input = run.session.input(path)?;
        collect(&input.name.clone(), input, (run, journal, &budget), &mut collected).await?;
    }
    collected.say(run, &budget);
    Ok(())
}

/// Puts the replies of a downloaded file into the journal.
///
/// # Errors
/// Content that is something else, or a journal that cannot be written.
pub(super) async fn collect_bytes(
    name: &str,
    bytes: Vec<u8>,
    to: (&Run<'_>, &Arc<Journal>, &Arc<Budget>),
    collected: &mut Collected,
) -> anyhow::Result<()> {
    collect(name, Cursor::new(bytes), to, collected).await
}

async fn collect(
    name: &str,
    reader: impl BufRead,
    (run, journal, budget): (&Run<'_>, &Arc<Journal>, &Arc<Budget>),
    collected: &mut Collected,
) -> anyhow::Result<()> {
    for line in Records::<Object, _>::new(name, reader, run.cli.records.max_record_bytes) {
        run.session.interrupt().check()?;
        match LineResult::read(&line?.into()) {
            LineResult::Reply { key, .. } if journal.has(key) => collected.replies += 1,
            LineResult::Reply { key, reply, usage } => {
                let spent = budget.cost(usage.unwrap_or_default());
                journal.put(key, "batch", spent, &reply).await?;
                collected.replies += 1;
                collected.spent += spent;
                budget.add(spent);
            }
            LineResult::Error(what) => {
                collected.errors += 1;
                collected.first_error.get_or_insert(what);
            }
            LineResult::Other => collected.others += 1,
        }
    }
    Ok(())
}
