//! Relevance judgments as evaluations use them.

use std::collections::HashSet;
use std::fmt;
use std::io::BufRead;

use indexmap::IndexMap;

use crate::{Qrels, ReadError};

/// A query that is evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedQuery {
    /// The query's id.
    pub id: String,
    /// Relevance of every judged document, highest first.
    pub ideal: Vec<i64>,
}

impl JudgedQuery {
    fn new((id, documents): (&str, &IndexMap<String, i64>)) -> Self {
        let mut ideal: Vec<i64> = documents.values().copied().collect();
        ideal.sort_unstable_by(|a, b| b.cmp(a));
        Self { id: id.to_owned(), ideal }
    }

    /// Whether a document is relevant to the query.
    pub fn has_relevant(&self) -> bool {
        self.ideal.first().is_some_and(|best| *best > 0)
    }

    /// How many documents are relevant.
    pub fn relevant(&self) -> usize {
        self.ideal.iter().filter(|relevance| **relevance > 0).count()
    }
}

/// Measured queries that a system has not answered. What that means for its figures is for the caller to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingQueries {
    /// How many there are, at least 1.
    pub count: usize,
    /// The id of the first one.
    pub first: String,
}

impl fmt::Display for MissingQueries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, first } = self;
        let are_missing = if *count == 1 { "judged query is missing" } else { "judged queries are missing" };
        write!(f, "{count} {are_missing} (first: \"{first}\")")
    }
}

/// The judgments and which of their queries are measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgments {
    qrels: Qrels,
    queries: Vec<JudgedQuery>,
}

impl Judgments {
    /// Reads judgments from `reader`, which messages call `name`. `note` is given remarks about a file that can be
    /// read.
    ///
    /// # Errors
    /// Files that [`Qrels::read`] refuses, a file without judgments, judgments without a relevant document.
    pub fn read(name: &str, reader: impl BufRead, note: impl FnMut(String)) -> Result<Self, ReadError> {
        let refuse = |what: &str| ReadError::content(name, what);
        let qrels = Qrels::read(name, reader, note)?;
        if qrels.is_empty() {
            return Err(refuse("no judgments"));
        }
        let judgments = Self::new(qrels);
        if judgments.queries.is_empty() {
            return Err(refuse("no query has a relevant document (relevance above 0)"));
        }
        Ok(judgments)
    }

    fn new(qrels: Qrels) -> Self {
        let queries = qrels.iter().map(JudgedQuery::new).filter(JudgedQuery::has_relevant).collect();
        Self { qrels, queries }
    }

    /// The same judgments with every query evaluated, including those without a relevant document, as trec_eval does.
    #[must_use]
    pub fn measuring_all(self) -> Self {
        Self { queries: self.qrels.iter().map(JudgedQuery::new).collect(), ..self }
    }

    /// The queries that are evaluated, in the order of the file: those with a relevant document, unless all are.
    pub fn queries(&self) -> &[JudgedQuery] {
        &self.queries
    }

    /// Number of queries in the file, evaluated or not.
    pub fn in_file(&self) -> usize {
        self.qrels.len()
    }

    /// Number of queries without a relevant document.
    pub fn without_relevant(&self) -> usize {
        self.qrels.iter().filter(|(_, documents)| documents.values().all(|relevance| *relevance <= 0)).count()
    }

