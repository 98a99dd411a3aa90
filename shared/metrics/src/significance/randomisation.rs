//! Fisher's randomisation test for paired differences.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Up to this many differences other than 0, all sign flips are enumerated: about a million.
const EXACT_UP_TO: usize = 20;

/// Sums closer than this share of their scale are equal.
///
/// Metrics take few values, so flipped sums often equal the observed one except for rounding. A bare `>=` would count
/// such ties at random (on Sakai's data it turns p = 0.066 into 0.050).
const TOLERANCE: f64 = 1e-9;

/// The outcome of [`randomisation_test`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Randomisation {
    /// Two-sided p-value.
    pub p: f64,
    /// Whether all sign flips were enumerated, so that p is not an estimate.
    pub exact: bool,
}

/// Tests whether the mean difference is larger than if the two systems had swapped their results at random.
///
/// If the systems were equal, each difference could just as well have the other sign. p is the share of all sign flips
/// whose sum is at least as large, in absolute value, as the observed one. Up to 20 differences other than 0, all flips
/// are enumerated; otherwise `samples` flips are drawn from `seed`, and `p = (c + 1) / (samples + 1)`, where c of them
/// reach the observed sum, so that p is never 0 (Fisher 1935, "The Design of Experiments"; Smucker, Allan and
/// Carterette 2007, CIKM; Phipson and Smyth 2010 for the + 1).
pub fn randomisation_test(differences: &[f64], samples: usize, seed: u64) -> Randomisation {
    // A difference of 0 is the same with either sign.
    let differences: Vec<f64> = differences.iter().copied().filter(|difference| *difference != 0.0).collect();
    let scale: f64 = differences.iter().map(|difference| difference.abs()).sum();
    let observed = differences.iter().sum::<f64>().abs() - TOLERANCE * scale;
    if differences.len() <= EXACT_UP_TO {
        let flips = 1_u64 << differences.len();
        return Randomisation { p: count_all(&differences, 0.0, observed) as f64 / flips as f64, exact: true };
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let reached = (0..samples).filter(|_| flipped_sum(&differences, &mut rng).abs() >= observed).count();
    Randomisation { p: (reached + 1) as f64 / (samples + 1) as f64, exact: false }
}

/// How many of all sign flips of `differences` bring `sum` to `observed` or beyond.
fn count_all(differences: &[f64], sum: f64, observed: f64) -> u64 {
    match differences.split_first() {
        None => u64::from(sum.abs() >= observed),
        Some((first, rest)) => count_all(rest, sum + first, observed) + count_all(rest, sum - first, observed),
    }
}

fn flipped_sum(differences: &[f64], rng: &mut ChaCha8Rng) -> f64 {
    let mut sum = 0.0;
    for chunk in differences.chunks(64) {
        let mut signs = rng.next_u64();
        for difference in chunk {
            // The lowest bit becomes the sign: a branch would be mispredicted half of the time.
            sum += f64::from_bits(difference.to_bits() ^ (signs << 63));
            signs >>= 1;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_differences_are_enumerated() {
        assert_eq!(randomisation_test(&[], 10, 0), Randomisation { p: 1.0, exact: true });
        assert_eq!(randomisation_test(&[0.0; 30], 10, 0), Randomisation { p: 1.0, exact: true });
        // Only + + + and - - - reach the observed sum.
        assert_eq!(randomisation_test(&[0.1, 0.2, 0.3, 0.0], 10, 0), Randomisation { p: 0.25, exact: true });
    }

    #[test]
    fn sampling_agrees_with_enumeration_and_never_says_zero() {
        let mut differences: Vec<f64> = (0..20).map(|n| f64::from(n * 7 % 11) / 10.0 - 0.35).collect();
        let exact = randomisation_test(&differences, 0, 0);
        assert!(exact.exact);
        // A difference too small to matter makes it one too many to enumerate.
        differences.push(1e-14);
        let sampled = randomisation_test(&differences, 100_000, 1);
        assert!(!sampled.exact);
        // Four standard errors of a share that is estimated from 100,000 draws.
        assert!((exact.p - sampled.p).abs() < 4.0 * (0.25_f64 / 100_000.0).sqrt(), "{exact:?} {sampled:?}");
        assert_eq!(sampled, randomisation_test(&differences, 100_000, 1));
        assert_eq!(randomisation_test(&[1.0; 50], 99, 7).p, 0.01);
    }
}
