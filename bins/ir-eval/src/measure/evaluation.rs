//! How one system did, query by query.

use embtune_metrics::{Metric, mean};
use embtune_records::{Judgments, Run, RunEntry};

use super::Rules;

/// How one system did, query by query.
pub(crate) struct Evaluation {
    /// For each metric, the value of each measured query.
    pub(crate) values: Vec<Vec<f64>>,
    /// The hits of each measured query; `None` if the system did not answer it.
    pub(crate) hits: Vec<Option<QueryHits>>,
}

/// The hits of one query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct QueryHits {
    /// The ranks of the relevant documents, from 1, in ascending order.
    pub(crate) relevant_ranks: Vec<usize>,
    /// The highest-ranked relevant document.
    pub(crate) best_relevant: Option<RankedDocument>,
    /// The highest-ranked document that is not relevant.
    pub(crate) best_irrelevant: Option<RankedDocument>,
}

/// A document with its rank, from 1, and its score.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RankedDocument {
    pub(crate) id: String,
    pub(crate) rank: usize,
    pub(crate) score: f64,
}

impl Evaluation {
    /// Measures every query of the judgments. The value of a query that the run does not answer is 0.
    pub(crate) fn new(judgments: &Judgments, run: &Run, metrics: &[Metric], rules: Rules) -> Self {
        let mut values = vec![Vec::with_capacity(judgments.queries().len()); metrics.len()];
        let mut hits = Vec::with_capacity(judgments.queries().len());
        for query in judgments.queries() {
            let ranking = run.queries.get(&query.id);
            let documents = ranking.map(Vec::as_slice).unwrap_or_default();
            let mut ranked = judgments.relevances(&query.id, documents.iter().map(|entry| &*entry.document));
            let mut ideal = query.ideal.clone();
            if rules.binary {
                ranked.iter_mut().flatten().chain(&mut ideal).for_each(|relevance| *relevance = (*relevance).min(1));
            }
            for (metric, values) in metrics.iter().zip(&mut values) {
                values.push(metric.value(&ranked, &ideal));
            }
            hits.push(ranking.map(|documents| QueryHits::new(documents, &ranked)));
        }
        Self { values, hits }
    }

    /// The mean over the queries of the metric with this index.
    pub(crate) fn mean(&self, metric: usize) -> f64 {
        mean(&self.values[metric])
    }

    /// How many measured queries the system did not answer.
    pub(crate) fn missing(&self) -> usize {
        self.hits.iter().filter(|hits| hits.is_none()).count()
    }

    /// Keeps the queries for which `kept` is true.
    pub(crate) fn retain(&mut self, kept: &[bool]) {
        let mut keep = kept.iter();
        self.hits.retain(|_| *keep.next().unwrap_or(&true));
        for values in &mut self.values {
            let mut keep = kept.iter();
            values.retain(|_| *keep.next().unwrap_or(&true));
        }
    }
}

impl QueryHits {
    fn new(documents: &[RunEntry], ranked: &[Option<i64>]) -> Self {
        let is_relevant = |index: usize| ranked[index].is_some_and(|relevance| relevance > 0);
        let document = |index: usize| RankedDocument {
            id: documents[index].document.clone(),
            rank: index + 1,
            score: documents[index].score,
        };
        let indices = 0..documents.len();
        Self {
            relevant_ranks: indices.clone().filter(|index| is_relevant(*index)).map(|index| index + 1).collect(),
            best_relevant: indices.clone().find(|index| is_relevant(*index)).map(document),
            best_irrelevant: indices.clone().find(|index| !is_relevant(*index)).map(document),
        }
    }

    /// Whether a relevant document is among the first k.
    pub(crate) fn found(&self, k: usize) -> bool {
        self.relevant_ranks.first().is_some_and(|rank| *rank <= k)
    }

    /// Whether a document that is not relevant is ranked above every relevant one.
    pub(crate) fn starts_irrelevant(&self) -> bool {
        self.best_irrelevant.is_some() && !self.found(1)
    }
}
