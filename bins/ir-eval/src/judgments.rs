//! The judgments, ready to measure with.

use std::path::Path;

use anyhow::ensure;
use embtune_cli::Session;
use embtune_records::{Qrels, Run, RunEntry};

/// A query that is measured.
pub(crate) struct Query {
    pub(crate) id: String,
    /// Relevance of every judged document, highest first.
    pub(crate) ideal: Vec<i64>,
}

/// The judgments and which of their queries are measured.
pub(crate) struct Judgments {
    qrels: Qrels,
    /// The queries that have a relevant document, in the order of the file.
    pub(crate) queries: Vec<Query>,
}

impl Judgments {
    pub(crate) fn read(path: &Path, session: &Session) -> anyhow::Result<Self> {
        let input = session.input(path)?;
        let name = input.name.clone();
        let qrels = Qrels::read(&name, input)?;
        ensure!(!qrels.is_empty(), "{name}: no judgments");
        let judgments = Self::new(qrels);
        ensure!(!judgments.queries.is_empty(), "{name}: no query has a relevant document (relevance above 0)");
        Ok(judgments)
    }

    fn new(qrels: Qrels) -> Self {
        let mut queries = Vec::new();
        for (id, documents) in qrels.iter() {
            let mut ideal: Vec<i64> = documents.values().copied().collect();
            ideal.sort_unstable_by(|a, b| b.cmp(a));
            if ideal.first().is_some_and(|best| *best > 0) {
                queries.push(Query { id: id.to_owned(), ideal });
            }
        }
        Self { qrels, queries }
    }

    /// Number of queries in the file, measured or not.
    pub(crate) fn in_file(&self) -> usize {
        self.qrels.len()
    }

    /// Number of queries without a relevant document, which are not measured.
    pub(crate) fn without_relevant(&self) -> usize {
        self.qrels.len() - self.queries.len()
    }

    /// The id of every query in the file.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.qrels.iter().map(|(id, _)| id)
    }

    /// Every relevant document with its query: `(query, document)`.
    pub(crate) fn relevant(&self) -> impl Iterator<Item = (&str, &str)> {
        self.qrels.iter().flat_map(|(query, documents)| {
            documents.iter().filter(|(_, relevance)| **relevance > 0).map(move |(id, _)| (query, id.as_str()))
        })
    }

    /// Relevance of each document of a ranking; 0 where nobody judged it.
    pub(crate) fn relevances(&self, query: &str, ranking: &[RunEntry]) -> Vec<i64> {
        let judged = self.qrels.get(query);
        let relevance = |entry: &RunEntry| judged.and_then(|judged| judged.get(&entry.document)).copied().unwrap_or(0);
        ranking.iter().map(relevance).collect()
    }

    /// The measured queries that `run` does not answer.
    pub(crate) fn missing<'a>(&'a self, run: &'a Run) -> impl Iterator<Item = &'a str> {
        self.queries.iter().map(|query| query.id.as_str()).filter(|id| !run.queries.contains_key(*id))
    }
}
