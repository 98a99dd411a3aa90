//! The order of documents with equal scores.

use std::cmp::Ordering;

/// Which of two documents with equal scores is ranked first. Ids are compared byte by byte, as `strcmp` does.
///
/// The rule matters: without one, a system that gives every document the same score would be judged by the order of its
/// file. On real runs the rule shows in the fourth digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ties {
    /// The one with the greater id, as in trec_eval (form_res_rels.c).
    #[default]
    GreaterId,
    /// The one with the smaller id, as in sentence-transformers since version 6.
    SmallerId,
}

impl Ties {
    /// The order in which two documents are ranked: the higher score first. Scores must not be NaN.
    pub fn order(self, a: (f64, &str), b: (f64, &str)) -> Ordering {
        self.order_by(a.0, b.0, || (a.1, b.1))
    }

    /// The same when looking up ids costs something: `ids` is called only if the scores are equal.
    pub fn order_by<'a>(self, a: f64, b: f64, ids: impl FnOnce() -> (&'a str, &'a str)) -> Ordering {
        let by_score = b.partial_cmp(&a).unwrap_or(Ordering::Equal);
        by_score.then_with(|| match (self, ids()) {
            (Self::GreaterId, (a, b)) => b.cmp(a),
            (Self::SmallerId, (a, b)) => a.cmp(b),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_by_the_id() {
        let mut hits = [(0.5, "a"), (1.0, "b"), (0.5, "d10"), (0.5, "d9"), (-0.0, "x"), (0.0, "y")];
        hits.sort_by(|a, b| Ties::GreaterId.order(*a, *b));
        assert_eq!(hits.map(|hit| hit.1), ["b", "d9", "d10", "a", "y", "x"]);
        hits.sort_by(|a, b| Ties::SmallerId.order(*a, *b));
        assert_eq!(hits.map(|hit| hit.1), ["b", "a", "d10", "d9", "x", "y"]);
    }
}
