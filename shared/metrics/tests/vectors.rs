//! Small cases worked by hand, or verified with trec_eval 9 and 10.

use embtune_metrics::{Gain, accuracy, average_precision, mean, ndcg, precision, recall, reciprocal_rank};

const LINEAR: Gain = Gain::Linear;

/// A metric of a ranking and its ideal.
type Value = dyn Fn(&[Option<i64>], &[i64]) -> f64;

fn assert_digits(value: f64, expected: &str) {
    assert_eq!(format!("{value:.4}"), expected);
}

/// Qrels `q1 a1 b0 c2; q2 x0; q3 a1`, run `q1 a 1.0, q1 b 1.0, q2 x 0.5, q4 z 0.5`, with `trec_eval -c`: b stands before a
/// (equal scores, greater id first), q2 has no relevant document, q3 was not run, q4 is not judged.
#[test]
fn ties_missing_queries_and_queries_without_relevant_documents() {
    let q1: (&[Option<i64>], &[i64]) = (&[Some(0), Some(1)], &[2, 1, 0]);
    let q2: (&[Option<i64>], &[i64]) = (&[Some(0)], &[0]);
    let q3: (&[Option<i64>], &[i64]) = (&[], &[1]);
    let over = |metric: &Value| [q1, q2, q3].map(|(ranked, ideal)| metric(ranked, ideal));

    let map = over(&|ranked, ideal| average_precision(ranked, ideal, 1000));
    let rr = over(&|ranked, _| reciprocal_rank(ranked, 1000));
    let gain = over(&|ranked, ideal| ndcg(ranked, ideal, 10, LINEAR));
    let found = over(&|ranked, ideal| recall(ranked, ideal, 10));
    assert_digits(map[0], "0.2500");
    assert_digits(rr[0], "0.5000");
    assert_digits(gain[0], "0.2398");
    assert_digits(found[0], "0.5000");
    assert_digits(mean(&map), "0.0833");
    assert_digits(mean(&rr), "0.1667");
    assert_digits(mean(&gain), "0.0799");
}

/// Qrels `a1 b1`, run x, a, b.
#[test]
fn two_of_three() {
    assert_digits(average_precision(&[None, Some(1), Some(1)], &[1, 1], 10), "0.5833");
    assert_eq!(precision(&[None, Some(1), Some(1)], 3), 2.0 / 3.0);
}

/// The three values that pytrec_eval's own tests pin for NDCG: second of one with rank 2's discount, perfect, half.
#[test]
fn discounts() {
    assert!((ndcg(&[None, Some(1)], &[1], 10, LINEAR) - 0.630_929_753_571_457_5).abs() < 1e-15);
    assert_eq!(ndcg(&[Some(1), None], &[1], 10, LINEAR), 1.0);
    assert_eq!(ndcg(&[None, None, Some(1)], &[1], 10, LINEAR), 0.5);
}

/// One relevant document among 20 of equal score: what the tie rule puts first decides; the cutoff does not soften it.
#[test]
fn a_constant_scorer_is_judged_by_the_tie_rule() {
    let mut ranked = [None; 20];
    ranked[19] = Some(1);
    assert_eq!(accuracy(&ranked, 19), 0.0);
    assert_eq!(accuracy(&ranked, 20), 1.0);
    assert_eq!(reciprocal_rank(&ranked, 20), 0.05);
}
