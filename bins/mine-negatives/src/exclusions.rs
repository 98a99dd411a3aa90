//! Documents that are reserved for the evaluation and never become negatives.

use std::collections::HashSet;
use std::path::PathBuf;

use embtune_cli::Session;
use embtune_records::{Document, HoldoutSplit, Lines, Pair};

use crate::drop_reason::DropReason;
use crate::hash::hash;

/// The documents that are reserved for the evaluation.
pub(crate) struct ExclusionSettings {
    pub(crate) holdout: Option<HoldoutSplit>,
    /// A list of ids and groups, one per line.
    pub(crate) list: Option<PathBuf>,
    pub(crate) max_record_bytes: usize,
}

/// The held-out split and a list of documents.
#[derive(Debug)]
pub(crate) struct Exclusions {
    holdout: Option<HoldoutSplit>,
    /// Hashes of ids and groups.
    listed: HashSet<u64>,
}

impl Exclusions {
    /// Reads the list.
    ///
    /// # Errors
    /// A list that cannot be read.
    pub(crate) fn read(settings: &ExclusionSettings, session: &Session) -> anyhow::Result<Self> {
        let mut listed = HashSet::new();
        if let Some(list) = &settings.list {
            let input = session.input(list)?;
            let mut lines = Lines::new(input.name.clone(), input, settings.max_record_bytes);
            while let Some(line) = lines.next_line() {
                let id = line?.trim();
                if !id.is_empty() {
                    listed.insert(hash(id));
                }
            }
        }
        Ok(Self { holdout: settings.holdout, listed })
    }

    /// Why a document is never a negative, if it is reserved.
    pub(crate) fn reason(&self, document: &Document) -> Option<DropReason> {
        let group = document.group_or_id();
        if self.holdout.is_some_and(|split| split.holds_out(&group)) {
            Some(DropReason::HeldOut)
        } else if self.listed.contains(&hash(document.id())) || self.listed.contains(&hash(&group)) {
            Some(DropReason::Excluded)
        } else {
            None
        }
    }

    /// Whether pairs2shards will hold out this pair.
    pub(crate) fn holds_out(&self, pair: &Pair) -> bool {
        self.holdout.zip(pair.group_or_positive_id()).is_some_and(|(split, group)| split.holds_out(group))
    }
}
