//! Statistics of paired differences, one number per query.

mod bootstrap;
mod randomisation;
mod t_test;
mod wilcoxon;

pub use bootstrap::{Interval, bootstrap_interval};
pub use randomisation::{Randomisation, randomisation_test};
pub use t_test::{TTest, effect_size, paired_t_test};
pub use wilcoxon::{Wilcoxon, wilcoxon_test};

/// Two values closer than this are the same value, computed in another order.
const EPSILON: f64 = 1e-9;

/// The arithmetic mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// On how many queries a system beats another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Queries with a difference above 0.
    pub wins: usize,
    /// Queries without a difference.
    pub ties: usize,
    /// Queries with a difference below 0.
    pub losses: usize,
}

impl Tally {
    /// Counts the signs of `differences`.
    pub fn of(differences: &[f64]) -> Self {
        let mut tally = Self::default();
        for difference in differences {
            match difference {
                d if *d > EPSILON => tally.wins += 1,
                d if *d < -EPSILON => tally.losses += 1,
                _ => tally.ties += 1,
            }
        }
        tally
    }
}

/// Corrects p-values for multiple testing, in the order given: the chance that any of them is a false alarm stays below
/// the level to which they are held.
///
/// The i-th smallest of m p-values (from 0) is multiplied by `m - i`, is never below the one before it, and is at most
/// 1 (Holm 1979, Scandinavian Journal of Statistics 6(2)). The tests may depend on each other in any way.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut corrected = vec![0.0; p_values.len()];
    let mut previous = 0.0_f64;
    for (number, index) in order.into_iter().enumerate() {
        previous = previous.max((p_values.len() - number) as f64 * p_values[index]).min(1.0);
        corrected[index] = previous;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_a_tie() {
        let tally = Tally::of(&[0.3 - 0.1 - 0.2, 0.5, -0.25, 1.0]);
        assert_eq!(tally, Tally { wins: 2, ties: 1, losses: 1 });
    }

    /// The values of R's `p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")`.
    #[test]
    fn corrected_p_values_equal_those_of_r() {
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (ours, expected) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((ours - expected).abs() < 1e-15, "{corrected:?}");
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
