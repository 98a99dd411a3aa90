//! The generator that asks a language model.

mod asker;
mod batch;
mod budget;
mod client;
mod flow;
mod journal;
mod json;
mod note;
mod pace;
mod parse;
mod plan;
mod progress;
mod reply;
mod requests;
mod retry;
mod trouble;
mod under_way;
mod wording;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use embtune_cli::{Outcome, RecordArgs, Session};
use tokio::sync::{Semaphore, mpsc, watch};

use asker::{Asker, Server};
use budget::{Budget, Caps, Price, Spent, Usd, longest_completion};
use client::{Address, Host, OpenAi};
use flow::Flow;
use journal::Journal;
use note::{Note, Notes};
use pace::{Limits, Pace};
use retry::Retry;
use under_way::UnderWay;
use wording::Wording;

use crate::cli::Cli;
use crate::documents::{Census, Corpus, Documents, documents};
use crate::filters::Filters;
use crate::output::Sink;
use crate::prompt::{Parameters, Prompt};

/// Queries that a corpus as a whole should have, and the fewest and most of a passage where the user does not say.
///
/// The first two are GPL's (<https://arxiv.org/abs/2112.07577>, 4.2); more than ten in one reply repeat each other.
const OF_CORPUS: u64 = 250_000;
const FEWEST: u64 = 3;
const MOST: u64 = 10;

/// One request stands ready, in the journal, for so many in flight.
const PREPARED: usize = 4;

/// Runs the generator over the whole input, in the way that the flags ask for.
///
/// # Errors
/// Whatever ends the run early.
pub(crate) fn run(cli: &Cli, session: &Session) -> anyhow::Result<Outcome> {
    let run = Run::prepare(cli, session)?;
    if cli.llm.dry_run {
        return plan::print(&run);
    }
    if cli.batch.emit_batch {
        run.no_open_batches()?;
        return batch::emit(&run);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if !cli.batch.ingest_batch.is_empty() {
        runtime.block_on(batch::ingest(&run))?;
        return runtime.block_on(run.flow(None, Notes::new())?.run(run.documents()?));
    }
    let (notes, said) = Notes::new();
    if cli.batch.batch {
        run.has_batches()?;
        let server = run.server(notes.clone())?;
        runtime.block_on(batch::round_trip(&run, &server))?;
        return runtime.block_on(run.flow(None, (notes, said))?.run(run.documents()?));
    }
    run.no_open_batches()?;
    let server = run.server(notes.clone())?;
    runtime.block_on(run.flow(Some(server), (notes, said))?.run(run.documents()?))
}

/// What every way of running needs.
struct Run<'a> {
    cli: &'a Cli,
    session: &'a Session,
    llm: String,
    address: Address,
    prompt_parameters: Parameters,
    journal: Option<Arc<Journal>>,
    /// The input, when it was read before to be counted.
    corpus: Option<Corpus>,
    census: Option<Census>,
}

impl<'a> Run<'a> {
    fn prepare(cli: &'a Cli, session: &'a Session) -> anyhow::Result<Self> {
        let llm =
            cli.llm.llm.clone().context("no language model named\nhint: --llm NAME, or --generator extractive")?;
        let address = Address::read(cli.llm.base_url.as_deref().unwrap_or_default())?;
        let is_remembered = !cli.batch.batch || cli.llm.journal.is_some();
        ensure!(is_remembered, "--batch needs --journal: it outlives the wait for the server");
        // What is read twice: to choose the number of queries, and to say what is to come.
        let by_file = cli.batch.batch || !cli.batch.ingest_batch.is_empty();
        let is_counted = cli.queries_per_document.is_none() || cli.llm.dry_run || by_file;
        let corpus = if is_counted { Some(Corpus::open(cli, session)?) } else { Corpus::of_files(cli, session)? };
        let census = corpus.as_ref().map(|corpus| corpus.count(cli, session)).transpose()?;
        let queries = match cli.queries_per_document {
            Some(queries) => queries.into(),
            None => by_size(census.unwrap_or_default().passages),
        };
        if cli.queries_per_document.is_none() {
            session.info(format!("{queries} queries a passage (-n)"));
        }
        let queries = queries as usize;
        let journal = match &cli.llm.journal {
            Some(path) => Some(Arc::new(Journal::open(path, queries)?)),
            None if cli.batch.ingest_batch.is_empty() => None,
            None => Some(Arc::new(Journal::temporary(queries)?)),
        };
        journal.iter().filter_map(|journal| journal.warning()).for_each(|warning| session.warn(warning));
        let prompt_parameters = Parameters {
            llm: llm.clone(),
            queries,
            temperature: cli.llm.temperature,
            max_completion_tokens: cli.llm.max_completion_tokens,
            reply_format: cli.llm.reply_format,
        };
        Ok(Self { cli, session, llm, address, prompt_parameters, journal, corpus, census })
    }

    fn prompt(&self) -> anyhow::Result<Prompt> {
        Prompt::new(&self.cli.prompt, self.cli.seed, self.prompt_parameters.clone(), self.session)
    }

    fn documents(&self) -> anyhow::Result<Documents> {
        match &self.corpus {
            Some(corpus) => corpus.documents(self.cli.records.max_record_bytes),
            None => {
                let RecordArgs { files, max_record_bytes, .. } = &self.cli.records;
                Ok(Box::new(documents(self.session.inputs(files)?, *max_record_bytes)))
            }
        }
    }

