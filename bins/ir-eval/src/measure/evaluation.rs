//! What one system reached, query by query.

use embtune_metrics::{Metric, mean};
use embtune_records::{Judgments, Run, RunEntry};

use super::Rules;

/// What one system reached.
pub(crate) struct Evaluation {
    /// For each metric, the value of each measured query.
    pub(crate) values: Vec<Vec<f64>>,
    /// What each measured query found; nothing where the system did not answer.
    pub(crate) hits: Vec<Option<Hits>>,
}

/// What a query found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hits {
    /// Ranks of the relevant documents, from 1, rising.
    pub(crate) ranks: Vec<usize>,
    /// The relevant document that stands highest.
    pub(crate) relevant: Option<Placed>,
    /// The document that stands highest of those that are not relevant.
    pub(crate) other: Option<Placed>,
}

/// A document with its rank, from 1, and its score.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placed {
    pub(crate) document: String,
    pub(crate) rank: usize,
    pub(crate) score: f64,
}

impl Evaluation {
    /// Measures every query of the judgments; one that the run does not answer has the value 0.
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
            hits.push(ranking.map(|documents| Hits::new(documents, &ranked)));
        }
        Self { values, hits }
    }

    /// The figure of the metric at this index: the mean over the queries.
    pub(crate) fn mean(&self, metric: usize) -> f64 {
        mean(&self.values[metric])
    }

    /// Measured queries that the system did not answer.
    pub(crate) fn missing(&self) -> usize {
        self.hits.iter().filter(|hits| hits.is_none()).count()
    }

    /// Keeps the queries of which `kept` says so.
    pub(crate) fn retain(&mut self, kept: &[bool]) {
        let mut keep = kept.iter();
        self.hits.retain(|_| *keep.next().unwrap_or(&true));
        for values in &mut self.values {
            let mut keep = kept.iter();
            values.retain(|_| *keep.next().unwrap_or(&true));
        }
    }
}

impl Hits {
    fn new(documents: &[RunEntry], ranked: &[Option<i64>]) -> Self {
        let is_relevant = |index: usize| ranked[index].is_some_and(|relevance| relevance > 0);
        let placed = |index: usize| Placed {
            document: documents[index].document.clone(),
            rank: index + 1,
            score: documents[index].score,
        };
        let indices = 0..documents.len();
        Self {
            ranks: indices.clone().filter(|index| is_relevant(*index)).map(|index| index + 1).collect(),
            relevant: indices.clone().find(|index| is_relevant(*index)).map(placed),
            other: indices.clone().find(|index| !is_relevant(*index)).map(placed),
        }
    }

    /// Whether a relevant document is among the first k.
    pub(crate) fn found(&self, k: usize) -> bool {
        self.ranks.first().is_some_and(|rank| *rank <= k)
    }
}
