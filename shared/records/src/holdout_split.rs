//! The split of documents into training and evaluation.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A held-out share of the documents.
///
/// The hash of a document's group decides, so the split does not depend on the order of the input, all parts of a
/// document are on one side, and every program that knows share and seed makes the same split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HoldoutSplit {
    /// Share of the documents that is held out, from 0 to less than 1.
    pub share: f64,
    /// Different seeds give different splits.
    pub seed: u64,
}

impl HoldoutSplit {
    /// Whether the documents of this group are held out; the group of a document without one is its id.
    pub fn holds_out(&self, group: &str) -> bool {
        let hash = xxh3_64_with_seed(group.as_bytes(), self.seed);
        // The upper 53 bits as a number from 0 to 1.
        ((hash >> 11) as f64 / (1_u64 << 53) as f64) < self.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_held_out_whatever_the_seed() {
        let held_out =
            |share, seed| (0..10_000).filter(|n| HoldoutSplit { share, seed }.holds_out(&format!("d{n}"))).count();
        assert_eq!(held_out(0.0, 1), 0);
        for seed in 0..5 {
            assert!((900..1100).contains(&held_out(0.1, seed)), "{}", held_out(0.1, seed));
        }
        let split =
            |seed| (0..100).map(|n| HoldoutSplit { share: 0.5, seed }.holds_out(&n.to_string())).collect::<Vec<_>>();
        assert!(split(1) == split(1) && split(1) != split(2));
    }
}