    /// Nothing is asked that a batch under way may bring.
    fn no_open_batches(&self) -> anyhow::Result<()> {
        let open = self.journal.as_ref().map_or(0, |journal| journal.open_batches().len());
        ensure!(
            open == 0,
            "batches under way, whose requests would be paid for twice: {open}\nhint: --batch collects them; to give one up, delete its lines from the journal"
        );
        Ok(())
    }

    /// Nothing is uploaded to a server that is known to have no place for it.
    fn has_batches(&self) -> anyhow::Result<()> {
        ensure!(
            self.address.host != Host::GitHub,
            "--batch: GitHub Models has no Batch API\nhint: without --batch, the requests are sent one by one"
        );
        Ok(())
    }

    /// What is known of the price of tokens; half of it in batches.
    fn price(&self) -> anyhow::Result<Option<Price>> {
        let money = &self.cli.money;
        let price = Price::find((money.price_in, money.price_out), &self.llm, self.address.host)?;
        let is_batch = self.cli.batch.batch || self.cli.batch.emit_batch || !self.cli.batch.ingest_batch.is_empty();
        // A price that the user gives is the price.
        Ok(if is_batch && money.price_in.is_none() { price.map(Price::of_batches) } else { price })
    }

    /// The account, and the most tokens of a reply, if that is known.
    ///
    /// # Errors
    /// A cap of which nobody could say when it is reached.
    fn budget(&self) -> anyhow::Result<(Arc<Budget>, Option<u64>)> {
        let price = self.price()?;
        let caps = Caps { usd: self.cli.money.max_usd.map(Usd::new), tokens: self.cli.money.max_tokens };
        ensure!(
            caps.usd.is_none() || price.is_some(),
            "--max-usd: the price of {} at this server is not known\nhint: --price-in and --price-out, in dollars for a \
             million tokens",
            self.llm
        );
        let longest = self.cli.llm.max_completion_tokens.map(u64::from);
        let longest = longest.or_else(|| longest_completion(&self.llm, self.address.host));
        ensure!(
            (caps.usd.is_none() && caps.tokens.is_none()) || longest.is_some(),
            "with a cap, the longest reply of {} must be known\nhint: --max-completion-tokens",
            self.llm
        );
        let mut before = Spent::default();
        if let Some(journal) = &self.journal {
            let (open, count) = journal.unanswered(price, longest.unwrap_or_default());
            before = journal.paid(price) + open;
            if count > 0 && (caps.usd.is_some() || caps.tokens.is_some()) {
                self.session.notice(format!(
                    "requests of earlier runs that have no answer: {count}, counted as {} tokens, {}",
                    open.tokens.total(),
                    open.usd
                ));
            }
        }
        Ok((Arc::new(Budget::new(price, caps, before)), longest))
    }

    fn wording(&self) -> Wording {
        Wording::new(&self.llm, &self.address, self.cli.llm.token_limit_name)
    }

    fn server(&self, notes: Notes) -> anyhow::Result<Server> {
        let limits =
            Limits { concurrency: self.cli.llm.concurrency as usize, rpm: self.cli.llm.rpm, tpm: self.cli.llm.tpm };
        let pace = Arc::new(Pace::new(limits, notes.clone()));
        let timeout = Duration::from_secs(self.cli.llm.timeout_secs);
        let client = OpenAi::new(self.address.clone(), self.wording(), timeout, Arc::clone(&pace), notes)?;
        let (budget, longest_reply) = self.budget()?;
        let retry = Retry { most: self.cli.llm.max_retries };
        let prepared = Semaphore::new(limits.concurrency.div_ceil(PREPARED));
        let has_replied = AtomicBool::new(false);
        Ok(Server { client, pace, budget, retry, has_replied, longest_reply, prepared })
    }

    /// The way of the passages; without a server, from the journal alone.
    fn flow(
        &self,
        server: Option<Server>,
        (notes, said): (Notes, mpsc::UnboundedReceiver<Note>),
    ) -> anyhow::Result<Flow<'a>> {
        let total = self.census.map(|census| census.documents);
        let sink = Sink::new(self.cli, self.session, total)?;
        let prompt = self.prompt()?;
        let filters = Filters::new(self.cli.drop.clone(), self.cli.prompt.language, prompt.example_queries());
        let asker = Asker {
            server,
            prompt,
            journal: self.journal.clone(),
            under_way: UnderWay::default(),
            stop: watch::Sender::new(false),
            notes,
            asked_again: AtomicU64::new(0),
        };
        let concurrency = self.cli.llm.concurrency as usize;
        let passage_chars = self.cli.prompt.passage_chars;
        Ok(Flow::new((self.session, sink, total), (asker, said), filters, passage_chars, concurrency))
    }
}

/// Queries of a passage in a corpus of so many.
fn by_size(passages: u64) -> u64 {
    OF_CORPUS.div_ceil(passages.max(1)).clamp(FEWEST, MOST)
}

#[cfg(test)]
mod tests {
    use super::by_size;

    #[test]
    fn a_small_corpus_gets_more_queries() {
        let sizes = [0, 1, 25_000, 30_000, 83_333, 83_334, 1_000_000];
        assert_eq!(sizes.map(by_size), [10, 10, 10, 9, 4, 3, 3]);
    }
}
