//! The held-out split, by document.

use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use embtune_cli::{Output, Session};
use embtune_records::{Document, Pair, Qrels, Split, write_json_line};
use embtune_text::text_hash;
use indexmap::{IndexMap, IndexSet};

/// Takes the pairs of some documents out and writes them as an evaluation set in BEIR's layout.
pub(crate) struct Holdout {
    split: Split,
    directory: PathBuf,
    queries_file: Output,
    /// The held-out queries: id and text, in their order.
    queries: IndexMap<String, String>,
    qrels: Qrels,
    /// Normal forms of the queries of training pairs.
    trained: HashSet<u64>,
    pairs: u64,
}

/// What became of the held-out part.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct HeldOut {
    pub(crate) pairs: u64,
    /// Queries that are left out, because training pairs have them too.
    pub(crate) trained_on: u64,
}

impl Holdout {
    pub(crate) fn create(split: Split, directory: PathBuf, session: &Session) -> anyhow::Result<Self> {
        fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
        let queries_file = session.output(Some(&directory.join("queries.jsonl")))?;
        let (queries, qrels, trained) = (IndexMap::new(), Qrels::default(), HashSet::new());
        Ok(Self { split, directory, queries_file, queries, qrels, trained, pairs: 0 })
    }

    /// Takes a pair if its document is held out; gives it back, without the negatives that are held out and with their
    /// number, if not.
    ///
    /// All chunks of a parent document are on one side: see [`Split`].
    ///
    /// # Errors
    /// What is wrong with a pair whose document is unknown.
    pub(crate) fn take(&mut self, mut pair: Pair, anchor_hash: u64) -> Result<Option<(Pair, u64)>, String> {
        let group = pair.group_or_positive_id().ok_or("--holdout needs a field \"group\" or \"positive_id\"")?;
        if !self.split.holds_out(group) {
            self.trained.insert(anchor_hash);
            let before = pair.negatives.len();
            let split = self.split;
            let is_held_out = |group: Option<&str>| group.is_some_and(|group| split.holds_out(group));
            pair.retain_negatives(|pair, index| !is_held_out(pair.negative_group_or_id(index)));
            let leaked = (before - pair.negatives.len()) as u64;
            return Ok(Some((pair, leaked)));
        }
        let document = pair.positive_id.as_deref().ok_or("a held-out pair needs a field \"positive_id\"")?;
        self.pairs += 1;
        let id = pair.anchor_id.clone().unwrap_or_else(|| format!("heldout-{}", self.pairs));
        self.qrels.insert(&id, document, 1);
        self.queries.entry(id).or_insert_with(|| std::mem::take(&mut pair.anchor));
        Ok(None)
    }

    /// Writes queries.jsonl, qrels.tsv and corpus-ids.txt.
    ///
    /// # Errors
    /// A full disk.
    pub(crate) fn finish(mut self, session: &Session) -> anyhow::Result<HeldOut> {
        let mut qrels = Qrels::default();
        let mut documents = IndexSet::new();
        let mut trained_on = 0;
        for (id, text) in &self.queries {
            let judged = self.qrels.get(id).into_iter().flatten();
            documents.extend(judged.clone().map(|(document, _)| document.as_str()));
            // An evaluation with a query that was trained on says nothing, and another document answers it too.
            if self.trained.contains(&(text_hash(text) as u64)) {
                trained_on += 1;
                continue;
            }
            for (document, relevance) in judged {
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
        Ok(HeldOut { pairs: self.pairs, trained_on })
    }
}
