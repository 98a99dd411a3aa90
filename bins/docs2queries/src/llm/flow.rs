//! Passages on their way from the input through the asker to the output.
//!
//! They are asked about at once, and their pairs are written in the order of the input. Each request is a task of its
//! own, so that a reply reaches the journal even while the output's reader is slow.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use embtune_cli::{Outcome, Session};
use embtune_records::ReadError;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::interval;

use super::asker::{Answer, Asker};
use super::budget::Spent;
use super::client::{Failure, Verdict};
use super::note::Note;
use super::parse::Found;
use super::progress::spending;
use super::requests::say_again;
use super::trouble::Troubles;
use crate::documents::{Ahead, Passage, Source, passages};
use crate::filters::Filters;
use crate::output::{Query, Sink};

/// How soon a signal is noticed.
const TICK: Duration = Duration::from_millis(100);
/// What queries are called that a reply lost, or held in excess.
const UNREADABLE: &str = "broken off";
const SURPLUS: &str = "beyond the number asked for";
/// Passages that are begun for each request in flight: a slow answer must not keep the others waiting.
const AHEAD: usize = 4;

/// A run of the generator.
pub(crate) struct Flow<'a> {
    session: &'a Session,
    sink: Sink<'a>,
    asker: Arc<Asker>,
    filters: Filters,
    notes: mpsc::UnboundedReceiver<Note>,
    /// Passages of the document that was read last.
    waiting: VecDeque<Passage>,
    passage_chars: usize,
    /// In the order of the input.
    in_flight: VecDeque<JoinHandle<(Passage, Result<Answer, Failure>)>>,
    most_in_flight: usize,
    /// Whether a passage of the document in hand had an answer, and whether one had to be asked for.
    is_answered: bool,
    is_asked: bool,
    total: Option<u64>,
    counts: Counts,
}

/// What is said at the end.
#[derive(Default)]
struct Counts {
    documents: u64,
    /// Of these, documents whose replies were all in the journal.
    known: u64,
    without_usage: u64,
    from_journal: u64,
    /// Replies with U+FFFD, most likely in place of what the server did not send whole.
    mended: u64,
    not_asked: u64,
    /// Passages without queries.
    troubles: Troubles,
    /// Queries in the replies that broke off, and those beyond the number that was asked for.
    unreadable: u64,
    surplus: u64,
}

impl<'a> Flow<'a> {
    /// A flow into `sink`; `total` is the number of documents, where it is known.
    pub(crate) fn new(
        (session, sink, total): (&'a Session, Sink<'a>, Option<u64>),
        (asker, notes): (Asker, mpsc::UnboundedReceiver<Note>),
        filters: Filters,
        passage_chars: usize,
        concurrency: usize,
    ) -> Self {
        Self {
            session,
            sink,
            asker: Arc::new(asker),
            filters,
            notes,
            waiting: VecDeque::new(),
            passage_chars,
            in_flight: VecDeque::new(),
            most_in_flight: concurrency * AHEAD,
            is_answered: false,
            is_asked: false,
            total,
            counts: Counts::default(),
        }
    }

    /// Runs to the end of the input.
    ///
    /// # Errors
    /// Whatever ends the run early.
    pub(crate) async fn run(
        mut self,
        documents: impl Iterator<Item = Result<Source, ReadError>> + Send + 'static,
    ) -> anyhow::Result<Outcome> {
        let done = self.all(documents).await;
        // After a failure: what is paid for still reaches the journal, and nothing more is asked.
        self.asker.stop.send_replace(true);
        if self.asker.journal.is_some() {
            for task in std::mem::take(&mut self.in_flight) {
                let _ = task.await;
            }
        }
        // Whatever ends the run: what was asked again is paid for again.
        say_again(self.asker.asked_again.load(Ordering::Relaxed), self.session);
        done?;
        self.session.interrupt().check()?;
        self.finish()
    }

