//! The held-out split, by document.

mod texts;
mod trained;

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use embtune_cli::{Output, Session};
use embtune_model::Role;
use embtune_records::{Document, HoldoutSplit, Pair, Qrels, write_json_line};
use indexmap::map::Entry;
use indexmap::{IndexMap, IndexSet};
use rayon::prelude::*;

use crate::features::Features;
use texts::{Nearness, Texts};
use trained::Trained;

/// Texts of training pairs that are compared together.
const BATCH_TEXTS: usize = 16_384;

/// Separates the pairs of some documents and writes them as an evaluation set in BEIR's layout.
///
/// Queries and texts that training pairs have as well are left out of the evaluation set. Which ones these are is known
/// only at the end: the held-out texts are then in memory, and the fingerprints of the training texts are read again
/// from disk.
pub(crate) struct Holdout {
    split: HoldoutSplit,
    directory: PathBuf,
    queries_file: Output,
    /// The held-out queries by id, with text and hash, in the order of the input.
    queries: IndexMap<String, (String, u64)>,
    /// Ids given to queries without one, by hash.
    new_ids: HashMap<u64, String>,
    pairs: Vec<HeldPair>,
    query_texts: Texts,
    document_texts: Texts,
    trained: Trained,
}

/// A held-out pair.
struct HeldPair {
    /// Index in `queries`.
    query: usize,
    document: String,
    /// 1, or 0 if the pair's label says that the document does not answer the query.
    relevance: i64,
    /// Hash of the positive.
    text: u64,
}

/// Counts of the held-out part.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeldOut {
    pub(crate) pairs: u64,
    /// Queries that were written.
    pub(crate) queries: u64,
    /// Queries that are left out because training pairs have the same, or nearly the same.
    pub(crate) known_queries: [u64; 2],
    /// Pairs that are left out because training pairs have the same text, or nearly the same.
    pub(crate) known_documents: [u64; 2],
}

impl Holdout {
    /// A split into `directory`; texts are near-duplicates from `similarity` on.
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
            new_ids: HashMap::new(),
            pairs: Vec::new(),
            query_texts,
            document_texts,
            trained,
        })
    }

    /// Takes a pair if its document is held out. Otherwise returns it without the negatives that are held out, and
    /// their number.
    ///
    /// All chunks of a parent document are on one side: see [`HoldoutSplit`].
    ///
    /// # Errors
    /// A message about a pair whose document is unknown.
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
        let id = pair.anchor_id.unwrap_or_else(|| self.new_ids.entry(hash).or_insert_with(new_id).clone());
        let entry = self.queries.entry(id);
        let query = entry.index();
        if let Entry::Occupied(entry) = &entry
            && entry.get().1 != hash
        {
            let (id, (text, _)) = (entry.key(), entry.get());
            return Err(format!("anchor_id \"{id}\" belongs to a different query in an earlier pair: \"{text}\""));
        }
        entry.or_insert((pair.anchor, hash));
        self.query_texts.add(&features.anchor);
        self.document_texts.add(&features.positive);
        self.pairs.push(HeldPair { query, document, relevance, text: features.positive.hash });
        Ok(None)
    }

    /// Records the texts of a training pair, removes its held-out negatives, and returns their number.
    fn learn(&mut self, pair: &mut Pair, features: &Features) -> u64 {
        self.trained.push(Role::Query, &features.anchor);
        self.trained.push(Role::Document, &features.positive);
        let is_held_out = |index| pair.negative_group_or_id(index).is_some_and(|group| self.split.holds_out(group));
        let leaks: Vec<bool> = (0..pair.negatives.len()).map(is_held_out).collect();
        for (fingerprint, _) in features.negatives.iter().zip(&leaks).filter(|(_, leaks)| !**leaks) {
            self.trained.push(Role::Document, fingerprint);
        }
        pair.retain_negatives(|_, index| !leaks[index]);
        leaks.into_iter().filter(|leaks| *leaks).count() as u64
    }

    /// Writes the recorded texts to disk.
    ///
    /// # Errors
    /// A full disk.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        self.trained.flush().with_context(|| cannot_store(&self.directory))
    }

    /// Writes queries.jsonl, qrels.tsv and corpus-ids.txt, and reports each omission with its reason.
    ///
    /// # Errors
    /// A full disk.
    pub(crate) fn finish(mut self, pool: &rayon::ThreadPool, session: &Session) -> anyhow::Result<HeldOut> {
        let (queries, documents) = (&mut self.query_texts, &mut self.document_texts);
        let compared = self.trained.batches(BATCH_TEXTS, |batch| {
            let matches: Vec<_> = pool.install(|| {
                let matches = |(role, fingerprint): &_| match role {
                    Role::Query => queries.matches(fingerprint),
                    Role::Document => documents.matches(fingerprint),
                };
                batch.par_iter().map(matches).collect()
            });
            for ((role, _), matches) in batch.iter().zip(matches) {
                if *role == Role::Query { queries.mark(&matches) } else { documents.mark(&matches) }
            }
        });
        compared.with_context(|| cannot_store(&self.directory))?;

        let mut held_out = HeldOut { pairs: self.pairs.len() as u64, ..HeldOut::default() };
        let mut documents = IndexSet::new();
        let mut judged: IndexMap<usize, Vec<(&str, i64)>> = IndexMap::new();
        for HeldPair { query, document, relevance, text } in &self.pairs {
            let nearness = self.document_texts.nearness(*text);
            if let Some(reason) = nearness.reason() {
                held_out.known_documents[usize::from(nearness == Nearness::Near)] += 1;
                session.info(format!("held out: text of document {document} left out: {reason}"));
                continue;
            }
            documents.insert(document.as_str());
            judged.entry(*query).or_default().push((document, *relevance));
        }
        let mut qrels = Qrels::default();
        for (index, (id, (text, hash))) in self.queries.iter().enumerate() {
            // Evaluating a query that was trained on shows nothing, and another document answers it as well.
            let nearness = self.query_texts.nearness(*hash);
            if let Some(reason) = nearness.reason() {
                held_out.known_queries[usize::from(nearness == Nearness::Near)] += 1;
                session.info(format!("held out: query {id} left out: {reason}: {text}"));
                continue;
            }
            let Some(answers) = judged.get(&index) else { continue };
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

fn cannot_store(directory: &std::path::Path) -> String {
    format!("{}: cannot store the fingerprints of training texts", directory.display())
}
