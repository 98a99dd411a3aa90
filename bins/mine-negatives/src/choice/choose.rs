//! From candidates to negatives.

use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use crate::choice::look::Candidate;
use crate::cli::Sampling;

/// How negatives are chosen from candidates.
pub(crate) struct Chooser {
    pub(crate) wanted: usize,
    pub(crate) sampling: Sampling,
    pub(crate) rng: ChaCha8Rng,
}

impl Chooser {
    /// The negatives, the hardest first, as the candidates are.
    pub(crate) fn choose(&mut self, left: Vec<Candidate>) -> Vec<Candidate> {
        match self.sampling {
            Sampling::Top => left.into_iter().take(self.wanted).collect(),
            Sampling::Random => {
                let mut places = index::sample(&mut self.rng, left.len(), self.wanted.min(left.len())).into_vec();
                places.sort_unstable();
                places.into_iter().map(|place| left[place]).collect()
            }
        }
    }
}