    /// The id of every query in the file.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.qrels.iter().map(|(id, _)| id)
    }

    /// Relevance of each document in a query's ranking; `None` for documents without a judgment.
    pub fn relevances<'a>(&self, query: &str, ranking: impl IntoIterator<Item = &'a str>) -> Vec<Option<i64>> {
        let judged = self.qrels.get(query);
        ranking.into_iter().map(|document| judged?.get(document).copied()).collect()
    }

    /// The measured queries that a system has not answered, if any.
    pub fn missing(&self, is_answered: impl Fn(&str) -> bool) -> Option<MissingQueries> {
        let mut missing = self.queries.iter().filter(|query| !is_answered(&query.id));
        let first = missing.next()?.id.clone();
        Some(MissingQueries { count: 1 + missing.count(), first })
    }

    /// A warning about relevant documents that are missing from the corpus, which messages call `corpus`.
    ///
    /// They still count as relevant, so the recall is lower.
    ///
    /// # Errors
    /// A corpus without any relevant document.
    pub fn dangling<'a>(
        &self,
        corpus: &str,
        documents: impl Iterator<Item = &'a str>,
    ) -> Result<Option<String>, ReadError> {
        let mut absent: HashSet<&str> = self.relevant().map(|(_, document)| document).collect();
        for id in documents {
            absent.remove(id);
        }
        let mut dangling = self.relevant().filter(|(_, document)| absent.contains(document));
        let Some((query, document)) = dangling.next() else { return Ok(None) };
        let (count, all) = (1 + dangling.count(), self.relevant().count());
        let example = format!("first: \"{document}\", relevant to query \"{query}\"");
        if count == all {
            let what = format!("holds none of the {all} relevant documents of the judgments ({example})\n{SAME_TEXTS}");
            return Err(ReadError::content(corpus, what));
        }
        Ok(Some(format!("{count} of {all} relevant documents are not in the corpus ({example})")))
    }

    /// Every relevant document with its query: `(query, document)`.
    pub fn relevant(&self) -> impl Iterator<Item = (&str, &str)> {
        self.qrels.iter().flat_map(|(query, documents)| {
            documents.iter().filter(|(_, relevance)| **relevance > 0).map(move |(id, _)| (query, id.as_str()))
        })
    }
}

const SAME_TEXTS: &str = "hint: the ids of both files must be the same texts";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Judgments, String> {
        Judgments::read("qrels", text.as_bytes(), |_| {}).map_err(|error| error.to_string())
    }

    #[test]
    fn queries_with_a_relevant_document_are_evaluated() {
        let judgments = read("q1 d1 1\nq2 d1 0\nq1 d2 3\nq3 d9 -1\n").unwrap();
        assert_eq!(judgments.queries(), [JudgedQuery { id: "q1".into(), ideal: vec![3, 1] }]);
        assert_eq!((judgments.in_file(), judgments.without_relevant()), (3, 2));
        assert_eq!(judgments.relevances("q1", ["d2", "unjudged", "d1"]), [Some(3), None, Some(1)]);
        assert_eq!(judgments.relevances("unknown", ["d2"]), [None]);
        let all = judgments.measuring_all();
        assert_eq!(all.queries().iter().map(|query| &*query.id).collect::<Vec<_>>(), ["q1", "q2", "q3"]);
        assert_eq!((all.in_file(), all.without_relevant()), (3, 2));
        assert_eq!(read("# nothing\n").unwrap_err(), "qrels: no judgments");
        assert_eq!(read("q1 d1 0\n").unwrap_err(), "qrels: no query has a relevant document (relevance above 0)");
    }

    #[test]
    fn missing_ids_are_counted_with_an_example() {
        let judgments = read("q1 d1 1\nq2 d2 1\nq2 gone 0\nq3 d3 1\n").unwrap();
        assert_eq!(judgments.missing(|_| true), None);
        let missing = |answered: &[&str]| judgments.missing(|id| answered.contains(&id)).unwrap().to_string();
        assert_eq!(missing(&["q1"]), "2 judged queries are missing (first: \"q2\")");
        assert_eq!(missing(&["q1", "q2"]), "1 judged query is missing (first: \"q3\")");
        let dangling =
            |corpus: &[&str]| judgments.dangling("corpus", corpus.iter().copied()).map_err(|error| error.to_string());
        assert_eq!(dangling(&["d3", "d2", "d1"]), Ok(None), "documents that are not relevant may be missing");
        assert_eq!(
            dangling(&["d2"]).unwrap().unwrap(),
            "2 of 3 relevant documents are not in the corpus (first: \"d1\", relevant to query \"q1\")"
        );
        let refused = dangling(&["x"]).unwrap_err();
        assert!(refused.starts_with("corpus: holds none of the 3 relevant documents of the judgments (first: \"d1\""));
    }
}
