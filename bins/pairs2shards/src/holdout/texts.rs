//! Held-out texts, and which of them training pairs have as well.

use embtune_text::NearDuplicates;
use indexmap::IndexMap;

use crate::features::Fingerprint;

/// How similar a held-out text is to the most similar training text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Nearness {
    Different,
    Near,
    Same,
}

impl Nearness {
    /// Why a text is left out, if it is.
    pub(super) fn reason(self) -> Option<&'static str> {
        match self {
            Self::Different => None,
            Self::Near => Some("a training pair has nearly the same"),
            Self::Same => Some("a training pair has the same"),
        }
    }
}

/// Held-out texts of one kind, each once.
#[derive(Debug)]
pub(super) struct Texts {
    /// By hash.
    nearness: IndexMap<u64, Nearness>,
    near: NearDuplicates,
}

impl Texts {
    /// No texts yet; from `similarity` on, texts are near-duplicates.
    pub(super) fn new(similarity: f64) -> Self {
        Self { nearness: IndexMap::new(), near: NearDuplicates::new(similarity, usize::MAX) }
    }

    pub(super) fn add(&mut self, fingerprint: &Fingerprint) {
        if let (index, None) = self.nearness.insert_full(fingerprint.hash, Nearness::Different)
            && let Some(signature) = &fingerprint.signature
        {
            self.near.add(index as u64, signature);
        }
    }

    /// The indices of the held-out texts that a training text equals or is a near-duplicate of.
    pub(super) fn matches(&self, fingerprint: &Fingerprint) -> Vec<(usize, Nearness)> {
        let same = self.nearness.get_index_of(&fingerprint.hash).map(|index| (index, Nearness::Same));
        let near = fingerprint.signature.iter().flat_map(|signature| self.near.find_all(signature));
        same.into_iter().chain(near.map(|index| (index as usize, Nearness::Near))).collect()
    }

    /// Records what [`matches`](Self::matches) has found.
    pub(super) fn mark(&mut self, found: &[(usize, Nearness)]) {
        for (index, nearness) in found {
            self.nearness[*index] = self.nearness[*index].max(*nearness);
        }
    }

    /// How similar the text of this hash is to the training texts so far.
    pub(super) fn nearness(&self, hash: u64) -> Nearness {
        self.nearness.get(&hash).copied().unwrap_or(Nearness::Different)
    }
}
