//! Documents that are kept for evaluation and are nobody's negatives.

use std::collections::HashSet;
use std::path::Path;

use embtune_cli::Session;
use embtune_records::{Document, HoldoutSplit, Lines};

use crate::choice::reason::Reason;
use crate::corpus::hash;

/// The held-out split, and the documents of a list.
#[derive(Debug, Default)]
pub(crate) struct Withheld {
    pub(crate) split: Option<HoldoutSplit>,
    /// Hashes of ids and groups.
    listed: HashSet<u64>,
}

impl Withheld {
    /// The split, and the ids in `list`, one a line.
    ///
    /// # Errors
    /// A list that cannot be read.
    pub(crate) fn read(
        split: Option<HoldoutSplit>,
        list: Option<&Path>,
        max_record_bytes: usize,
        session: &Session,
    ) -> anyhow::Result<Self> {
        let mut listed = HashSet::new();
        if let Some(list) = list {
            let input = session.input(list)?;
            let mut lines = Lines::new(input.name.clone(), input, max_record_bytes);
            while let Some(line) = lines.next_line() {
                let id = line?.trim();
                if !id.is_empty() {
                    listed.insert(hash(id));
                }
            }
        }
        Ok(Self { split, listed })
    }

    /// Why a document is no negative of any query, if so.
    pub(crate) fn reason(&self, document: &Document) -> Option<Reason> {
        let group = document.group_or_id();
        if self.split.is_some_and(|split| split.holds_out(&group)) {
            Some(Reason::HeldOut)
        } else if self.listed.contains(&hash(document.id())) || self.listed.contains(&hash(&group)) {
            Some(Reason::Excluded)
        } else {
            None
        }
    }
}
