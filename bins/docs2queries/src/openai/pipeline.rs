//! From documents through requests to pairs.
//!
//! Several requests are in flight at once, and their pairs are written in the order of the input. Each request is a
//! task, so that its reply reaches the journal even while the reader of the output is slow.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use embtune_cli::{Outcome, Session};
use embtune_records::ReadError;
use tokio::task::JoinHandle;
use tokio::time::interval;

use super::queries::{expected_output, queries_of, with_hint};
use super::summary::{CUT_OFF, SURPLUS, Summary, spending};
use crate::documents::{Passage, ReadAhead, SourceDocument, passages};
use crate::filters::Filters;
use crate::llm::{Answer, Failure, NoticeReceiver, Request, Requester, Verdict, report_resent};
use crate::pairs::{PairWriter, Query};
use crate::parse::ParsedQueries;
use crate::prompt::Prompt;

/// How often signals are checked for.
const TICK: Duration = Duration::from_millis(100);
/// Passages that are begun for each request that may be in flight, so that a slow answer does not hold up the others.
pub(super) const TASKS_PER_REQUEST: usize = 4;

type Task = JoinHandle<(Passage, Result<Answer, Failure>)>;

/// A run of the generator.
pub(super) struct Pipeline<'a> {
    pub(super) session: &'a Session,
    pub(super) writer: PairWriter<'a>,
    pub(super) requester: Arc<Requester>,
    pub(super) prompt: Arc<Prompt>,
    pub(super) filters: Filters,
    pub(super) notices: NoticeReceiver,
    /// The longest passage, in characters.
    pub(super) passage_chars: usize,
    pub(super) max_tasks: usize,
    /// The number of documents, if it is known.
    pub(super) total: Option<u64>,
    pub(super) state: State,
}

/// Where the pipeline is.
#[derive(Default)]
pub(super) struct State {
    /// Passages of the document that was read last.
    waiting: VecDeque<Passage>,
    /// In the order of the input.
    tasks: VecDeque<Task>,
    /// Whether a passage of the current document has queries.
    is_answered: bool,
    /// Whether a passage of the current document had to be sent to the server.
    is_sent: bool,
    summary: Summary,
}

