//! Exact search with a system's own vectors.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use embtune_cli::{Device, Session};
use embtune_records::{Judgments, Run, RunEntry, decimal};
use embtune_search::{Hit, Searcher, Similarity, gather};
use embtune_tensors::{Embeddings, check_same_space};

use crate::examine::judged_rows;

/// Queries that are searched in one pass over the corpus: bounds what is copied of their file.
const BATCH: usize = 4096;

/// How to search.
pub(crate) struct SearchSettings {
    pub(crate) device: Device,
    pub(crate) threads: usize,
    pub(crate) ort_library: Option<PathBuf>,
    pub(crate) similarity: Similarity,
    /// Hits of each query.
    pub(crate) depth: usize,
}

/// Searches with the vectors of one system after the other.
pub(crate) struct VectorSearch<'a> {
    settings: SearchSettings,
    session: &'a Session,
    /// Made when it is first needed: runs are measured without it.
    searcher: Option<Searcher>,
}

impl<'a> VectorSearch<'a> {
    pub(crate) fn new(settings: SearchSettings, session: &'a Session) -> Self {
        Self { settings, session, searcher: None }
    }

    /// Most hits of a query.
    pub(crate) fn depth(&self) -> usize {
        self.settings.depth
    }

    /// Searches for every judged query that has a vector.
    pub(crate) fn run(
        &mut self,
        system: &str,
        queries: &Path,
        corpus: &Path,
        judgments: &Judgments,
    ) -> anyhow::Result<Run> {
        let (queries, corpus) = (Embeddings::open(queries)?, Embeddings::open(corpus)?);
        check_same_space(&queries, &corpus)?;
        ensure!(!corpus.is_empty(), "{}: no vectors", corpus.name());
        let rows = judged_rows(&queries, &corpus, judgments)?;
        if let Some(dangling) = judgments.dangling(corpus.name(), corpus.ids())? {
            self.session.warn(format!("{system}: {dangling}"));
        }

        let (depth, session) = (self.settings.depth.min(corpus.len()), self.session);
        let searcher = self.searcher()?;
        let progress = session.progress(Some(rows.len() as u64), "queries");
        let mut run = Run::default();
        for batch in rows.chunks(BATCH) {
            session.interrupt().check()?;
            let hits = searcher.top_k(&gather(&queries, batch.iter().map(|(_, row)| *row))?, &corpus, depth)?;
            let entry = |hit: &Hit| RunEntry { document: corpus.id(hit.index).into(), score: decimal(hit.score) };
            for ((id, _), hits) in batch.iter().zip(hits) {
                run.queries.insert((*id).to_owned(), hits.iter().map(entry).collect());
            }
            progress.add(batch.len() as u64);
        }
        Ok(run)
    }

    fn searcher(&mut self) -> anyhow::Result<&mut Searcher> {
        let searcher = match self.searcher.take() {
            Some(searcher) => searcher,
            None => {
                let SearchSettings { device, threads, ort_library, similarity, .. } = &self.settings;
                let searcher = Searcher::new(*device, *threads, *similarity, ort_library.as_deref())?;
                self.session.notice(format!("searching on {}", searcher.device()));
                searcher
            }
        };
        Ok(self.searcher.insert(searcher))
    }
}
