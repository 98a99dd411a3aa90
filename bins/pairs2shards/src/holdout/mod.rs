//! The held-out split, by document.

mod texts;
mod trained;

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use embtune_cli::{Output, Session};
use embtune_records::{Document, HoldoutSplit, Pair, Qrels, write_json_line};
use indexmap::map::Entry;
use indexmap::{IndexMap, IndexSet};
use rayon::prelude::*;

use crate::cleaner::Features;
use texts::{Nearness, Texts};
use trained::{Kind, Trained};

/// Texts of training pairs that are compared together.
const WINDOW_TEXTS: usize = 16_384;

/// Takes the pairs of some documents out and writes them as an evaluation set in BEIR's layout.
///
/// What training pairs have too is left out of it, which is known at the end only: the texts of the held-out pairs are
/// in memory by then, and those of the training pairs come by once more.
pub(crate) struct Holdout {
    split: HoldoutSplit,
    directory: PathBuf,
    queries_file: Output,
    /// The held-out queries: id, text and hash, in their order.
    queries: IndexMap<String, (String, u64)>,
    /// The ids of those that had none, by hash.
    unnamed: HashMap<u64, String>,
    pairs: Vec<HeldPair>,
    query_texts: Texts,
    document_texts: Texts,
    trained: Trained,
}

/// A held-out pair.
struct HeldPair {
    /// Place in `queries`.
    query: usize,
    document: String,
    /// 1, or 0 where the pair says that the document does not answer the query.
    relevance: i64,
    /// Of the document's text, or of the part that this pair has.
    text: u64,
}

/// What became of the held-out part.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeldOut {
    pub(crate) pairs: u64,
    /// Queries that were written.
    pub(crate) queries: u64,
    /// Queries that are left out, because training pairs have them too, or nearly.
    pub(crate) known_queries: [u64; 2],
    /// Pairs that are left out, because training pairs have the document's text, or nearly.
    pub(crate) known_documents: [u64; 2],
}

impl HeldOut {
    fn count(counts: &mut [u64; 2], nearness: Nearness) {
        counts[usize::from(nearness == Nearness::Near)] += 1;
    }
}

impl Holdout {
    /// A split into `directory`; texts are near from `similarity` on.
    ///
    /// # Errors
    /// A directory that cannot be written to.
    pub(crate) fn create(
        split: HoldoutSplit,
        directory: PathBuf,
        similarity: f64,
        session: &Session,
    ) -> anyhow::Result<Self> {
        let name = || directory.display().to_string();
        fs::create_dir_all(&directory).with_context(name)?;
        let trained = Trained::create(&directory).with_context(name)?;
        let queries_file = session.output(Some(&directory.join("queries.jsonl")))?;
        let [query_texts, document_texts] = [0; 2].map(|_| Texts::new(similarity));
        Ok(Self {
            split,
            directory,
            queries_file,
            queries: IndexMap::new(),
            unnamed: HashMap::new(),
            pairs: Vec::new(),
            query_texts,
            document_texts,
            trained,
        })
    }

    /// Takes a pair if its document is held out; gives it back, without the negatives that are held out and with their
    /// number, if not.
    ///
    /// All chunks of a parent document are on one side: see [`HoldoutSplit`].
    ///
    /// # Errors
    /// What is wrong with a pair whose document is unknown.
    pub(crate) fn take(&mut self, mut pair: Pair, features: &Features) -> Result<Option<(Pair, u64)>, String> {
        let group = pair.group_or_positive_id().ok_or("--holdout needs a field \"group\" or \"positive_id\"")?;
        if !self.split.holds_out(group) {
            let leaked = self.learn(&mut pair, features);
            return Ok(Some((pair, leaked)));
        }
        let is_no_answer = pair.is_no_answer();
        let document = pair.positive_id.ok_or("a held-out pair needs a field \"positive_id\"")?;
        let relevance = i64::from(!is_no_answer);
        let hash = features.anchor.hash;
        let new_id = || format!("heldout-{}", self.pairs.len() + 1);
        let id = pair.anchor_id.unwrap_or_else(|| self.unnamed.entry(hash).or_insert_with(new_id).clone());
        let entry = self.queries.entry(id);
        let query = entry.index();
        if let Entry::Occupied(entry) = &entry
            && entry.get().1 != hash
        {
            let (id, (text, _)) = (entry.key(), entry.get());
            return Err(format!("anchor_id \"{id}\" is that of another query in an earlier pair: \"{text}\""));
        }
        entry.or_insert((pair.anchor, hash));
        self.query_texts.add(&features.anchor);
        self.document_texts.add(&features.positive);
        self.pairs.push(HeldPair { query, document, relevance, text: features.positive.hash });
        Ok(None)
    }

