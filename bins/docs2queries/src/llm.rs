//! The generator that asks a language model.
//!
//! Documents are asked about at once, `--concurrency` of them, and their pairs are written in the order of the input.
//! Each request is a task of its own, so that a reply reaches the journal even while the output's reader is slow.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use embtune_cli::{Outcome, Session};
use embtune_records::ReadError;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::interval;

use crate::ahead::Ahead;
use crate::cli::Cli;
use crate::failure::{Failure, Verdict};
use crate::journal::{Journal, Key};
use crate::openai::OpenAi;
use crate::pairs::Query;
use crate::prompt::Prompt;
use crate::reply::Reply;
use crate::retry::Retry;
use crate::sink::Sink;
use crate::source::{Source, documents};

/// How soon a signal is noticed.
const TICK: Duration = Duration::from_millis(100);

/// Runs the generator over the whole input.
///
/// # Errors
/// Whatever ends the run early.
pub(crate) fn run(cli: &Cli, session: &Session) -> anyhow::Result<Outcome> {
    let llm = cli.llm.llm.clone().context("no language model named\nhint: --llm NAME, or --generator extractive")?;
    let client = OpenAi::new(cli.llm.base_url.as_deref(), Duration::from_secs(cli.llm.timeout_secs))?;
    let documents = documents(cli, session)?;
    let sink = Sink::new(cli, session)?;
    let (notes, said) = mpsc::unbounded_channel();
    let asker = Asker {
        client,
        prompt: Prompt {
            llm,
            queries: cli.queries_per_document as usize,
            temperature: cli.llm.temperature,
            max_completion_tokens: cli.llm.max_completion_tokens,
        },
        retry: Retry { most: cli.llm.max_retries },
        journal: cli.llm.journal.as_deref().map(Journal::open).transpose()?.map(Arc::new),
        stop: watch::Sender::new(false),
        notes,
    };
    let flow = Flow {
        session,
        sink,
        asker: Arc::new(asker),
        notes: said,
        in_flight: VecDeque::new(),
        concurrency: cli.llm.concurrency as usize,
        counts: Counts::default(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(flow.run(documents))
}

/// Asks about one document, from the journal or from the server.
struct Asker {
    client: OpenAi,
    prompt: Prompt,
    retry: Retry,
    journal: Option<Arc<Journal>>,
    /// Says true when nothing new shall be tried.
    stop: watch::Sender<bool>,
    /// What the user may want to hear meanwhile.
    notes: mpsc::UnboundedSender<String>,
}

struct Answer {
    reply: Reply,
    from_journal: bool,
}

impl Asker {
    async fn ask(self: Arc<Self>, document: Source) -> (Source, Result<Answer, Failure>) {
        let answer = self.answer(&document).await;
        (document, answer)
    }

    async fn answer(&self, document: &Source) -> Result<Answer, Failure> {
        let request = self.prompt.request(document);
        let key = Key::of(&request);
        if let Some(body) = self.with_journal(move |journal| journal.get(key)).await?.flatten() {
            return Ok(Answer { reply: Reply::read(&body), from_journal: true });
        }
        let note = |text| {
            // Nobody listens any more when the run has failed.
            let _ = self.notes.send(format!("document {}: {text}", document.id));
        };
        let mut body = self.retry.run(self.stop.subscribe(), note, || self.client.ask(&request)).await?;
        if self.journal.is_some() {
            let id = document.id.clone();
            let kept = self.with_journal(move |journal| journal.put(key, &id, body)).await?;
            body = kept.unwrap_or_default();
        }
        Ok(Answer { reply: Reply::read(&body), from_journal: false })
    }

    /// Uses the journal, if there is one, on a thread that may wait for the disk.
    async fn with_journal<T: Send + 'static>(
        &self,
        action: impl FnOnce(&Journal) -> anyhow::Result<T> + Send + 'static,
    ) -> Result<Option<T>, Failure> {
        let Some(journal) = self.journal.clone() else { return Ok(None) };
        let done = spawn_blocking(move || action(&journal)).await.map_err(anyhow::Error::from).flatten();
        done.map(Some).map_err(|error| Failure::new(format!("{error:#}"), None, Verdict::Run))
    }
}

#[derive(Default)]
struct Counts {
    tokens_in: u64,
    tokens_out: u64,
    without_usage: u64,
    from_journal: u64,
}

/// Documents on their way from the input through the server to the output.
struct Flow<'a> {
    session: &'a Session,
    sink: Sink<'a>,
    asker: Arc<Asker>,
    notes: mpsc::UnboundedReceiver<String>,
    /// In the order of the input.
    in_flight: VecDeque<JoinHandle<(Source, Result<Answer, Failure>)>>,
    concurrency: usize,
    counts: Counts,
}

