//! What the hits of one system tell.

use embtune_metrics::mean;
use embtune_records::JudgedQuery;

use crate::measure::Hits;

/// Intrusions that are shown.
const EXAMPLES: usize = 5;

/// What the hits of one system tell.
pub(crate) struct Findings {
    /// Queries with a relevant document, of which all the rest speaks.
    pub(crate) queries: usize,
    /// The mean share of a query's relevant documents that stands among the first k.
    pub(crate) context_recall: f64,
    /// Queries without a relevant document among the first k.
    pub(crate) all_irrelevant: usize,
    /// Queries with a document that is not relevant above every relevant one.
    pub(crate) intruded: usize,
    /// Of those, the ones with the largest differences of scores.
    pub(crate) examples: Vec<Intrusion>,
    /// None when no query has found documents of both kinds.
    pub(crate) margins: Option<Margins>,
}

/// A query with a document that is not relevant above the first relevant one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Intrusion {
    /// Index of the query.
    pub(crate) query: usize,
    /// How much more the document scores.
    pub(crate) excess: f64,
}

/// How much more the best relevant document of a query scores than the best one that is not relevant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Margins {
    /// Of each query with both, rising.
    pub(crate) sorted: Vec<f64>,
}

impl Margins {
    /// A quantile, interpolated linearly.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let position = share * (self.sorted.len() - 1) as f64;
        let (below, above) = (self.sorted[position.floor() as usize], self.sorted[position.ceil() as usize]);
        below + (above - below) * position.fract()
    }

    /// Queries whose best relevant document scores more.
    pub(crate) fn positive(&self) -> usize {
        self.sorted.iter().filter(|margin| **margin > 0.0).count()
    }
}

impl Findings {
    pub(super) fn new(queries: &[JudgedQuery], hits: &[Option<Hits>], k: usize) -> Self {
        let judged: Vec<(usize, &JudgedQuery, Option<&Hits>)> = queries
            .iter()
            .zip(hits)
            .enumerate()
            .filter(|(_, (query, _))| query.has_relevant())
            .map(|(index, (query, hits))| (index, query, hits.as_ref()))
            .collect();
        let recall = |(_, query, hits): &(usize, &JudgedQuery, Option<&Hits>)| {
            let relevant = query.ideal.iter().filter(|relevance| **relevance > 0).count();
            let found = hits.map_or(0, |hits| hits.ranks.iter().filter(|rank| **rank <= k).count());
            found as f64 / relevant as f64
        };
        let found = judged.iter().filter(|(_, _, hits)| hits.is_some_and(|hits| hits.found(k))).count();
        // The excess of the best document that is not relevant, where both kinds were found.
        let mut excesses: Vec<Intrusion> = Vec::new();
        for (query, _, hits) in &judged {
            if let Some(Hits { relevant: Some(relevant), other: Some(other), .. }) = hits {
                excesses.push(Intrusion { query: *query, excess: other.score - relevant.score });
            }
        }
        let intrudes = |hits: &Hits| hits.other.is_some() && !hits.found(1);
        let intruded = judged.iter().filter(|(_, _, hits)| hits.is_some_and(intrudes)).count();
        let mut sorted: Vec<f64> = excesses.iter().map(|intrusion| -intrusion.excess).collect();
        sorted.sort_by(f64::total_cmp);
        excesses.retain(|intrusion| hits[intrusion.query].as_ref().is_some_and(intrudes));
        excesses.sort_by(|a, b| b.excess.total_cmp(&a.excess));
        excesses.truncate(EXAMPLES);
        Self {
            queries: judged.len(),
            context_recall: mean(&judged.iter().map(recall).collect::<Vec<f64>>()),
            all_irrelevant: judged.len() - found,
            intruded,
            examples: excesses,
            margins: (!sorted.is_empty()).then_some(Margins { sorted }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Placed;

    fn hits(relevant: Option<(usize, f64)>, other: Option<(usize, f64)>) -> Option<Hits> {
        let placed = |(rank, score)| Placed { document: format!("d{rank}"), rank, score };
        Some(Hits {
            ranks: relevant.iter().map(|(rank, _)| *rank).collect(),
            relevant: relevant.map(placed),
            other: other.map(placed),
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
        let findings = Findings::new(&queries, &hits, 2);
        assert_eq!((findings.queries, findings.context_recall), (4, 0.25));
        assert_eq!((findings.all_irrelevant, findings.intruded), (3, 2));
        assert_eq!(findings.examples.iter().map(|intrusion| intrusion.query).collect::<Vec<_>>(), [1]);
        let margins = findings.margins.unwrap();
        assert_eq!((margins.positive(), margins.sorted.len()), (1, 2));
        assert!((margins.quantile(0.5) - 0.1).abs() < 1e-12);
        assert_eq!(Findings::new(&queries, &hits, 3).context_recall, 0.375);
    }
}
