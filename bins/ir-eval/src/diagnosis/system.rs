//! The diagnosis of one system, from its hits.

use embtune_metrics::mean;
use embtune_records::JudgedQuery;

use crate::measure::{QueryHits, RankedDocument};

/// How many false positives are shown.
const MAX_EXAMPLES: usize = 5;

/// The quantiles of the score margins that are shown.
pub(crate) const MARGIN_QUANTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// The diagnosis of one system, from its hits.
pub(crate) struct SystemDiagnosis {
    /// How many queries have a relevant document. Only these are counted below.
    pub(crate) queries: usize,
    /// The mean share of a query's relevant documents that is among the first k.
    pub(crate) context_recall: f64,
    /// Queries without a relevant document among the first k.
    pub(crate) none_relevant: usize,
    /// Queries with an irrelevant document above every relevant one.
    pub(crate) starting_irrelevant: usize,
    /// Those of them with the largest differences of scores.
    pub(crate) false_positives: Vec<BestDocuments>,
    /// Absent if no query has found both relevant and irrelevant documents.
    pub(crate) margins: Option<ScoreMargins>,
}

/// The best irrelevant and the best relevant document of a query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BestDocuments {
    /// The index of the query.
    pub(crate) query: usize,
    pub(crate) irrelevant: RankedDocument,
    pub(crate) relevant: RankedDocument,
}

impl BestDocuments {
    /// How much higher the irrelevant document scores.
    pub(crate) fn excess(&self) -> f64 {
        self.irrelevant.score - self.relevant.score
    }
}

/// How much higher a query's best relevant document scores than its best irrelevant one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScoreMargins {
    /// Of each query that has found both, in ascending order.
    pub(crate) sorted: Vec<f64>,
}

impl ScoreMargins {
    /// A quantile, interpolated linearly.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let position = share * (self.sorted.len() - 1) as f64;
        let (below, above) = (self.sorted[position.floor() as usize], self.sorted[position.ceil() as usize]);
        below + (above - below) * position.fract()
    }

    /// How many queries have a margin above 0.
    pub(crate) fn positive(&self) -> usize {
        self.sorted.iter().filter(|margin| **margin > 0.0).count()
    }
}

impl SystemDiagnosis {
    pub(super) fn new(queries: &[JudgedQuery], hits: &[Option<QueryHits>], k: usize) -> Self {
        let counted: Vec<(usize, &JudgedQuery, Option<&QueryHits>)> = queries
            .iter()
            .zip(hits)
            .enumerate()
            .filter(|(_, (query, _))| query.has_relevant())
            .map(|(index, (query, hits))| (index, query, hits.as_ref()))
            .collect();
        let recall = |(_, query, hits): &(usize, &JudgedQuery, Option<&QueryHits>)| {
            let found = hits.map_or(0, |hits| hits.relevant_ranks.iter().filter(|rank| **rank <= k).count());
            found as f64 / query.relevant() as f64
        };
        let found = counted.iter().filter(|(_, _, hits)| hits.is_some_and(|hits| hits.found(k))).count();
        let starting_irrelevant =
            counted.iter().filter(|(_, _, hits)| hits.is_some_and(QueryHits::starts_irrelevant)).count();
        let best_documents = |(query, _, hits): &(usize, &JudgedQuery, Option<&QueryHits>)| {
            let QueryHits { best_relevant, best_irrelevant, .. } = (*hits)?;
            Some(BestDocuments {
                query: *query,
                irrelevant: best_irrelevant.clone()?,
                relevant: best_relevant.clone()?,
            })
        };
        let mut best: Vec<BestDocuments> = counted.iter().filter_map(best_documents).collect();
        let mut margins: Vec<f64> = best.iter().map(|best| -best.excess()).collect();
        margins.sort_by(f64::total_cmp);
        best.retain(|best| best.irrelevant.rank < best.relevant.rank);
        let mut false_positives = best;
        false_positives.sort_by(|a, b| b.excess().total_cmp(&a.excess()));
        false_positives.truncate(MAX_EXAMPLES);
        Self {
            queries: counted.len(),
            context_recall: mean(&counted.iter().map(recall).collect::<Vec<f64>>()),
            none_relevant: counted.len() - found,
            starting_irrelevant,
            false_positives,
            margins: (!margins.is_empty()).then_some(ScoreMargins { sorted: margins }),
        }
    }

    /// A number of queries in per cent of those that count.
    pub(crate) fn percent(&self, queries: usize) -> f64 {
        100.0 * queries as f64 / self.queries.max(1) as f64
    }

    /// Whether what is built on the retrieval has enough to work with.
    pub(crate) fn has_enough_context(&self) -> bool {
        self.context_recall >= super::CONTEXT_RECALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(relevant: Option<(usize, f64)>, irrelevant: Option<(usize, f64)>) -> Option<QueryHits> {
        let document = |(rank, score)| RankedDocument { id: format!("d{rank}"), rank, score };
        Some(QueryHits {
            relevant_ranks: relevant.iter().map(|(rank, _)| *rank).collect(),
            best_relevant: relevant.map(document),
            best_irrelevant: irrelevant.map(document),
        })
    }

    #[test]
    fn misses_and_margins_are_counted() {
        let query = |ideal: &[i64]| JudgedQuery { id: "q".into(), ideal: ideal.into() };
        let queries = [query(&[1]), query(&[1, 1]), query(&[1]), query(&[1]), query(&[0])];
        let hits = [
            hits(Some((1, 0.9)), Some((2, 0.5))),
            hits(Some((3, 0.4)), Some((1, 0.6))),
            hits(None, Some((1, 0.7))),
            None,
            hits(None, Some((1, 0.9))),
        ];
        let diagnosis = SystemDiagnosis::new(&queries, &hits, 2);
        assert_eq!((diagnosis.queries, diagnosis.context_recall), (4, 0.25));
        assert_eq!((diagnosis.none_relevant, diagnosis.starting_irrelevant), (3, 2));
        let examples = diagnosis.false_positives.iter().map(|example| example.query);
        assert_eq!(examples.collect::<Vec<_>>(), [1]);
        let margins = diagnosis.margins.unwrap();
        assert_eq!((margins.positive(), margins.sorted.len()), (1, 2));
        assert!((margins.quantile(0.5) - 0.1).abs() < 1e-12);
        assert_eq!(SystemDiagnosis::new(&queries, &hits, 3).context_recall, 0.375);
    }
}
