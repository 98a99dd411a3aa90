//! Small cases worked by hand, or verified with trec_eval 9 and 10.

use embtune_metrics::{Metric, mean};

fn value(metric: &str, ranked: &[Option<i64>], ideal: &[i64]) -> f64 {
    metric.parse::<Metric>().unwrap().value(ranked, ideal)
}

fn four_digits(value: f64) -> String {
    format!("{value:.4}")
}

/// Qrels `q1 a1 b0 c2; q2 x0; q3 a1`, run `q1 a 1.0, q1 b 1.0, q2 x 0.5, q4 z 0.5`, with `trec_eval -c`: b is ranked
/// before a (equal scores, greater id first), q2 has no relevant document, q3 was not run, q4 is not judged.
#[test]
fn ties_missing_queries_and_queries_without_relevant_documents() {
    let q1: (&[Option<i64>], &[i64]) = (&[Some(0), Some(1)], &[2, 1, 0]);
    let q2: (&[Option<i64>], &[i64]) = (&[Some(0)], &[0]);
    let q3: (&[Option<i64>], &[i64]) = (&[], &[1]);
    for (metric, of_q1, of_all) in
        [("map", "0.2500", "0.0833"), ("mrr", "0.5000", "0.1667"), ("ndcg@10", "0.2398", "0.0799")]
    {
        let values = [q1, q2, q3].map(|(ranked, ideal)| value(metric, ranked, ideal));
        assert_eq!((four_digits(values[0]), four_digits(mean(&values))), (of_q1.into(), of_all.into()), "{metric}");
    }
    assert_eq!(value("recall@10", q1.0, q1.1), 0.5);
}

/// Qrels `a1 b1`, run x, a, b.
#[test]
fn two_of_three() {
    assert_eq!(four_digits(value("map@10", &[None, Some(1), Some(1)], &[1, 1])), "0.5833");
    assert_eq!(value("precision@3", &[None, Some(1), Some(1)], &[1, 1]), 2.0 / 3.0);
}

/// The three values that pytrec_eval's own tests pin for NDCG: second of one with rank 2's discount, perfect, half.
#[test]
fn discounts() {
    assert!((value("ndcg@10", &[None, Some(1)], &[1]) - 0.630_929_753_571_457_5).abs() < 1e-15);
    assert_eq!(value("ndcg@10", &[Some(1), None], &[1]), 1.0);
    assert_eq!(value("ndcg@10", &[None, None, Some(1)], &[1]), 0.5);
}

/// One relevant document among 20 with equal scores: its place by the tie rule decides, and a cutoff does not soften
/// it.
#[test]
fn a_constant_scorer_is_judged_by_the_tie_rule() {
    let mut ranked = [None; 20];
    ranked[19] = Some(1);
    assert_eq!(value("accuracy@19", &ranked, &[1]), 0.0);
    assert_eq!(value("accuracy@20", &ranked, &[1]), 1.0);
    assert_eq!(value("mrr@20", &ranked, &[1]), 0.05);
}
