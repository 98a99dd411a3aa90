//! Uploading requests, waiting for the batch, downloading its results.
//!
//! The progress of each file is recorded in the journal before the next step is taken, so that a run continues where an
//! earlier one was killed, and no file becomes two batches.

use std::collections::HashSet;
use std::fs::File;
use std::io::BufReader;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::bail;
use embtune_cli::Progress;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::BatchContext;
use super::collector::{Collector, FileContents, lost_requests};
use super::lines::completeness;
use super::upload::{MAX_LINES, request_files};
use crate::llm::client::{Batch, Status};
use crate::llm::failure::Failure;
use crate::llm::journal::BatchState;
use crate::llm::model::Model;
use crate::llm::notices::Notice;
use crate::llm::requester::Server;
use crate::llm::retry::retry;

/// How often an incomplete result file is downloaded again.
const MAX_RETRIES: u32 = 2;
/// How often signals are checked for.
const TICK: Duration = Duration::from_millis(100);

/// Sends the requests that the journal has no reply to as batches, waits for them, and collects their replies in the
/// journal; `poll` is the time between two looks at a batch.
///
/// # Errors
/// Errors of the server and of the disk, and a signal. The next run then collects the batches that are at the server.
pub(crate) async fn round_trip(
    context: BatchContext<'_>,
    model: &Model<'_>,
    server: &Server,
    poll: Duration,
) -> anyhow::Result<()> {
    let trip = RoundTrip { context, server, poll };
    // Batches of an earlier run come first, because their replies need not be asked for again.
    let open = context.journal.open_batches();
    if !open.is_empty() {
        context.session.notice(format!("batches of an earlier run: {}", open.len()));
        let mut batches = Vec::new();
        for (file, state) in open {
            let batch = trip.resume(&file, state).await?;
            batches.extend(batch.map(|batch| (file, batch)));
        }
        trip.collect(batches).await?;
    }
    let mut batches = Vec::new();
    for (file, most) in request_files(context, model, server)? {
        let id = trip.retrying(|| server.client.upload(file.path())).await??;
        context.journal.put_batch(&id, &BatchState::Uploaded(most)).await?;
        let batch = trip.create(&id, true).await??;
        batches.push((id, batch));
    }
    trip.collect(batches).await
}

struct RoundTrip<'a> {
    context: BatchContext<'a>,
    server: &'a Server,
    poll: Duration,
}