impl Pipeline<'_> {
    /// Runs to the end of the input.
    pub(super) async fn run(
        mut self,
        documents: impl Iterator<Item = Result<SourceDocument, ReadError>> + Send + 'static,
    ) -> anyhow::Result<Outcome> {
        let done = self.process(documents).await;
        // After an error, nothing more is sent, but replies that are paid for still reach the journal.
        self.requester.stop();
        if self.requester.has_journal() {
            for task in std::mem::take(&mut self.state.tasks) {
                let _ = task.await;
            }
        }
        // Reported after an error too, because these requests are paid for again.
        report_resent(self.requester.resent(), self.session);
        done?;
        self.session.interrupt().check()?;
        self.state.summary.finish(self.writer, &self.requester, &self.filters, self.session)
    }

    async fn process(
        &mut self,
        documents: impl Iterator<Item = Result<SourceDocument, ReadError>> + Send + 'static,
    ) -> anyhow::Result<()> {
        let mut documents = ReadAhead::new(documents);
        let mut tick = interval(TICK);
        let mut is_open = true;
        let mut failure = None;
        while is_open || !self.state.waiting.is_empty() || !self.state.tasks.is_empty() {
            self.show_notices();
            if self.session.interrupt().signal().is_some() {
                is_open = false;
                self.state.waiting.clear();
                self.requester.stop();
            }
            while self.state.tasks.len() < self.max_tasks
                && let Some(passage) = self.state.waiting.pop_front()
            {
                let task = request(Arc::clone(&self.requester), Arc::clone(&self.prompt), passage);
                self.state.tasks.push_back(tokio::spawn(task));
            }
            tokio::select! {
                biased;
                finished = async { (&mut self.state.tasks[0]).await }, if !self.state.tasks.is_empty() => {
                    self.state.tasks.pop_front();
                    let (passage, answer) = finished?;
                    self.show_notices();
                    self.write(&passage, answer)?;
                }
                document = documents.next(), if is_open && self.state.tasks.len() < self.max_tasks => {
                    match document.map(|document| self.writer.admit(document)) {
                        Some(Ok(Some(document))) => {
                            self.state.waiting.extend(passages(document, self.passage_chars));
                        }
                        Some(Ok(None)) => {}
                        // The documents before the bad one are written first.
                        Some(Err(error)) => (is_open, failure) = (false, Some(error)),
                        None => is_open = false,
                    }
                }
                _ = tick.tick() => self.show_spending(),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn show_notices(&mut self) {
        while let Ok(notice) = self.notices.try_recv() {
            notice.show(self.session);
        }
    }

    fn show_spending(&self) {
        if let Some((budget, _)) = self.requester.usage() {
            let done = self.total.and_then(|total| self.state.summary.share_done(total));
            self.writer.show(spending(budget, done));
        }
    }

    fn write(&mut self, passage: &Passage, answer: Result<Answer, Failure>) -> anyhow::Result<()> {
        let summary = &mut self.state.summary;
        match answer {
            Ok(Answer::NotSent) => summary.not_sent += 1,
            Ok(Answer::Reply { reply, is_from_journal, given_up }) => {
                summary.from_journal += u64::from(is_from_journal);
                self.state.is_sent |= !is_from_journal;
                summary.without_usage += u64::from(!is_from_journal && reply.usage.is_none());
                summary.mended += u64::from(reply.is_mended());
                match queries_of(&reply, self.prompt.queries()) {
                    Err(unusable) => {
                        summary.count_failure(unusable.kind);
                        let message = with_hint(unusable.message + &given_up, unusable.kind);
                        self.writer.bad(passage.document.error(&message))?;
                    }
                    Ok(found) => {
                        self.state.is_answered = true;
                        self.write_pairs(passage, found)?;
                    }
                }
            }
            Err(failure) => match failure.verdict {
                // The reason is a signal, or the failure of another request; the replies to other requests are written.
                Verdict::Stopped => {}
                Verdict::Fatal | Verdict::BudgetExhausted => return Err(failure.into()),
                _ => {
                    summary.count_failure(failure.kind);
                    let message = with_hint(failure.to_string(), failure.kind);
                    self.writer.bad(passage.document.error(&message))?;
                }
            },
        }
        if passage.is_last {
            let State { is_answered, is_sent, .. } = self.state;
            self.state.summary.count_document(is_answered && !is_sent);
            self.writer.end_document(&passage.document, is_answered);
            (self.state.is_answered, self.state.is_sent) = (false, false);
        }
        Ok(())
    }

    fn write_pairs(&mut self, passage: &Passage, found: ParsedQueries) -> anyhow::Result<()> {
        let ParsedQueries { queries, cut_off, surplus } = found;
        self.state.summary.cut_off += cut_off as u64;
        self.state.summary.surplus += surplus as u64;
        for (reason, count) in [(CUT_OFF, cut_off), (SURPLUS, surplus)] {
            if count > 0 {
                self.session.info(format!("document {}: dropped, {reason}: {count}", passage.name()));
            }
        }
        let positive = passage.full_text();
        let mut kept = Vec::new();
        for query in queries {
            match self.filters.reason_to_drop(&query, passage) {
                None => kept.push(Query { query, positive: positive.clone() }),
                Some(reason) => {
                    let (name, reason) = (passage.name(), reason.description());
                    self.session.info(format!("document {name}: dropped, {reason}: {query}"));
                }
            }
        }
        self.writer.write_part(&passage.document, passage.part, &kept)?;
        // A reader sees each document as soon as it is done, and one that went away is noticed before the next.
        self.writer.flush()
    }
}

/// Gets the reply about a passage.
async fn request(
    requester: Arc<Requester>,
    prompt: Arc<Prompt>,
    passage: Passage,
) -> (Passage, Result<Answer, Failure>) {
    let id = passage.name();
    let answer = match prompt.request(&passage) {
        Err(error) => Err(Failure::new(format!("{error:#}"), None, Verdict::Fatal)),
        Ok(body) => {
            let label = format!("document {id}");
            let expected_output = expected_output(prompt.queries());
            requester.reply_to(Request { id: &id, label: &label, body: &body, expected_output }).await
        }
    };
    (passage, answer)
}
