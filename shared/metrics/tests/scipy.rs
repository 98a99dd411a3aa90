//! The significance tests against scipy's figures, among them those of Sakai's book.

use std::collections::BTreeMap;

use embtune_metrics::{bootstrap_interval, effect_size, paired_t_test, randomisation_test, wilcoxon_test};

struct Expected {
    differences: Vec<f64>,
    figures: BTreeMap<&'static str, f64>,
}

fn expected() -> BTreeMap<&'static str, Expected> {
    let mut sets = BTreeMap::new();
    for line in include_str!("scipy/expected.tsv").lines() {
        let [set, figure, value] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        if figure == "differences" {
            let differences = value.split(' ').map(|number| number.parse().unwrap()).collect();
            sets.insert(set, Expected { differences, figures: BTreeMap::new() });
        } else {
            sets.get_mut(set).unwrap().figures.insert(figure, value.parse().unwrap());
        }
    }
    assert_eq!(sets.len(), 4);
    sets
}

fn assert_near(set: &str, figure: &str, ours: f64, scipys: f64, tolerance: f64) {
    assert!((ours - scipys).abs() <= tolerance, "{set} {figure}: {ours}, scipy says {scipys}");
}

#[test]
fn t_tests_equal_scipy() {
    for (set, Expected { differences, figures }) in expected() {
        let test = paired_t_test(&differences).unwrap();
        assert_near(set, "t", test.t, figures["t"], 1e-12);
        // Two implementations of the incomplete beta function.
        assert_near(set, "p", test.p, figures["t_p"], 1e-9);
    }
}

#[test]
fn sakai_book_prints_these_figures() {
    let test = paired_t_test(&expected()["sakai"].differences).unwrap();
    assert_eq!(format!("{:.3} {:.3}", test.t, test.p), "2.116 0.048");
    assert_eq!(test.degrees_of_freedom, 19);
    assert_eq!(format!("{:.3}", effect_size(&expected()["sakai"].differences).unwrap()), "0.473");
}

#[test]
fn wilcoxon_tests_and_effect_sizes_equal_scipy() {
    for (set, Expected { differences, figures }) in expected() {
        let test = wilcoxon_test(&differences);
        assert_eq!(test.exact, set == "sakai" || set == "small");
        assert_near(set, "w", test.w, figures["wilcoxon_w"], 0.0);
        assert_near(set, "p", test.p, figures["wilcoxon_p"], 1e-9);
        assert_near(set, "effect size", effect_size(&differences).unwrap(), figures["effect_size"], 1e-12);
    }
}

#[test]
fn randomisation_tests_equal_scipy() {
    for (set, Expected { differences, figures }) in expected() {
        let test = randomisation_test(&differences, 100_000, 42);
        assert_eq!(test.exact, set == "sakai" || set == "small");
        // The sampled p-values have a standard error of 0.0013 (ours) and 0.0009 (scipy's).
        let tolerance = if test.exact { 1e-12 } else { 0.006 };
        assert_near(set, "randomisation p", test.p, figures["randomisation_p"], tolerance);
    }
}

#[test]
fn bootstrap_intervals_equal_scipy() {
    for (set, Expected { differences, figures }) in expected() {
        let interval = bootstrap_interval(&differences, 0.95, 100_000, 42).unwrap();
        // Quantiles of a discrete mean move in steps; a step of these sets is at most 1/60.
        let tolerance = if set == "small" { 1.0 / 60.0 + 1e-12 } else { 0.0025 };
        assert_near(set, "low", interval.low, figures["ci_low"], tolerance);
        assert_near(set, "high", interval.high, figures["ci_high"], tolerance);
    }
}
