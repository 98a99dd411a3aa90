//! The requests that a run would send, without sending them.

use std::collections::HashSet;

use embtune_cli::{Outcome, Session, Skipper};
use serde_json::Value;

use super::Run;
use super::asker::Estimate;
use super::journal::{Journal, Key};
use crate::documents::{Census, passages};

/// A request whose reply is not in the journal.
pub(super) struct Request {
    pub(super) key: Key,
    pub(super) body: Value,
    pub(super) estimate: Estimate,
}

/// What was found on the way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) census: Census,
    /// Passages whose reply is in the journal.
    pub(super) in_journal: u64,
    /// Requests that are to be sent once more, because an earlier run's reply was of no use.
    pub(super) again: u64,
    /// Whether bad records were skipped.
    pub(super) outcome: Outcome,
}

/// Says for how many requests the journal has a reply that was of no use, so that they are sent once more.
pub(super) fn say_again(again: u64, session: &Session) {
    if again > 0 {
        session.notice(format!("asked again, because the journal's reply was of no use: {again}"));
    }
}

impl Run<'_> {
    /// Calls `take` with each request that is not in the journal, once, in the order of the input.
    ///
    /// # Errors
    /// Those of reading and of filling in the prompt, and `take`'s own.
    pub(super) fn requests(
        &self,
        longest_reply: Option<u64>,
        take: impl FnMut(Request) -> anyhow::Result<()>,
    ) -> anyhow::Result<Found> {
        self.requests_beside(self.journal.as_deref(), longest_reply, take)
    }

    /// The same with those that are in another journal; with none, these are all requests.
    ///
    /// # Errors
    /// As `requests`.
    pub(super) fn requests_beside(
        &self,
        journal: Option<&Journal>,
        longest_reply: Option<u64>,
        mut take: impl FnMut(Request) -> anyhow::Result<()>,
    ) -> anyhow::Result<Found> {
        let prompt = self.prompt()?;
        let skipper = Skipper::new(self.cli.records.on_error, self.session);
        let (mut census, mut in_journal, mut again) = (Census::default(), 0, 0);
        let mut seen = HashSet::new();
        for document in self.documents()? {
            self.session.interrupt().check()?;
            let document = match document {
                Ok(document) if document.is_blank() => continue,
                Ok(document) => document,
                Err(error) if error.is_recoverable() => {
                    skipper.bad(error)?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            census.documents += 1;
            for passage in passages(document, self.cli.prompt.passage_chars) {
                census.passages += 1;
                let body = prompt.request(&passage)?;
                let key = Key::of(&body);
                if journal.is_some_and(|journal| journal.has(key)) {
                    in_journal += 1;
                } else if seen.insert(key) {
                    again += u64::from(journal.is_some_and(|journal| journal.tries(key) > 0));
                    let estimate = Estimate::of(&body, prompt.queries(), longest_reply);
                    take(Request { key, body, estimate })?;
                }
            }
        }
        Ok(Found { census, in_journal, again, outcome: skipper.outcome() })
    }
}
