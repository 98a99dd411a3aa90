//! Exact search with a system's vectors.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;

use anyhow::ensure;
use embtune_cli::{OrtArgs, counted};
use embtune_records::{Judgments, Run, RunEntry, shortest_decimal};
use embtune_search::{Hit, Searcher, gather};
use embtune_tensors::{Embeddings, check_same_space, check_unchanged};

use super::Retriever;
use super::checks::{check_same_documents, judged_rows};

/// Queries that are searched in one pass over the corpus, which bounds the memory for their vectors. Most test sets are
/// smaller.
const BATCH: usize = 8192;

/// How many hits are found with coarse vectors for each one that is kept after rescoring (sentence-transformers'
/// `semantic_search_faiss` uses 2, its documentation of quantisation 4).
const OVERSAMPLING: usize = 4;

/// The vectors of a system.
pub(crate) struct Vectors {
    pub(crate) queries: Embeddings,
    pub(crate) corpus: Embeddings,
    /// Vectors that order the hits, if those of the corpus are too coarse for that.
    pub(crate) full: Option<Embeddings>,
}

impl Vectors {
    /// Opens files of vectors.
    pub(crate) fn open(queries: &Path, corpus: &Path, full: Option<&Path>) -> anyhow::Result<Self> {
        let full = full.map(Embeddings::open).transpose()?;
        Ok(Self { queries: Embeddings::open(queries)?, corpus: Embeddings::open(corpus)?, full })
    }

    fn check(&self) -> anyhow::Result<()> {
        check_same_space(&self.queries, &self.corpus)?;
        ensure!(!self.corpus.is_empty(), "{}: no vectors", self.corpus.name());
        if let Some(full) = &self.full {
            check_same_space(&self.queries, full)?;
            check_same_documents(&self.corpus, full)?;
        }
        Ok(())
    }
}

impl Retriever<'_> {
    /// Searches for every judged query that has a vector.
    pub(super) fn search(&mut self, system: &str, vectors: &Vectors, judgments: &Judgments) -> anyhow::Result<Run> {
        vectors.check()?;
        let Vectors { queries, corpus, full } = vectors;
        if let Some(dim) = self.args.truncate_dim {
            let (dim, all) = (dim.get(), corpus.dim());
            ensure!(dim <= all, "--truncate-dim {dim} is more than the {all} elements of {}", corpus.name());
        }
        let rows = judged_rows(queries, corpus, judgments)?;
        if let Some(dangling) = judgments.dangling(corpus.name(), corpus.ids())? {
            self.session.warn(format!("{system}: {dangling}"));
        }

        // One more hit makes up for the document that is left out afterwards.
        let depth = (self.depth + usize::from(self.rules.exclude_self)).min(corpus.len());
        let session = self.session;
        let coarse = if full.is_some() { (OVERSAMPLING * depth).min(corpus.len()) } else { depth };
        let searcher = self.searcher()?;
        let progress = session.progress(Some(rows.len() as u64), "queries");
        let start = Instant::now();
        let mut run = Run::default();
        for batch in rows.chunks(BATCH) {
            session.interrupt().check()?;
            let queries = gather(queries, batch.iter().map(|(_, row)| *row))?;
            let mut hits = searcher.top_k(&queries, corpus, coarse)?;
            if let Some(full) = full {
                hits = searcher.rescore(&queries, full, hits, depth)?;
            }
            let entry =
                |hit: &Hit| RunEntry { document: corpus.id(hit.index).into(), score: shortest_decimal(hit.score) };
            for ((id, _), hits) in batch.iter().zip(hits) {
                run.queries.insert((*id).to_owned(), hits.iter().map(entry).collect());
            }
            progress.add(batch.len() as u64);
        }
        check_unchanged()?;
        let seconds = start.elapsed().as_secs_f64();
        session.info(format!(
            "{system}: {} searched among {} in {seconds:.2} s",
            counted(rows.len() as u64, "query", "queries"),
            counted(corpus.len() as u64, "document", "documents")
        ));
        Ok(run)
    }

    fn searcher(&mut self) -> anyhow::Result<&mut Searcher> {
        let searcher = match self.searcher.take() {
            Some(searcher) => searcher,
            None => {
                let OrtArgs { compute, ort_library } = self.ort;
                let (similarity, dim) = (self.args.similarity, self.args.truncate_dim);
                let threads = compute.threads.count();
                let searcher = Searcher::new(compute.device, threads, similarity, ort_library.as_deref())?
                    .breaking_ties(self.rules.ties)
                    .truncating(dim.map_or(usize::MAX, NonZeroUsize::get));
                self.session.notice(format!("searching on {}", searcher.device()));
                searcher
            }
        };
        Ok(self.searcher.insert(searcher))
    }
}