    async fn all(
        &mut self,
        documents: impl Iterator<Item = Result<Source, ReadError>> + Send + 'static,
    ) -> anyhow::Result<()> {
        let mut documents = Ahead::new(documents);
        let mut tick = interval(TICK);
        let mut open = true;
        let mut failure = None;
        while open || !self.waiting.is_empty() || !self.in_flight.is_empty() {
            self.say_notes();
            if self.session.interrupt().signal().is_some() {
                open = false;
                self.waiting.clear();
                self.asker.stop.send_replace(true);
            }
            while self.in_flight.len() < self.most_in_flight
                && let Some(passage) = self.waiting.pop_front()
            {
                self.in_flight.push_back(tokio::spawn(Arc::clone(&self.asker).ask(passage)));
            }
            tokio::select! {
                biased;
                answered = async { (&mut self.in_flight[0]).await }, if !self.in_flight.is_empty() => {
                    self.in_flight.pop_front();
                    let (passage, answer) = answered?;
                    self.say_notes();
                    self.write(&passage, answer)?;
                }
                document = documents.next(), if open && self.in_flight.len() < self.most_in_flight => {
                    match document.map(|document| self.sink.admit(document)) {
                        Some(Ok(Some(document))) => self.waiting.extend(passages(document, self.passage_chars)),
                        Some(Ok(None)) => {}
                        // The documents before the bad one are written first.
                        Some(Err(error)) => (open, failure) = (false, Some(error)),
                        None => open = false,
                    }
                }
                _ = tick.tick() => self.tell(),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn say_notes(&mut self) {
        while let Ok(note) = self.notes.try_recv() {
            note.tell(self.session);
        }
    }

    fn tell(&self) {
        if let Some(server) = &self.asker.server {
            // The journal's documents cost nothing: those that were asked about tell what the rest will.
            let Counts { documents, known, .. } = self.counts;
            let done = self.total.map(|total| (documents - known) as f64 / total.saturating_sub(known) as f64);
            self.sink.message(spending(&server.budget, done));
        }
    }

    fn write(&mut self, passage: &Passage, answer: Result<Answer, Failure>) -> anyhow::Result<()> {
        match answer {
            Ok(Answer::NotAsked) => self.counts.not_asked += 1,
            Ok(Answer::Reply { reply, from_journal, given_up }) => {
                self.counts.from_journal += u64::from(from_journal);
                self.is_asked |= !from_journal;
                self.counts.without_usage += u64::from(!from_journal && reply.usage.is_none());
                self.counts.mended += u64::from(reply.is_mended());
                match reply.queries(self.asker.prompt.queries()) {
                    Err(useless) => {
                        self.counts.troubles.add(useless.trouble);
                        self.sink.bad(passage.document.error(&useless.with(&given_up)))?;
                    }
                    Ok(found) => {
                        self.is_answered = true;
                        self.pairs(passage, found)?;
                    }
                }
            }
            Err(failure) => match failure.verdict {
                // The reason is a signal, or comes with the request that found it; what others have brought is written.
                Verdict::Stopped => {}
                Verdict::Run | Verdict::Cap => return Err(failure.into()),
                _ => {
                    self.counts.troubles.add(failure.trouble);
                    self.sink.bad(passage.document.error(&failure.to_string()))?;
                }
            },
        }
        if passage.is_last {
            self.counts.documents += 1;
            self.counts.known += u64::from(self.is_answered && !self.is_asked);
            self.sink.document_done(&passage.document, self.is_answered);
            (self.is_answered, self.is_asked) = (false, false);
        }
        Ok(())
    }

    fn pairs(&mut self, passage: &Passage, found: Found) -> anyhow::Result<()> {
        let Found { queries, unreadable, surplus } = found;
        self.counts.unreadable += unreadable as u64;
        self.counts.surplus += surplus as u64;
        for (what, count) in [(UNREADABLE, unreadable), (SURPLUS, surplus)] {
            if count > 0 {
                self.session.info(format!("document {}: dropped, {what}: {count}", passage.name()));
            }
        }
        let positive = passage.full_text();
        let mut kept = Vec::new();
        for query in queries {
            match self.filters.judge(&query, passage) {
                None => kept.push(Query { query, positive: positive.clone() }),
                Some(reason) => {
                    let (name, reason) = (passage.name(), reason.name());
                    self.session.info(format!("document {name}: dropped, {reason}: {query}"));
                }
            }
        }
        self.sink.part(&passage.document, passage.part, &kept)?;
        // A reader sees each document when it is done, and one that went away is noticed before the next.
        self.sink.flush()
    }

    fn finish(self) -> anyhow::Result<Outcome> {
        let mut said: Vec<(&str, String)> = Vec::new();
        let mut say = |name, count: u64| {
            if count > 0 {
                said.push((name, count.to_string()));
            }
        };
        if let Some(server) = &self.asker.server {
            let Spent { tokens, .. } = server.budget.spent();
            say("requests", server.client.requests());
            say("tokens in", tokens.input);
            say("tokens out", tokens.output);
            say("replies without usage", self.counts.without_usage);
        }
        say("replies from the journal", self.counts.from_journal);
        if let Some(server) = self.asker.server.as_ref().filter(|server| server.budget.has_price()) {
            said.push(("cost", server.budget.spent().usd.to_string()));
        }
        let of_replies = [(UNREADABLE, self.counts.unreadable), (SURPLUS, self.counts.surplus)];
        let of_replies = of_replies.into_iter().filter(|(_, count)| *count > 0);
        let by_filters = self.filters.dropped().map(|(why, count)| (why.name(), count));
        let dropped: Vec<String> = of_replies.chain(by_filters).map(|(why, count)| format!("{count} {why}")).collect();
        let outcome = self.sink.finish(&said)?;
        if !dropped.is_empty() {
            self.session.notice(format!("queries dropped: {}", dropped.join(", ")));
        }
        if let Some(troubles) = self.counts.troubles.said() {
            self.session.notice(format!("passages without queries: {troubles}"));
        }
        if self.counts.mended > 0 {
            self.session.warn(format!("replies with broken characters, read as U+FFFD: {}", self.counts.mended));
        }
        if self.counts.not_asked == 0 {
            return Ok(outcome);
        }
        let not_asked = self.counts.not_asked;
        let hint = if self.asker.server.is_some() {
            "reached a cap\nhint: raise --max-usd or --max-tokens; with --journal, the same command goes on from here"
        } else {
            "have no reply here\nhint: without --ingest-batch or --batch, the same command asks for them one by one"
        };
        self.session.warn(format!("{not_asked} passages {hint}"));
        Ok(Outcome::Incomplete)
    }
}
