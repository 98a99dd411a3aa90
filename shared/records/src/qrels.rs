//! Relevance judgments.

use std::io::{self, BufRead, Write};

use indexmap::IndexMap;

use crate::tsv::{is_silent, may_be_comment, number};
use crate::{Lines, ReadError};

/// Which documents are relevant to which queries, and how much; queries in the order of their first line.
///
/// Read from BEIR's three columns (`query-id corpus-id score`, with or without that header) or from TREC's four
/// (`query-id iteration document-id relevance`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Qrels {
    queries: IndexMap<String, IndexMap<String, i64>>,
}

impl Qrels {
    /// Reads judgments from `reader`, which messages call `name`.
    ///
    /// # Errors
    /// A line with another number of columns, a relevance that is not a whole number, a pair that is judged twice.
    pub fn read(name: &str, reader: impl BufRead) -> Result<Self, ReadError> {
        let mut lines = Lines::with_fixed_cap(name, reader);
        let mut qrels = Self::default();
        while let Some(line) = lines.next_line() {
            let line = line?.to_owned();
            if is_silent(&line) || (lines.number() == 1 && is_header(&line)) {
                continue;
            }
            let (query, document, relevance) = match judgment(&line) {
                Ok(judgment) => judgment,
                Err(_) if may_be_comment(&line) => continue,
                Err(what) => return Err(lines.error(what)),
            };
            if qrels.insert(query.trim(), document.trim(), relevance).is_some() {
                return Err(lines.error(format!("query {query} and document {document} are judged twice")));
            }
        }
        Ok(qrels)
    }

    /// Adds a judgment; the one that it replaces is given back.
    pub fn insert(&mut self, query: &str, document: &str, relevance: i64) -> Option<i64> {
        let documents = match self.queries.get_mut(query) {
            Some(documents) => documents,
            None => self.queries.entry(query.to_owned()).or_default(),
        };
        documents.insert(document.to_owned(), relevance)
    }

    /// Every query with its judged documents.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &IndexMap<String, i64>)> {
        self.queries.iter().map(|(query, documents)| (query.as_str(), documents))
    }

    /// The judged documents of a query.
    pub fn get(&self, query: &str) -> Option<&IndexMap<String, i64>> {
        self.queries.get(query)
    }

    /// Number of queries.
    pub fn len(&self) -> usize {
        self.queries.len()
    }

    /// Whether nothing is judged.
    pub fn is_empty(&self) -> bool {
        self.queries.is_empty()
    }

    /// Writes BEIR's three columns with their header.
    ///
    /// # Errors
    /// The writer's own.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "query-id\tcorpus-id\tscore")?;
        for (query, documents) in &self.queries {
            for (document, relevance) in documents {
                writeln!(out, "{query}\t{document}\t{relevance}")?;
            }
        }
        Ok(())
    }
}

/// Query, document and relevance of a line, or what is wrong with it.
fn judgment(line: &str) -> Result<(&str, &str, i64), String> {
    // Ids with blanks are told apart by tabs; TREC's files use either.
    let columns: Vec<&str> =
        if line.contains('\t') { line.split('\t').collect() } else { line.split_whitespace().collect() };
    let (query, document, relevance) = match columns[..] {
        [query, document, relevance] | [query, _, document, relevance] => (query, document, relevance),
        _ => return Err(format!("expected 3 columns (BEIR) or 4 (TREC), found {}", columns.len())),
    };
    Ok((query, document, number("relevance", relevance.trim(), "a whole number")?))
}

/// BEIR's header, also as other writers spell it; anything else is data, so that no judgment is dropped in silence.
fn is_header(line: &str) -> bool {
    let mut columns = line.split('\t').map(|column| column.trim().to_ascii_lowercase().replace('_', "-"));
    matches!(columns.next().as_deref(), Some("query-id" | "queryid" | "qid" | "query"))
        && columns.next_back().is_some_and(|last| last.parse::<f64>().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Qrels, String> {
        Qrels::read("qrels", text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn both_forms_say_the_same() {
        let mut expected = Qrels::default();
        expected.insert("q1", "d1", 1);
        expected.insert("q1", "d2", 0);
        expected.insert("q2", "d1", 2);
        assert_eq!(read("query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\nq2\td1\t2\n").unwrap(), expected);
        assert_eq!(read("q1\td1\t1\nq1\td2\t0\nq2\td1\t2").unwrap(), expected);
        assert_eq!(read("# c\nq1 0 d1 1\nq1 0 d2 0\n\nq2 Q0 d1 2\n").unwrap(), expected);
        let mut written = Vec::new();
        expected.write(&mut written).unwrap();
        assert_eq!(read(std::str::from_utf8(&written).unwrap()).unwrap(), expected);
    }

    #[test]
    fn an_id_may_begin_like_a_comment() {
        let mut expected = Qrels::default();
        expected.insert("#1", "#2", 1);
        expected.insert("#3", "d", 0);
        expected.insert("q", "d", 1);
        let mut written = Vec::new();
        expected.write(&mut written).unwrap();
        assert_eq!(read(std::str::from_utf8(&written).unwrap()).unwrap(), expected);
        let text = "#query-id\tcorpus-id\tscore\n#1 0 #2 1\n# judged in 2024 1\n#\n#by hand\n#3\td\t0\nq d 1\n";
        assert_eq!(read(text).unwrap(), expected);
    }

    #[test]
    fn nothing_is_guessed() {
        assert!(read("q1\td1\t0.9\n").unwrap_err().contains("qrels:1: column relevance must be a whole number"));
        assert_eq!(read("q d 1\nq d 1\n").unwrap_err(), "qrels:2: query q and document d are judged twice");
        assert!(read("q d 1\nq d\n").unwrap_err().contains("found 2"));
        assert!(read("q1\td1\tyes\n").unwrap_err().contains("qrels:1: column relevance"), "no header");
    }
}
