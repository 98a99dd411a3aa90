//! The held-out split, by document.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use embtune_cli::{Output, Session};
use embtune_records::{Document, Pair, Qrels, write_json_line};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Takes the pairs of some documents out and writes them as an evaluation set in BEIR's layout.
pub(crate) struct Holdout {
    share: f64,
    seed: u64,
    directory: PathBuf,
    queries: Output,
    qrels: Qrels,
    pairs: u64,
}

impl Holdout {
    pub(crate) fn create(share: f64, seed: u64, directory: PathBuf, session: &Session) -> anyhow::Result<Self> {
        fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
        let queries = session.output(Some(&directory.join("queries.jsonl")))?;
        Ok(Self { share, seed, directory, queries, qrels: Qrels::default(), pairs: 0 })
    }

    /// Number of pairs that were held out.
    pub(crate) fn pairs(&self) -> u64 {
        self.pairs
    }

    /// Takes a pair if its document is held out; gives it back if not.
    ///
    /// The document's hash decides, so the split does not depend on the order of the input, and all chunks of a
    /// parent document are on one side. Fails for a pair whose document is unknown.
    pub(crate) fn take(&mut self, pair: Pair) -> Result<anyhow::Result<Option<Pair>>, String> {
        let group = pair.group_or_positive_id().ok_or("--holdout needs a field \"group\" or \"positive_id\"")?;
        let hash = xxh3_64_with_seed(group.as_bytes(), self.seed);
        // The upper 53 bits as a number from 0 to 1.
        if (hash >> 11) as f64 / (1_u64 << 53) as f64 >= self.share {
            return Ok(Ok(Some(pair)));
        }
        let document = pair.positive_id.as_deref().ok_or("a held-out pair needs a field \"positive_id\"")?;
        Ok(self.write(&pair, document).map(|()| None))
    }

    fn write(&mut self, pair: &Pair, document: &str) -> anyhow::Result<()> {
        self.pairs += 1;
        let id = pair.anchor_id.clone().unwrap_or_else(|| format!("heldout-{}", self.pairs));
        let is_new = self.qrels.get(&id).is_none();
        self.qrels.insert(&id, document, 1);
        if is_new {
            write_json_line(&Document::new(id, None, &pair.anchor).into_object(), &mut self.queries)?;
        }
        Ok(())
    }

    pub(crate) fn finish(self, session: &Session) -> anyhow::Result<()> {
        let mut out = session.output(Some(&self.directory.join("qrels.tsv")))?;
        self.qrels.write(&mut out)?;
        self.queries.finish()?;
        Ok(out.finish()?)
    }
}