impl Flow<'_> {
    async fn run(
        mut self,
        documents: impl Iterator<Item = Result<Source, ReadError>> + Send + 'static,
    ) -> anyhow::Result<Outcome> {
        let done = self.all(documents).await;
        // After a failure: what is paid for still reaches the journal, and nothing more is asked.
        self.asker.stop.send_replace(true);
        if self.asker.journal.is_some() {
            for task in self.in_flight {
                let _ = task.await;
            }
        }
        done?;
        self.session.interrupt().check()?;
        self.sink.finish(&[
            ("requests", self.asker.client.requests()),
            ("tokens in", self.counts.tokens_in),
            ("tokens out", self.counts.tokens_out),
            ("replies without usage", self.counts.without_usage),
            ("replies from the journal", self.counts.from_journal),
        ])
    }

    async fn all(
        &mut self,
        documents: impl Iterator<Item = Result<Source, ReadError>> + Send + 'static,
    ) -> anyhow::Result<()> {
        let mut documents = Ahead::new(documents);
        let mut tick = interval(TICK);
        let mut open = true;
        let mut failure = None;
        while open || !self.in_flight.is_empty() {
            self.say_notes();
            if self.session.interrupt().signal().is_some() {
                open = false;
                self.asker.stop.send_replace(true);
            }
            tokio::select! {
                biased;
                answered = async { (&mut self.in_flight[0]).await }, if !self.in_flight.is_empty() => {
                    self.in_flight.pop_front();
                    let (document, answer) = answered?;
                    self.say_notes();
                    self.write(&document, answer)?;
                }
                document = documents.next(), if open && self.in_flight.len() < self.concurrency => {
                    match document.map(|document| self.sink.admit(document)) {
                        Some(Ok(Some(document))) => {
                            self.in_flight.push_back(tokio::spawn(Arc::clone(&self.asker).ask(document)));
                        }
                        Some(Ok(None)) => {}
                        // The documents before the bad one are written first.
                        Some(Err(error)) => (open, failure) = (false, Some(error)),
                        None => open = false,
                    }
                }
                _ = tick.tick() => {}
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn say_notes(&mut self) {
        while let Ok(note) = self.notes.try_recv() {
            self.session.info(note);
        }
    }

    fn write(&mut self, document: &Source, answer: Result<Answer, Failure>) -> anyhow::Result<()> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => {
                // After a signal it is our own doing.
                self.session.interrupt().check()?;
                return match failure.verdict {
                    Verdict::Run => Err(failure.into()),
                    _ => self.sink.bad(document.error(&failure.to_string())),
                };
            }
        };
        self.count(&answer);
        match answer.reply.queries(self.asker.prompt.queries) {
            Err(what) => self.sink.bad(document.error(&what)),
            Ok(queries) => {
                let positive = document.with_title(&document.text);
                let queries = queries.into_iter().map(|query| Query { query, positive: positive.clone() }).collect();
                self.sink.write(document, queries)?;
                // A reader sees each document when it is done, and one that went away is noticed before the next.
                self.sink.flush()
            }
        }
    }

    fn count(&mut self, answer: &Answer) {
        match (answer.from_journal, answer.reply.usage) {
            (true, _) => self.counts.from_journal += 1,
            (false, None) => self.counts.without_usage += 1,
            (false, Some((tokens_in, tokens_out))) => {
                self.counts.tokens_in += tokens_in;
                self.counts.tokens_out += tokens_out;
            }
        }
    }
}
