//! Upload, wait, download.
//!
//! How far each file got stands in the journal before the next step is taken, so that a run that is killed anywhere
//! goes on where it was, and no file becomes two batches.

use std::collections::HashSet;
use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use embtune_cli::Progress;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::lines;
use super::request_files::{MOST_LINES, request_files};
use super::results::{Collected, Taken};
use crate::llm::Run;
use crate::llm::asker::Server;
use crate::llm::client::{Batch, Failure, Status};
use crate::llm::journal::{BatchState, Journal};
use crate::llm::note::Note;

/// How often a result file that is not whole is fetched again.
const FETCHES: u32 = 2;
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
    let open = journal.open_batches();
    if !open.is_empty() {
        run.session.notice(format!("batches of an earlier run: {}", open.len()));
        let mut batches = Vec::new();
        for (file, state) in open {
            let batch = trip.started(&file, state).await?;
            batches.extend(batch.map(|batch| (file, batch)));
        }
        trip.collect(batches).await?;
    }
    let mut batches = Vec::new();
    for (file, most) in request_files(run, server)? {
        let id = trip.asked(|| server.client.upload(file.path())).await?;
        journal.put_batch(&id, &BatchState::Uploaded(most)).await?;
        let batch = trip.created(&id, true).await??;
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
    /// The batch of a file that an earlier run has sent; none when it is no longer there, which frees its requests.
    async fn started(&self, file: &str, state: BatchState) -> anyhow::Result<Option<Batch>> {
        if let BatchState::Created(id) = state {
            return self.looked_at(file, &id).await;
        }
        match self.created(file, false).await? {
            Ok(batch) => Ok(Some(batch)),
            Err(failure) if failure.is_gone => {
                // Nothing was made of it, and nothing has been paid.
                self.journal.put_batch(file, &BatchState::Collected).await?;
                let what = failure.what();
                self.run.session.warn(format!("the file of requests {file} is gone, and is sent anew: {what}"));
                Ok(None)
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// Makes a batch of an uploaded file, unless that has been done: an answer may have been lost on its way.
    async fn created(&self, file: &str, is_fresh: bool) -> anyhow::Result<Result<Batch, Failure>> {
        let is_fresh = AtomicBool::new(is_fresh);
        let client = &self.server.client;
        let batch = self
            .tried(|| async {
                if !is_fresh.swap(false, Ordering::Relaxed)
                    && let Some(batch) = client.batch_of(file).await?
                {
                    return Ok(batch);
                }
                client.create_batch(file).await
            })
            .await?;
        if let Ok(batch) = &batch {
            self.journal.put_batch(file, &BatchState::Created(batch.id.clone())).await?;
        }
        Ok(batch)
    }

    /// How a batch is getting on; none when it is gone for good, which frees its requests.
    async fn looked_at(&self, file: &str, id: &str) -> anyhow::Result<Option<Batch>> {
        let batch = || self.tried(|| self.server.client.batch(id));
        let mut found = batch().await?;
        if found.as_ref().is_err_and(|failure| failure.is_gone) {
            // Not every part of a server knows of a batch the moment it is made.
            self.pause().await?;
            found = batch().await?;
        }
        match found {
            Ok(batch) => Ok(Some(batch)),
            Err(failure) if failure.is_gone && self.knows_batches(id, &failure).await? => {
                let cost = self.lost(file).await?;
                self.run.session.warn(format!("batch {id} is gone, {cost}: {}", failure.what()));
                Ok(None)
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// Whether it is this batch that the server does not have, and not that the address is wrong: what is given up is
    /// paid for again.
    async fn knows_batches(&self, id: &str, failure: &Failure) -> anyhow::Result<bool> {
        // A server that has no such path repeats it.
        let words = failure.what().replace(id, "").replace("/batches", "").to_lowercase();
        let is_named = words.contains("batch");
        Ok(is_named || self.tried(|| self.server.client.batches_after(None)).await?.is_ok())
    }

    /// Ends a batch whose results cannot be had any more; says what that means.
    async fn lost(&self, file: &str) -> anyhow::Result<String> {
        let most = self.journal.most_of_batch(file);
        self.journal.put_batch(file, &BatchState::Lost(most)).await?;
        self.server.budget.add(most.spent(&self.server.budget));
        Ok(most.of_lost())
    }

    /// Waits for batches, and takes what they bring as soon as they are over.
    async fn collect(&self, mut batches: Vec<(String, Batch)>) -> anyhow::Result<()> {
        let mut collected = Collected::new(self.run, self.journal, &self.server.budget, self.server.longest_reply);
        let mut refused = Vec::new();
        let mut odd = HashSet::new();
        let progress = self.run.session.progress(None, "requests of batches done");
        let any = !batches.is_empty();
        while !batches.is_empty() {
            let mut waiting = Vec::new();
            for (file, batch) in batches {
                if batch.is_over() {
                    self.take(&file, &batch, &mut collected).await?;
                    if batch.status == Status::Failed {
                        refused.push(format!("the server refused batch {}: {}", batch.id, batch.errors));
                    }
                    continue;
                }
                if batch.status == Status::Unknown && odd.insert(batch.said.clone()) {
                    let (id, said) = (&batch.id, &batch.said);
                    self.run.session.warn(format!("batch {id}: waiting, though its status \"{said}\" is not known"));
                }
                waiting.push((file, batch));
            }
            batches = waiting;
            if !batches.is_empty() {
                batches = self.wait(&progress, batches).await?;
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

    /// Takes what a batch has brought that is over, and ends it.
    async fn take(&self, file: &str, batch: &Batch, collected: &mut Collected<'_>) -> anyhow::Result<()> {
        let warn = |what: String| self.run.session.warn(format!("batch {} {what}", batch.id));
        let name = format!("batch {}", batch.id);
        let (mut taken, mut is_gone) = (Taken::default(), false);
        // Not every server says how many requests there were.
        let requests = if batch.total > 0 { batch.total } else { MOST_LINES };
        for (result, is_paid) in [(&batch.output_file, true), (&batch.error_file, false)] {
            let Some(result) = result else { continue };
            let lines = if is_paid { batch.completed } else { 0 };
            match self.content(result, requests, lines).await? {
                Ok(results) => taken.add(collected.take(&name, BufReader::new(results)).await?),
                Err(failure) if failure.is_gone => {
                    is_gone |= is_paid;
                    warn(format!("has a result file that is gone, {result}: {}", failure.what()));
                }
                Err(failure) => return Err(failure.into()),
            }
        }
        if let Some(missing) = collected.end(file, batch, &taken, is_gone).await? {
            warn(missing);
        }
        match batch.status {
            Status::Ended => warn(format!("{}: {} of {} requests were done", batch.said, batch.done(), batch.total)),
            Status::Completed if batch.output_file.is_none() && batch.error_file.is_none() && batch.total > 0 => {
                warn(format!("{}, without a result file: its requests are asked again", batch.said));
            }
            _ => {}
        }
        Ok(())
    }

    /// A file with the results of so many requests, of which at least `lines` went well. One with fewer, or that ends in
    /// the middle of a line, is fetched again, because downloads break off; the best one counts.
    async fn content(&self, file: &str, requests: u64, lines: u64) -> anyhow::Result<Result<File, Failure>> {
        let fetch = || self.tried(|| self.server.client.content(file, requests));
        let mut best = match fetch().await? {
            Ok(results) => results,
            failure => return Ok(failure),
        };
        let most = self.run.cli.records.max_record_bytes;
        let mut found = lines::whole(file, &mut best, most)?;
        for _ in 0..FETCHES {
            if !found.is_cut_off && found.count >= lines {
                break;
            }
            let what = if found.is_cut_off { "ends in the middle of a line" } else { "is not whole" };
            self.run.session.info(format!("batch: {file} {what}, and is fetched again"));
            self.pause().await?;
            let Ok(mut again) = fetch().await? else { continue };
            let more = lines::whole(file, &mut again, most)?;
            if (more.count, !more.is_cut_off) > (found.count, !found.is_cut_off) {
                (best, found) = (again, more);
            }
        }
        Ok(Ok(best))
    }

    /// Waits a while, then asks how the batches are getting on; those that are gone are left out.
    async fn wait(&self, progress: &Progress, batches: Vec<(String, Batch)>) -> anyhow::Result<Vec<(String, Batch)>> {
        let (done, total) = batches.iter().fold((0, 0), |sum, (_, batch)| (sum.0 + batch.done(), sum.1 + batch.total));
        progress.message(format!("{done} of {total}, {} batches open", batches.len()));
        self.run.session.debug(format!("batches: {done} of {total} requests done"));
        self.pause().await?;
        let mut there = Vec::new();
        for (file, batch) in batches {
            let batch = self.looked_at(&file, &batch.id).await?;
            there.extend(batch.map(|batch| (file, batch)));
        }
        Ok(there)
    }

    /// The time between two looks.
    async fn pause(&self) -> anyhow::Result<()> {
        let until = Instant::now() + Duration::from_secs_f64(self.run.cli.batch.poll_secs);
        while Instant::now() < until {
            self.check()?;
            sleep(TICK.min(until - Instant::now())).await;
        }
        Ok(())
    }

    /// Asks the server, again while that may help.
    async fn asked<T, F: Future<Output = Result<T, Failure>>>(&self, attempt: impl Fn() -> F) -> anyhow::Result<T> {
        Ok(self.tried(attempt).await??)
    }

    /// The same, with the failure for whoever knows what to do about it.
    async fn tried<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        attempt: impl Fn() -> F,
    ) -> anyhow::Result<Result<T, Failure>> {
        self.check()?;
        let (_never, stop) = watch::channel(false);
        let session = self.run.session;
        Ok(self.server.retry.run(stop, |note: Note| note.of("batch").tell(session), attempt).await)
    }

    fn check(&self) -> anyhow::Result<()> {
        let interrupt = self.run.session.interrupt();
        if interrupt.signal().is_some() {
            self.run.session.notice("the batches go on at the server: the same command collects them");
        }
        Ok(interrupt.check()?)
    }
}