impl RoundTrip<'_> {
    /// The batch of a file that an earlier run has uploaded; none if it is gone, which frees its requests.
    async fn resume(&self, file: &str, state: BatchState) -> anyhow::Result<Option<Batch>> {
        if let BatchState::Created(id) = state {
            return self.look_up(file, &id).await;
        }
        match self.create(file, false).await? {
            Ok(batch) => Ok(Some(batch)),
            Err(failure) if failure.is_gone => {
                // No batch was created, and nothing was charged.
                self.context.journal.put_batch(file, &BatchState::Collected).await?;
                let message = &failure.message;
                self.context
                    .session
                    .warn(format!("request file {file} is gone; its requests will be sent again: {message}"));
                Ok(None)
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// Creates a batch of an uploaded file, unless there is one already: the answer to an earlier attempt may be lost.
    async fn create(&self, file: &str, is_new: bool) -> anyhow::Result<Result<Batch, Failure>> {
        let is_new = AtomicBool::new(is_new);
        let client = &self.server.client;
        let batch = self
            .retrying(|| async {
                if !is_new.swap(false, Ordering::Relaxed)
                    && let Some(batch) = client.batch_of(file).await?
                {
                    return Ok(batch);
                }
                client.create_batch(file).await
            })
            .await?;
        if let Ok(batch) = &batch {
            self.context.journal.put_batch(file, &BatchState::Created(batch.id.clone())).await?;
        }
        Ok(batch)
    }

    /// The state of a batch; none if it is gone for good, which frees its requests.
    async fn look_up(&self, file: &str, id: &str) -> anyhow::Result<Option<Batch>> {
        let batch = || self.retrying(|| self.server.client.batch(id));
        let mut found = batch().await?;
        if found.as_ref().is_err_and(|failure| failure.is_gone) {
            // A distributed server may not find a batch right after it was created.
            self.pause().await?;
            found = batch().await?;
        }
        match found {
            Ok(batch) => Ok(Some(batch)),
            Err(failure) if failure.is_gone && self.knows_batches(id, &failure).await? => {
                let most = self.context.journal.most_of_batch(file);
                self.context.journal.put_batch(file, &BatchState::Lost(most)).await?;
                self.server.budget.add(most.spent(&self.server.budget));
                let consequence = lost_requests(most);
                self.context.session.warn(format!("batch {id} is gone; {consequence}: {}", failure.message));
                Ok(None)
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// Whether the server does not have this one batch, rather than that the address is wrong. A batch must not be
    /// given up lightly, because its requests are then paid for again.
    async fn knows_batches(&self, id: &str, failure: &Failure) -> anyhow::Result<bool> {
        // A server that does not know the path repeats it in its message.
        let message = failure.message.replace(id, "").replace("/batches", "").to_lowercase();
        Ok(message.contains("batch") || self.retrying(|| self.server.client.batches_after(None)).await?.is_ok())
    }

    /// Waits for batches, and collects the results of each as soon as it is over.
    async fn collect(&self, mut batches: Vec<(String, Batch)>) -> anyhow::Result<()> {
        let mut collector = Collector::new(self.context, &self.server.budget, self.server.longest_reply);
        let mut refused = Vec::new();
        let mut unknown = HashSet::new();
        let progress = self.context.session.progress(None, "requests of batches done");
        let any = !batches.is_empty();
        while !batches.is_empty() {
            let mut waiting = Vec::new();
            for (file, batch) in batches {
                if batch.is_over() {
                    self.finish(&file, &batch, &mut collector).await?;
                    if batch.status == Status::Failed {
                        refused.push(format!("the server refused batch {}: {}", batch.id, batch.errors));
                    }
                    continue;
                }
                if batch.status == Status::Unknown && unknown.insert(batch.status_text.clone()) {
                    let (id, status) = (&batch.id, &batch.status_text);
                    self.context.session.warn(format!("batch {id}: unknown status \"{status}\"; still waiting"));
                }
                waiting.push((file, batch));
            }
            batches = waiting;
            if !batches.is_empty() {
                batches = self.wait(&progress, batches).await?;
            }
        }
        if any {
            collector.report();
        }
        if !refused.is_empty() {
            bail!("{}", refused.join("; "));
        }
        Ok(())
    }

    /// Collects the results of a batch that is over.
    async fn finish(&self, file: &str, batch: &Batch, collector: &mut Collector<'_>) -> anyhow::Result<()> {
        let warn = |text: String| self.context.session.warn(format!("batch {} {text}", batch.id));
        let name = format!("batch {}", batch.id);
        let (mut contents, mut is_gone) = (FileContents::default(), false);
        // Not every server says how many requests there were.
        let requests = if batch.total > 0 { batch.total } else { MAX_LINES };
        for (result, is_paid) in [(&batch.output_file, true), (&batch.error_file, false)] {
            let Some(result) = result else { continue };
            let lines = if is_paid { batch.completed } else { 0 };
            match self.download(result, requests, lines).await? {
                Ok(results) => contents.add(collector.read(&name, BufReader::new(results)).await?),
                Err(failure) if failure.is_gone => {
                    is_gone |= is_paid;
                    warn(format!("has lost its result file {result}: {}", failure.message));
                }
                Err(failure) => return Err(failure.into()),
            }
        }
        if let Some(missing) = collector.end(file, batch, &contents, is_gone).await? {
            warn(missing);
        }
        let status = &batch.status_text;
        match batch.status {
            Status::Ended => warn(format!("{status}: {} of {} requests were done", batch.done(), batch.total)),
            Status::Completed if batch.output_file.is_none() && batch.error_file.is_none() && batch.total > 0 => {
                warn(format!("{status} without a result file; its requests will be sent again"));
            }
            _ => {}
        }
        Ok(())
    }

    /// Downloads the results of `requests` requests, of which at least `lines` have succeeded. Downloads break off, so
    /// a file with fewer lines, or with an incomplete one, is downloaded again, and the best one counts.
    async fn download(&self, file: &str, requests: u64, lines: u64) -> anyhow::Result<Result<File, Failure>> {
        let fetch = || self.retrying(|| self.server.client.content(file, requests));
        let mut best = match fetch().await? {
            Ok(results) => results,
            failure => return Ok(failure),
        };
        let max_line_bytes = self.context.max_line_bytes;
        let mut found = completeness(file, &mut best, max_line_bytes)?;
        for _ in 0..MAX_RETRIES {
            if !found.is_cut_off && found.lines >= lines {
                break;
            }
            let problem = if found.is_cut_off { "ends in the middle of a line" } else { "is incomplete" };
            self.context.session.info(format!("batch: {file} {problem}; downloading it again"));
            self.pause().await?;
            let Ok(mut again) = fetch().await? else { continue };
            let more = completeness(file, &mut again, max_line_bytes)?;
            if (more.lines, !more.is_cut_off) > (found.lines, !found.is_cut_off) {
                (best, found) = (again, more);
            }
        }
        Ok(Ok(best))
    }

    /// Waits a while, then updates the states of the batches; those that are gone are left out.
    async fn wait(&self, progress: &Progress, batches: Vec<(String, Batch)>) -> anyhow::Result<Vec<(String, Batch)>> {
        let (done, total) = batches.iter().fold((0, 0), |sum, (_, batch)| (sum.0 + batch.done(), sum.1 + batch.total));
        progress.message(format!("{done} of {total}, {} batches open", batches.len()));
        self.context.session.debug(format!("batches: {done} of {total} requests done"));
        self.pause().await?;
        let mut updated = Vec::new();
        for (file, batch) in batches {
            let batch = self.look_up(&file, &batch.id).await?;
            updated.extend(batch.map(|batch| (file, batch)));
        }
        Ok(updated)
    }

    /// Waits for the time between two looks.
    async fn pause(&self) -> anyhow::Result<()> {
        let until = Instant::now() + self.poll;
        while Instant::now() < until {
            self.check()?;
            sleep(TICK.min(until - Instant::now())).await;
        }
        Ok(())
    }

    /// Calls `attempt`, and again while that may help.
    async fn retrying<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        attempt: impl Fn() -> F,
    ) -> anyhow::Result<Result<T, Failure>> {
        self.check()?;
        let (_never, stop) = watch::channel(false);
        let session = self.context.session;
        Ok(retry(self.server.max_retries, stop, |notice: Notice| notice.about("batch").show(session), attempt).await)
    }

    fn check(&self) -> anyhow::Result<()> {
        let interrupt = self.context.session.interrupt();
        if interrupt.signal().is_some() {
            self.context.session.notice("the batches continue at the server; the same command collects their results");
        }
        Ok(interrupt.check()?)
    }
}
