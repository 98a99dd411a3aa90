//! The order of documents of equal score.

use std::cmp::Ordering;

/// The order in which trec_eval ranks two documents: higher score first, and of equal scores the greater id first.
///
/// Ids are compared byte by byte, as `strcmp` does. The rule matters: a system that gives every document the same score
/// would otherwise be judged by the order of its file. Scores must not be NaN.
pub fn trec_order(a: (f64, &str), b: (f64, &str)) -> Ordering {
    let by_score = b.0.partial_cmp(&a.0).unwrap_or(Ordering::Equal);
    by_score.then_with(|| b.1.cmp(a.1))
}

#[cfg(test)]
mod tests {
    use super::trec_order;

    #[test]
    fn ties_go_to_the_greater_id() {
        let mut hits = [(0.5, "a"), (1.0, "b"), (0.5, "d10"), (0.5, "d9"), (-0.0, "x"), (0.0, "y")];
        hits.sort_by(|a, b| trec_order(*a, *b));
        assert_eq!(hits.map(|hit| hit.1), ["b", "d9", "d10", "a", "y", "x"]);
    }
}