    /// Remembers the texts of a training pair; takes held-out negatives out, and says how many.
    fn learn(&mut self, pair: &mut Pair, features: &Features) -> u64 {
        self.trained.push(Kind::Query, &features.anchor);
        self.trained.push(Kind::Document, &features.positive);
        let is_held_out = |index| pair.negative_group_or_id(index).is_some_and(|group| self.split.holds_out(group));
        let leaks: Vec<bool> = (0..pair.negatives.len()).map(is_held_out).collect();
        for (print, _) in features.negatives.iter().zip(&leaks).filter(|(_, leaks)| !**leaks) {
            self.trained.push(Kind::Document, print);
        }
        pair.retain_negatives(|_, index| !leaks[index]);
        leaks.into_iter().filter(|leaks| *leaks).count() as u64
    }

    /// Puts on disk what waits for the end.
    ///
    /// # Errors
    /// A full disk.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        self.trained.flush().with_context(|| cannot_keep(&self.directory))
    }

    /// Writes queries.jsonl, qrels.tsv and corpus-ids.txt, and says of each pair why it is left out.
    ///
    /// # Errors
    /// A full disk.
    pub(crate) fn finish(mut self, pool: &rayon::ThreadPool, session: &Session) -> anyhow::Result<HeldOut> {
        let (queries, documents) = (&mut self.query_texts, &mut self.document_texts);
        let compared = self.trained.windows(WINDOW_TEXTS, |window| {
            let like: Vec<_> = pool.install(|| {
                let like = |(kind, print): &_| match kind {
                    Kind::Query => queries.like(print),
                    Kind::Document => documents.like(print),
                };
                window.par_iter().map(like).collect()
            });
            for ((kind, _), like) in window.iter().zip(like) {
                if *kind == Kind::Query { queries.mark(&like) } else { documents.mark(&like) }
            }
        });
        compared.with_context(|| cannot_keep(&self.directory))?;

        let mut held_out = HeldOut { pairs: self.pairs.len() as u64, ..HeldOut::default() };
        let mut documents = IndexSet::new();
        let mut judged: IndexMap<usize, Vec<(&str, i64)>> = IndexMap::new();
        for HeldPair { query, document, relevance, text } in &self.pairs {
            let nearness = self.document_texts.nearness(*text);
            if let Some(reason) = nearness.reason() {
                HeldOut::count(&mut held_out.known_documents, nearness);
                session.info(format!("held out: text of document {document} left out: {reason}"));
                continue;
            }
            documents.insert(document.as_str());
            judged.entry(*query).or_default().push((document, *relevance));
        }
        let mut qrels = Qrels::default();
        for (place, (id, (text, hash))) in self.queries.iter().enumerate() {
            // An evaluation with a query that was trained on says nothing, and another document answers it too.
            let nearness = self.query_texts.nearness(*hash);
            if let Some(reason) = nearness.reason() {
                HeldOut::count(&mut held_out.known_queries, nearness);
                session.info(format!("held out: query {id} left out: {reason}: {text}"));
                continue;
            }
            let Some(answers) = judged.get(&place) else { continue };
            held_out.queries += 1;
            for (document, relevance) in answers {
                qrels.insert(id, document, *relevance);
            }
            write_json_line(&Document::new(id.as_str(), None, text).into_object(), &mut self.queries_file)?;
        }
        let mut qrels_file = session.output(Some(&self.directory.join("qrels.tsv")))?;
        qrels.write(&mut qrels_file)?;
        let mut ids_file = session.output(Some(&self.directory.join("corpus-ids.txt")))?;
        documents.iter().try_for_each(|id| writeln!(ids_file, "{id}"))?;
        self.queries_file.finish()?;
        ids_file.finish()?;
        qrels_file.finish()?;
        Ok(held_out)
    }
}

fn cannot_keep(directory: &std::path::Path) -> String {
    format!("{}: cannot keep what training pairs hold", directory.display())
}
