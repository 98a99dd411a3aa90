//! Retrieval runs in TREC's six columns: `query-id Q0 document-id rank score tag`.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, BufRead, Write};

use indexmap::IndexMap;

use crate::tsv::{is_silent, may_be_comment, number};
use crate::{Lines, ReadError};

/// A retrieved document.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEntry {
    /// The document's id.
    pub document: String,
    /// The system's score; the rank column is ignored, as trec_eval does.
    pub score: f64,
}

/// What a system retrieved for each query, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    /// Query id to its documents.
    pub queries: IndexMap<String, Vec<RunEntry>>,
}

impl Run {
    /// Reads a run from `reader`, which messages call `name`.
    ///
    /// # Errors
    /// A line with another number of columns, a score that is no finite number, a document that is listed twice.
    pub fn read(name: &str, reader: impl BufRead) -> Result<Self, ReadError> {
        let mut lines = Lines::with_fixed_cap(name, reader);
        let (mut run, mut seen) = (Self::default(), Seen::default());
        while let Some(line) = lines.next_line() {
            let line = line?;
            let taken = match row(line) {
                _ if is_silent(line) => Ok(()),
                Err(_) if may_be_comment(line) => Ok(()),
                Ok((query, document, score)) => run.take(query, document, score, &mut seen),
                Err(what) => Err(what),
            };
            if let Err(what) = taken {
                return Err(lines.error(what));
            }
        }
        Ok(run)
    }

    /// Adds a document, or says what is wrong with it.
    fn take(&mut self, query: &str, document: &str, score: f64, seen: &mut Seen) -> Result<(), String> {
        if !score.is_finite() {
            return Err(format!("score of document {document} is not finite"));
        }
        let documents = match self.queries.get_mut(query) {
            Some(documents) => documents,
            None => self.queries.entry(query.to_owned()).or_default(),
        };
        let is_new = seen.hashes.insert(seen.hasher.hash_one((query, document)));
        if !is_new && documents.iter().any(|entry| entry.document == document) {
            return Err(format!("document {document} is listed twice for query {query}"));
        }
        documents.push(RunEntry { document: document.to_owned(), score });
        Ok(())
    }
}

/// Hashes of the queries and documents so far: 8 bytes each. Two that are equal are looked at again.
#[derive(Default)]
struct Seen {
    hashes: HashSet<u64>,
    hasher: RandomState,
}

/// Query, document and score of a line, or what is wrong with it.
fn row(line: &str) -> Result<(&str, &str, f64), String> {
    let mut columns = line.split_whitespace();
    let mut next = || columns.next();
    let (Some(query), Some(_), Some(document), Some(_), Some(score), Some(_), None) =
        (next(), next(), next(), next(), next(), next(), next())
    else {
        return Err(format!("expected the 6 columns of a TREC run, found {}", line.split_whitespace().count()));
    };
    Ok((query, document, number("score", score, "a number")?))
}

/// Writes one query's documents, best first; the rank is their position.
///
/// # Errors
/// The writer's own.
pub fn write_run(query: &str, documents: &[RunEntry], tag: &str, out: &mut impl Write) -> io::Result<()> {
    for (index, entry) in documents.iter().enumerate() {
        writeln!(out, "{query} Q0 {} {} {} {tag}", entry.document, index + 1, entry.score)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let entries =
            vec![RunEntry { document: "b".into(), score: 0.1 + 0.2 }, RunEntry { document: "a".into(), score: -1e-9 }];
        let mut text = Vec::new();
        write_run("q", &entries, "t", &mut text).unwrap();
        assert_eq!(Run::read("run", text.as_slice()).unwrap().queries["q"], entries);
    }

    #[test]
    fn bad_lines_are_refused() {
        let read = |text: &str| Run::read("run", text.as_bytes()).unwrap_err().to_string();
        assert!(read("q Q0 d 1 NaN t").contains("run:1: score of document d is not finite"));
        assert!(read("q Q0 d 1 x t").contains("must be a number"));
        assert!(read("q Q0 d 1 1 t\nq Q0 d 2 1 t").contains("run:2: document d is listed twice"));
        assert!(read("q d 1").contains("6 columns"));
        assert!(read("#q Q0 d 1 1 t\n#q Q0 d 2 1 t").contains("run:2: document d is listed twice"));
    }

    #[test]
    fn an_id_may_begin_like_a_comment() {
        let run = Run::read("run", "#1 Q0 #2 1 0.5 t\n# q Q0 d 1 2 t\n#by hand\n".as_bytes()).unwrap();
        assert_eq!(run.queries.len(), 1);
        assert_eq!(run.queries["#1"], [RunEntry { document: "#2".into(), score: 0.5 }]);
    }
}
