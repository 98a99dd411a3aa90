//! Held-out texts, and which of them training pairs have too.

use embtune_text::NearDuplicates;
use indexmap::IndexMap;

use crate::print::Print;

/// How near a held-out text is to the nearest of the training pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Nearness {
    Unlike,
    Near,
    Same,
}

impl Nearness {
    /// Why a text of this kind is left out, if it is.
    pub(super) fn reason(self) -> Option<&'static str> {
        match self {
            Self::Unlike => None,
            Self::Near => Some("a training pair has nearly the same"),
            Self::Same => Some("a training pair has it too"),
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
    /// None yet; `similarity` is that from which on texts are near.
    pub(super) fn new(similarity: f64) -> Self {
        Self { nearness: IndexMap::new(), near: NearDuplicates::new(similarity, usize::MAX) }
    }

    pub(super) fn add(&mut self, print: &Print) {
        if let (place, None) = self.nearness.insert_full(print.hash, Nearness::Unlike)
            && let Some(signature) = &print.signature
        {
            self.near.add(place as u64, signature);
        }
    }

    /// The places of the texts that a training pair's is the same as, or near to.
    pub(super) fn like(&self, print: &Print) -> Vec<(usize, Nearness)> {
        let same = self.nearness.get_index_of(&print.hash).map(|place| (place, Nearness::Same));
        let near = print.signature.iter().flat_map(|signature| self.near.find_all(signature));
        same.into_iter().chain(near.map(|place| (place as usize, Nearness::Near))).collect()
    }

    /// Notes what `like` found.
    pub(super) fn mark(&mut self, found: &[(usize, Nearness)]) {
        for (place, nearness) in found {
            self.nearness[*place] = self.nearness[*place].max(*nearness);
        }
    }

    /// How near the text of this hash is to any that was marked.
    pub(super) fn nearness(&self, hash: u64) -> Nearness {
        self.nearness.get(&hash).copied().unwrap_or(Nearness::Unlike)
    }
}
