//! The generator `openai`: a language model writes the queries.

mod pipeline;
mod queries;
mod requests;
mod summary;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use embtune_cli::{Outcome, Session};

use crate::documents::{self, Census, Corpus, Documents};
use crate::filters::{Filters, Reasons};
use crate::llm::{
    BatchContext, IsUsable, Journal, Model, NoticeReceiver, Notices, Reply, Requester, Server, Settings as LlmSettings,
    collect_files, round_trip,
};
use crate::pairs::{self, PairWriter};
use crate::prompt::{self, Prompt};

use pipeline::Pipeline;
use queries::queries_of;

/// The number of queries that a corpus should have in all (GPL, <https://arxiv.org/abs/2112.07577>, 4.2).
const QUERIES_PER_CORPUS: u64 = 250_000;
/// The fewest queries for a passage if the user does not give a number.
const MIN_QUERIES: u64 = 3;
/// The most queries for a passage if the user does not give a number: more in one reply repeat each other.
const MAX_QUERIES: u64 = 10;

/// The way in which requests are sent.
#[derive(Debug, Clone)]
pub(crate) enum Mode {
    /// They are sent one by one.
    Online,
    /// They are sent as batches, which are looked at once in this time.
    Batch { poll: Duration },
    /// They are written to a file.
    EmitBatch,
    /// Their replies are in these files.
    IngestBatch(Vec<PathBuf>),
    /// They are counted.
    DryRun,
}

/// Settings of the generator.
pub(crate) struct Settings {
    pub(crate) mode: Mode,
    pub(crate) llm: LlmSettings,
    pub(crate) prompt: prompt::Settings,
    pub(crate) input: documents::Settings,
    pub(crate) output: pairs::Settings,
    /// Queries for each passage; none chooses a number by the size of the corpus.
    pub(crate) queries: Option<u32>,
    /// The longest passage, in characters.
    pub(crate) passage_chars: usize,
    /// Why queries are dropped.
    pub(crate) drop: Reasons,
}

/// Runs the generator over the whole input.
pub(crate) fn run(settings: &Settings, session: &Session) -> anyhow::Result<Outcome> {
    let run = Run::prepare(settings, session)?;
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match &settings.mode {
        Mode::DryRun => requests::dry_run(&run),
        Mode::EmitBatch => {
            run.check_no_open_batches()?;
            requests::write(&run)
        }
        Mode::IngestBatch(files) => runtime()?.block_on(async {
            let (budget, longest_reply) = run.model.budget(run.journal.as_deref(), session)?;
            collect_files(run.batch_context()?, &budget, longest_reply, files).await?;
            run.pipeline(None, Notices::channel())?.run(run.documents()?).await
        }),
        Mode::Batch { poll } => runtime()?.block_on(async {
            run.model.check_batch_api()?;
            let notices = Notices::channel();
            let server = run.model.connect(run.journal.as_deref(), notices.0.clone(), session)?;
            round_trip(run.batch_context()?, &run.model, &server, *poll).await?;
            run.pipeline(None, notices)?.run(run.documents()?).await
        }),
        Mode::Online => runtime()?.block_on(async {
            run.check_no_open_batches()?;
            let notices = Notices::channel();
            let server = run.model.connect(run.journal.as_deref(), notices.0.clone(), session)?;
            run.pipeline(Some(server), notices)?.run(run.documents()?).await
        }),
    }
}

/// The context that all modes share.
struct Run<'a> {
    settings: &'a Settings,
    session: &'a Session,
    model: Model<'a>,
    corpus: Corpus<'a>,
    /// The size of the corpus, if it was counted.
    census: Option<Census>,
    prompt: Arc<Prompt>,
    journal: Option<Arc<Journal>>,
}

impl<'a> Run<'a> {
    fn prepare(settings: &'a Settings, session: &'a Session) -> anyhow::Result<Self> {
        let model = Model::new(&settings.llm)?;
        let has_journal = settings.llm.journal.is_some();
        let is_batch = matches!(settings.mode, Mode::Batch { .. });
        ensure!(has_journal || !is_batch, "--batch needs --journal, which keeps track of the batches between runs");
        // The input is read twice to choose the number of queries, and to make the requests before the pairs.
        let is_counted = settings.queries.is_none()
            || matches!(settings.mode, Mode::Batch { .. } | Mode::IngestBatch(_) | Mode::DryRun);
        let corpus = Corpus::open(&settings.input, is_counted, session)?;
        let census = corpus.count(settings.passage_chars, session)?;
        let queries = match settings.queries {
            Some(queries) => queries.into(),
            None => {
                let queries = queries_for_size(census.unwrap_or_default().passages);
                session.info(format!("{queries} queries a passage (-n)"));
                queries
            }
        };
        let queries = queries as usize;
        let is_usable: Box<IsUsable> = Box::new(move |reply: &Reply| queries_of(reply, queries).is_ok());
        let journal = match settings.mode {
            Mode::IngestBatch(_) if !has_journal => Some(Arc::new(Journal::temporary(is_usable)?)),
            _ => model.open_journal(is_usable, session)?,
        };
        let prompt = Arc::new(Prompt::new(&settings.prompt, queries, session)?);
        Ok(Self { settings, session, model, corpus, census, prompt, journal })
    }

    fn documents(&self) -> anyhow::Result<Documents> {
        self.corpus.documents(self.session)
    }

    /// Checks that no batch in progress may still return these replies.
    fn check_no_open_batches(&self) -> anyhow::Result<()> {
        let open = self.journal.as_ref().map_or(0, |journal| journal.open_batches().len());
        ensure!(
            open == 0,
            "batches in progress, whose requests would be paid for twice: {open}\nhint: --batch collects them; to give one \
             up, delete its lines from the journal"
        );
        Ok(())
    }

    fn batch_context(&self) -> anyhow::Result<BatchContext<'_>> {
        let journal = self.journal.as_deref().context("no journal")?;
        let max_line_bytes = self.settings.input.max_record_bytes;
        Ok(BatchContext { session: self.session, journal, requests: self, max_line_bytes })
    }

    /// From the documents to the pairs; without a server, with the replies in the journal.
    fn pipeline(
        &self,
        server: Option<Server>,
        (notices, received): (Notices, NoticeReceiver),
    ) -> anyhow::Result<Pipeline<'a>> {
        let Settings { output, prompt, drop, passage_chars, llm, .. } = self.settings;
        let writer = PairWriter::new(output, self.session, self.census.map(|census| census.documents))?;
        let filters = Filters::new(drop.clone(), prompt.language, self.prompt.example_queries());
        let requester = Requester::new(server, self.journal.clone(), notices);
        let concurrency = llm.limits.concurrency;
        Ok(Pipeline {
            session: self.session,
            writer,
            requester: Arc::new(requester),
            prompt: Arc::clone(&self.prompt),
            filters,
            notices: received,
            passage_chars: *passage_chars,
            max_tasks: concurrency * pipeline::TASKS_PER_REQUEST,
            total: self.census.map(|census| census.documents),
            state: pipeline::State::default(),
        })
    }
}

/// The number of queries for each of this many passages.
fn queries_for_size(passages: u64) -> u64 {
    QUERIES_PER_CORPUS.div_ceil(passages.max(1)).clamp(MIN_QUERIES, MAX_QUERIES)
}

#[cfg(test)]
mod tests {
    use super::queries_for_size;

    #[test]
    fn a_small_corpus_gets_more_queries() {
        let sizes = [0, 1, 25_000, 30_000, 83_333, 83_334, 1_000_000];
        assert_eq!(sizes.map(queries_for_size), [10, 10, 10, 9, 4, 3, 3]);
    }
}
