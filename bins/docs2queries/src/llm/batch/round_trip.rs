//! Upload, wait, download.
//!
//! How far each file got stands in the journal before the next step is taken, so that a run that is killed anywhere
//! goes on where it was, and no file becomes two batches.

use std::io::{BufWriter, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use embtune_cli::Progress;
use tempfile::NamedTempFile;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::line;
use super::results::Collected;
use crate::llm::Run;
use crate::llm::asker::Server;
use crate::llm::budget::Spent;
use crate::llm::client::{Batch, Failure};
use crate::llm::journal::{BatchState, Journal};

/// OpenAI's limit on requests, and a quarter of its limit on bytes: a file goes through memory on its way back.
const MOST_LINES: u64 = 50_000;
const MOST_BYTES: u64 = 50 << 20;
/// How soon a signal is noticed.
const TICK: Duration = Duration::from_millis(100);

/// Sends what the journal has no reply to as batches, waits for them, and takes their replies into the journal.
///
/// # Errors
/// Whatever the server or the disk refuses; a signal. What is at the server then is collected by the next run.
pub(in crate::llm) async fn round_trip(run: &Run<'_>, server: &Server) -> anyhow::Result<()> {
    let journal = run.journal.as_ref().context("no journal")?;
    let trip = Trip { run, server, journal };
    // What an earlier run has sent comes first: its replies need not be asked for again.
    let mut batches = Vec::new();
    for (file, state) in journal.open_batches() {
        batches.push((file.clone(), trip.started(&file, state).await?));
    }
    if !batches.is_empty() {
        run.session.notice(format!("batches of an earlier run: {}", batches.len()));
        trip.collect(batches).await?;
    }
    let mut batches = Vec::new();
    for file in trip.request_files()? {
        let id = trip.asked(|| server.client.upload(file.path())).await?;
        journal.put_batch(&id, &BatchState::Uploaded).await?;
        let batch = trip.created(&id, true).await?;
        batches.push((id, batch));
    }
    trip.collect(batches).await
}

struct Trip<'a> {
    run: &'a Run<'a>,
    server: &'a Server,
    journal: &'a Arc<Journal>,
}

impl Trip<'_> {
    /// The requests, in files of the size that servers take, as far as the caps allow.
    fn request_files(&self) -> anyhow::Result<Vec<NamedTempFile>> {
        let mut files: Vec<BufWriter<NamedTempFile>> = Vec::new();
        let (mut lines, mut bytes, mut left_out) = (0, 0, 0_u64);
        let (wording, mut planned) = (self.run.wording(), Spent::default());
        self.run.requests(self.server.longest_reply, |request| {
            let more = planned + self.server.budget.cost(request.estimate.most);
            if left_out > 0 || !self.server.budget.has_room(more) {
                left_out += 1;
                return Ok(());
            }
            planned = more;
            let line = line::of(request.key, &wording.of(&request.body));
            if files.is_empty() || lines == MOST_LINES || bytes + line.len() as u64 > MOST_BYTES {
                files.push(BufWriter::new(tempfile::Builder::new().suffix(".jsonl").tempfile()?));
                (lines, bytes) = (0, 0);
            }
            if let Some(file) = files.last_mut() {
                file.write_all(line.as_bytes())?;
            }
            lines += 1;
            bytes += line.len() as u64;
            Ok(())
        })?;
        if left_out > 0 {
            let hint = "hint: a batch reserves the longest reply for each request: see --max-completion-tokens";
            self.run.session.warn(format!("requests that a cap leaves no room for: {left_out}\n{hint}"));
        }
        let whole = |file: BufWriter<NamedTempFile>| file.into_inner().map_err(|error| error.into_error().into());
        files.into_iter().map(whole).collect()
    }

    /// The batch of a file that an earlier run has sent.
    async fn started(&self, file: &str, state: BatchState) -> anyhow::Result<Batch> {
        match state {
            BatchState::Created(id) => self.asked(|| self.server.client.batch(&id)).await,
            BatchState::Uploaded | BatchState::Collected => self.created(file, false).await,
        }
    }

    /// Makes a batch of an uploaded file, unless that has been done: an answer may have been lost on its way.
    async fn created(&self, file: &str, is_fresh: bool) -> anyhow::Result<Batch> {
        let is_fresh = AtomicBool::new(is_fresh);
        let client = &self.server.client;
        let batch = self
            .asked(|| async {
                if !is_fresh.swap(false, Ordering::Relaxed)
                    && let Some(batch) = client.batch_of(file).await?
                {
                    return Ok(batch);
                }
                client.create_batch(file).await
            })
            .await?;
        self.journal.put_batch(file, &BatchState::Created(batch.id.clone())).await?;
        Ok(batch)
    }

    /// Waits for batches, and takes what they bring as soon as they are over.
    async fn collect(&self, mut batches: Vec<(String, Batch)>) -> anyhow::Result<()> {
        let mut collected = Collected::new(self.run, self.journal, &self.server.budget, self.server.longest_reply);
        let mut refused = Vec::new();
        let progress = self.run.session.progress(None, "requests of batches done");
        let any = !batches.is_empty();
        while !batches.is_empty() {
            let mut waiting = Vec::new();
            for (file, batch) in batches {
                if !batch.is_over() {
                    waiting.push((file, batch));
                    continue;
                }
                for result in &batch.results {
                    let bytes = self.asked(|| self.server.client.content(result)).await?;
                    collected.take(&format!("batch {}", batch.id), &bytes[..]).await?;
                }
                self.journal.put_batch(&file, &BatchState::Collected).await?;
                match batch.status.as_str() {
                    "completed" => {}
                    "failed" => refused.push(format!("the server refused batch {}: {}", batch.id, batch.errors)),
                    other => self.run.session.warn(format!(
                        "batch {} {other}: {} of {} requests were done",
                        batch.id, batch.done, batch.total
                    )),
                }
            }
            batches = waiting;
            if !batches.is_empty() {
                self.wait(&progress, &mut batches).await?;
            }
        }
        if any {
            collected.say();
        }
        if !refused.is_empty() {
            bail!("{}", refused.join("; "));
        }
        Ok(())
    }

    /// Waits a while, then asks how the batches are getting on.
    async fn wait(&self, progress: &Progress, batches: &mut [(String, Batch)]) -> anyhow::Result<()> {
        let (done, total) = batches.iter().fold((0, 0), |sum, (_, batch)| (sum.0 + batch.done, sum.1 + batch.total));
        progress.message(format!("{done} of {total}, {} batches open", batches.len()));
        self.run.session.debug(format!("batches: {done} of {total} requests done"));
        let until = Instant::now() + Duration::from_secs_f64(self.run.cli.batch.poll_secs);
        while Instant::now() < until {
            self.check()?;
            sleep(TICK.min(until - Instant::now())).await;
        }
        for (_, batch) in batches {
            let id = batch.id.clone();
            *batch = self.asked(|| self.server.client.batch(&id)).await?;
        }
        Ok(())
    }

    /// Asks the server, again while that may help.
    async fn asked<T, F: Future<Output = Result<T, Failure>>>(&self, attempt: impl Fn() -> F) -> anyhow::Result<T> {
        self.check()?;
        let (_never, stop) = watch::channel(false);
        let session = self.run.session;
        Ok(self.server.retry.run(stop, |note| session.info(format!("batch: {note}")), attempt).await?)
    }

    fn check(&self) -> anyhow::Result<()> {
        let interrupt = self.run.session.interrupt();
        if interrupt.signal().is_some() {
            self.run.session.notice("the batches go on at the server: the same command collects them");
        }
        Ok(interrupt.check()?)
    }
}
