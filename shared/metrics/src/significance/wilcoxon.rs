//! Wilcoxon's signed-rank test for paired differences.

use statrs::distribution::{ContinuousCDF as _, Normal};

use super::EPSILON;

/// Up to this many differences other than 0, the exact distribution is computed.
const EXACT_UP_TO: usize = 50;

/// The outcome of [`wilcoxon_test`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wilcoxon {
    /// The smaller of the two sums of ranks, of the positive and of the negative differences.
    pub w: f64,
    /// Two-sided p-value.
    pub p: f64,
    /// Whether p is exact, not an approximation.
    pub exact: bool,
}

/// Tests whether paired differences are symmetric around 0.
///
/// Differences of 0 are dropped; the others are ranked by their size, and equal ones share the mean of their ranks. Up
/// to 50 of them, p is exact, with ties: the share of all assignments of signs whose smaller sum of ranks is at most
/// the observed one. Otherwise it is that of a normal distribution with `mean = n (n + 1) / 4` and
/// `variance = n (n + 1) (2n + 1) / 24 - sum (t³ - t) / 48` over groups of t equal sizes (Wilcoxon 1945, Biometrics Bulletin 1(6);
/// scipy.stats.wilcoxon with zero_method "wilcox" and without continuity correction).
pub fn wilcoxon_test(differences: &[f64]) -> Wilcoxon {
    let mut sizes: Vec<f64> = differences.iter().copied().filter(|difference| difference.abs() > EPSILON).collect();
    sizes.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let groups: Vec<&[f64]> = sizes.chunk_by(|a, b| b.abs() - a.abs() <= EPSILON).collect();

    // Shared ranks are multiples of one half, so all ranks are doubled to stay whole.
    let (mut ranks, mut positive) = (Vec::with_capacity(sizes.len()), 0_usize);
    for group in &groups {
        let twice = 2 * ranks.len() + group.len() + 1;
        positive += twice * group.iter().filter(|difference| **difference > 0.0).count();
        ranks.extend(std::iter::repeat_n(twice, group.len()));
    }
    let total: usize = ranks.iter().sum();
    let smaller = positive.min(total - positive);
    let exact = ranks.len() <= EXACT_UP_TO;
    let p = if exact { exact_p(&ranks, smaller) } else { approximate_p(&groups, smaller as f64 / 2.0) };
    Wilcoxon { w: smaller as f64 / 2.0, p: p.min(1.0), exact }
}

/// Twice the share of all subsets of `ranks` whose sum is at most `sum`.
fn exact_p(ranks: &[usize], sum: usize) -> f64 {
    // The probability of each sum if every rank is included with probability 1/2.
    let mut probabilities = vec![0.0; sum + 1];
    probabilities[0] = 1.0;
    for rank in ranks {
        for reached in (0..=sum).rev() {
            let without = if reached >= *rank { probabilities[reached - rank] } else { 0.0 };
            probabilities[reached] = (probabilities[reached] + without) / 2.0;
        }
    }
    2.0 * probabilities.iter().sum::<f64>()
}

fn approximate_p(groups: &[&[f64]], w: f64) -> f64 {
    let n = groups.iter().map(|group| group.len()).sum::<usize>() as f64;
    let ties: f64 = groups.iter().map(|group| (group.len() as f64).powi(3) - group.len() as f64).sum();
    let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0;
    2.0 * Normal::standard().cdf((w - n * (n + 1.0) / 4.0) / variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_proves_nothing() {
        for differences in [&[][..], &[0.0; 60]] {
            assert_eq!(wilcoxon_test(differences), Wilcoxon { w: 0.0, p: 1.0, exact: true });
        }
    }

    #[test]
    fn few_differences_are_exact_with_their_ties() {
        // One way of 2^5 to reach 0, twice.
        let all_positive = wilcoxon_test(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.0]);
        assert_eq!(all_positive, Wilcoxon { w: 0.0, p: 2.0 / 32.0, exact: true });
        // Ranks 1.5, 1.5, 3: of 8 signings, those with a sum of at most 1.5 are none, one, the other.
        let tied = wilcoxon_test(&[0.1 + 0.2, -0.3, 0.5]);
        assert_eq!(tied, Wilcoxon { w: 1.5, p: 2.0 * 3.0 / 8.0, exact: true });
    }
}
