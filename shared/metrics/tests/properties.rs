//! Properties of every ranking and every list of differences.

use std::num::NonZeroUsize;

use embtune_metrics::{Kind, Metric, Tally, paired_t_test, randomisation_test, wilcoxon_test};
use proptest::prelude::*;

fn metrics(k: usize) -> impl Iterator<Item = Metric> {
    let k = NonZeroUsize::new(k).expect("k is at least 1");
    Kind::ALL.into_iter().map(move |kind| Metric { kind, k: kind.has_cutoff().then_some(k) })
}

fn descending(mut relevances: Vec<i64>) -> Vec<i64> {
    relevances.sort_unstable_by(|a, b| b.cmp(a));
    relevances
}

/// A ranking and the ideal order of its judgments, some of which were not retrieved.
fn ranking() -> impl Strategy<Value = (Vec<Option<i64>>, Vec<i64>)> {
    let ranked = prop::collection::vec(prop::option::of(-1..4_i64), 0..30);
    (ranked, prop::collection::vec(-1..4_i64, 0..30)).prop_map(|(ranked, others)| {
        let ideal = descending(ranked.iter().flatten().copied().chain(others).collect());
        (ranked, ideal)
    })
}

fn differences() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((-10..=10_i32).prop_map(|n| f64::from(n) / 10.0), 2..40)
}

proptest! {
    #[test]
    fn values_are_shares((ranked, ideal) in ranking(), k in 1..40_usize) {
        for metric in metrics(k) {
            let value = metric.value(&ranked, &ideal);
            prop_assert!((0.0..=1.0 + 1e-12).contains(&value), "{metric} = {value}");
        }
    }

    #[test]
    fn the_ideal_order_is_perfect(ideal in prop::collection::vec(0..4_i64, 1..30).prop_map(descending), k in 1..40_usize) {
        let relevant = ideal.iter().filter(|relevance| **relevance > 0).count();
        prop_assume!(relevant > 0);
        let ranked: Vec<Option<i64>> = ideal.iter().copied().map(Some).collect();
        for metric in metrics(k) {
            let best = match metric.kind {
                // Not all relevant documents may fit into k, or there are fewer than k.
                Kind::Recall | Kind::Map => relevant.min(k) as f64 / relevant as f64,
                Kind::Precision => relevant.min(k) as f64 / k as f64,
                Kind::F1 => 2.0 * relevant.min(k) as f64 / (k + relevant) as f64,
                // The sum of the weights of the ranks that are read.
                Kind::Rbp => 1.0 - 0.8_f64.powi(relevant.min(k) as i32),
                // Even the best ranking leaves some readers unsatisfied.
                Kind::Err => continue,
                _ => 1.0,
            };
            prop_assert!((metric.value(&ranked, &ideal) - best).abs() < 1e-12, "{metric}");
        }
    }

    #[test]
    fn documents_below_k_do_not_matter((ranked, ideal) in ranking(), k in 1..30_usize) {
        let mut other = ranked.clone();
        if let Some(below) = other.get_mut(k..) {
            below.reverse();
        }
        for metric in metrics(k).filter(|metric| metric.k.is_some()) {
            prop_assert_eq!(metric.value(&ranked, &ideal), metric.value(&other, &ideal));
        }
    }

    #[test]
    fn swapping_the_systems_swaps_the_signs_only(differences in differences(), seed: u64) {
        let swapped: Vec<f64> = differences.iter().map(|difference| -difference).collect();
        let (a, b) = (paired_t_test(&differences).unwrap(), paired_t_test(&swapped).unwrap());
        prop_assert_eq!((a.t, a.p), (-b.t, b.p));
        prop_assert!((0.0..=1.0).contains(&a.p));
        let (a, b) = (randomisation_test(&differences, 200, seed), randomisation_test(&swapped, 200, seed));
        prop_assert_eq!(a, b);
        prop_assert!(a.p > 0.0 && a.p <= 1.0);
        let (a, b) = (wilcoxon_test(&differences), wilcoxon_test(&swapped));
        prop_assert_eq!(a, b);
        prop_assert!(a.p > 0.0 && a.p <= 1.0);
        let (a, b) = (Tally::of(&differences), Tally::of(&swapped));
        prop_assert_eq!((a.wins, a.ties, a.losses), (b.losses, b.ties, b.wins));
    }

    #[test]
    fn the_order_of_queries_does_not_matter_to_exact_tests(differences in differences().prop_map(|mut d| { d.truncate(12); d })) {
        let mut reversed = differences.clone();
        reversed.reverse();
        prop_assert_eq!(randomisation_test(&differences, 0, 0), randomisation_test(&reversed, 0, 0));
    }
}
