//! Retrieval runs.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, BufRead, Write};

use indexmap::IndexMap;

use crate::rows::{self, Row, RowCollector};
use crate::{Location, ReadError};

/// A retrieved document.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEntry {
    /// The document's id.
    pub document: String,
    /// The system's score; the rank column is ignored, as trec_eval does.
    pub score: f64,
}

/// The documents that a system retrieved for each query, in the order of the file.
///
/// Read from TREC's six columns (`query-id Q0 document-id rank score tag`), from three (query, document, score), with
/// tabs, blanks or commas between them, from columns that a header names, from an object a line with such fields, and
/// from one object (`{query: {document: score}}`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    /// Query id to its documents.
    pub queries: IndexMap<String, Vec<RunEntry>>,
}

impl Run {
    /// Reads a run from `reader`, which messages call `name`. `note` is given remarks about a file that can be read,
    /// such as the number of comments.
    ///
    /// # Errors
    /// A line with a different number of columns, a score that is not finite, a duplicate document, or three columns of
    /// which the last may be a rank or a score.
    pub fn read(name: &str, reader: impl BufRead, mut note: impl FnMut(String)) -> Result<Self, ReadError> {
        let mut reading = RunReader::default();
        rows::read(name, reader, &mut reading, &mut note)?;
        if reading.has_bare_numbers && reading.run.may_be_ranked() {
            return Err(Location { name: name.into(), line: 1 }.error(AMBIGUOUS));
        }
        Ok(reading.run)
    }

    /// Whether the numbers may be ranks: those of each query rise from line to line, or are 1 to n in an order that is
    /// not that of decreasing scores.
    fn may_be_ranked(&self) -> bool {
        let mut several = self.queries.values().filter(|documents| documents.len() > 1).peekable();
        several.peek().is_some()
            && several.all(|documents| {
                let numbers: Vec<f64> = documents.iter().map(|entry| entry.score).collect();
                let mut sorted = numbers.clone();
                sorted.sort_by(f64::total_cmp);
                let is_dense =
                    sorted.windows(2).all(|pair| pair[1] - pair[0] == 1.0) && (sorted[0] == 1.0 || sorted[0] == 0.0);
                let rises = numbers.windows(2).all(|pair| pair[0] < pair[1]);
                let falls = numbers.windows(2).all(|pair| pair[0] > pair[1]);
                numbers.iter().all(|number| number.fract() == 0.0 && *number >= 0.0) && (rises || is_dense && !falls)
            })
    }
}

/// The message about three columns with whole numbers.
const AMBIGUOUS: &str = "three columns, and the last one may be the rank (MS MARCO) or the score\n\
                         hint: for ranks, awk '{print $1, \"Q0\", $2, $3, -$3, \"run\"}' FILE makes a TREC run; \
                         for scores, awk '{print $1, \"Q0\", $2, 0, $3, \"run\"}' FILE";

/// A run while it is read.
#[derive(Default)]
struct RunReader {
    run: Run,
    /// Whether the numbers are scores only by their position, without a header or the six columns of TREC.
    has_bare_numbers: bool,
    /// Hashes of the queries and documents so far, 8 bytes each. Documents with equal hashes are compared.
    seen: HashSet<u64>,
    hasher: RandomState,
}

impl RowCollector for RunReader {
    const KIND: &'static str = "hit";
    const VALUE: &'static str = "score";
    const VALUE_NAMES: &'static [&'static str] = &["score", "sim", "similarity", "relevancescore", "value"];
    const LAYOUTS: &'static [(usize, [usize; 3])] = &[(6, [0, 2, 4]), (3, [0, 1, 2])];
    const LIST_VALUE: Option<&'static str> = None;

    fn take(&mut self, Row { query, document, value }: Row<'_>) -> Result<(), String> {
        let score: f64 = value.parse().map_err(|_| format!("score must be a number, found \"{value}\""))?;
        if !score.is_finite() {
            return Err(format!("score of document {document} is not finite"));
        }
        let documents = match self.run.queries.get_mut(query) {
            Some(documents) => documents,
            None => self.run.queries.entry(query.to_owned()).or_default(),
        };
        let is_new = self.seen.insert(self.hasher.hash_one((query, document)));
        if !is_new && documents.iter().any(|entry| entry.document == document) {
            return Err(format!("duplicate document {document} for query {query}"));
        }
        documents.push(RunEntry { document: document.to_owned(), score });
        Ok(())
    }

    fn start_query(&mut self, query: &str) -> bool {
        self.run.queries.insert(query.to_owned(), Vec::new()).is_none()
    }

    fn set_no_header(&mut self, columns: usize) {
        self.has_bare_numbers = columns == 3;
    }

    fn column_error(found: usize) -> String {
        let hint = match found {
            5 => "\nhint: without the tag at the end, awk '{print $0, \"run\"}' FILE makes a TREC run",
            4 => {
                "\nhint: for query, document, rank and score, awk '{print $1, \"Q0\", $2, $3, $4, \"run\"}' FILE makes one"
            }
            _ => "",
        };
        format!("expected the 6 columns of a TREC run, or query, document and score, found {found}{hint}")
    }
}

/// Writes one query's documents in TREC's six columns, best first; the rank is their position.
///
/// # Errors
/// The writer's own.
pub fn write_run(query: &str, documents: &[RunEntry], tag: &str, out: &mut impl Write) -> io::Result<()> {
    for (index, entry) in documents.iter().enumerate() {
        writeln!(out, "{query} Q0 {} {} {} {tag}", entry.document, index + 1, entry.score)?;
    }
    Ok(())
}

/// The number with the shortest decimal representation of a score: 0.1, where `f64::from(0.1_f32)` is
/// 0.10000000149011612.
///
/// Different scores stay different and in order, and converting the number to f32 gives the score back.
pub fn shortest_decimal(score: f32) -> f64 {
    score.to_string().parse().unwrap_or_else(|_| f64::from(score))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Run, String> {
        Run::read("run", text.as_bytes(), |_| {}).map_err(|error| error.to_string())
    }

    fn run(rows: &[(&str, &str, f64)]) -> Run {
        let mut run = Run::default();
        for (query, document, score) in rows {
            let entry = RunEntry { document: (*document).to_owned(), score: *score };
            run.queries.entry((*query).to_owned()).or_default().push(entry);
        }
        run
    }

    #[test]
    fn a_run_reads_back_as_written() {
        let entries =
            vec![RunEntry { document: "b".into(), score: 0.1 + 0.2 }, RunEntry { document: "a".into(), score: -1e-9 }];
        let mut text = Vec::new();
        write_run("q", &entries, "t", &mut text).unwrap();
        assert_eq!(read(std::str::from_utf8(&text).unwrap()).unwrap().queries["q"], entries);
    }

    #[test]
    fn all_formats_give_the_same_run() {
        let expected = run(&[("q1", "a", 0.5), ("q1", "b", -2.0), ("q2", "a", 1e-3)]);
        for text in [
            "q1 Q0 a 1 0.5 t\nq1 Q0 b 2 -2 t\nq2 Q0 a 1 1e-3 t\n",
            "q1\tQ0\ta\t1\t0.5\tt\r\nq1\tQ0\tb\t2\t-2\tt\r\nq2\tQ0\ta\t1\t0.001\tt\r\n",
            "q1\tQ0 a\t1 0.5 t\nq1 Q0 b 2 -2 t\nq2 Q0 a 1 0.001 t\n",
            "q1 a 0.5\nq1 b -2\nq2 a 0.001",
            "q1,a,0.5\nq1,b,-2\nq2,a,0.001\n",
            "query\tqid\tdocid\tdocno\trank\tscore\nx\tq1\t7\ta\t0\t0.5\nx\tq1\t8\tb\t1\t-2\ny\tq2\t7\ta\t0\t0.001\n",
            "{\"q1\":{\"a\":0.5,\"b\":-2},\"q2\":{\"a\":0.001}}",
            "{\"query\":\"x\",\"query_id\":\"q1\",\"doc_id\":\"a\",\"score\":0.5}\n{\"query_id\":\"q1\",\"doc_id\":\"b\",\"score\":-2}\n\
             {\"query_id\":\"q2\",\"doc_id\":\"a\",\"score\":0.001}\n",
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
        let blanks = read("q 1\tQ0\td 1\t1\t0.5\tt\n").unwrap();
        assert_eq!(blanks, run(&[("q 1", "d 1", 0.5)]));
        assert_eq!(read("{\"q\":{}}").unwrap().queries["q"], [], "a query that found nothing");
    }

    #[test]
    fn ranks_are_not_mistaken_for_scores() {
        for ranks in ["q a 1\nq b 2\nr c 1\n", "q\ta\t0\nq\tb\t1\n", "q a 2\nq b 3\nq c 1\n", "q a 1\nq b 7\n"] {
            let message = read(ranks).unwrap_err();
            assert!(message.contains("may be the rank (MS MARCO) or the score\nhint: for ranks, awk"), "{message}");
        }
        // One document has one order; scores decrease, or are not counts; a header names them.
        for scores in
            ["q a 1\nr b 1\n", "q a 3\nq b 2\nq c 1\n", "q a 1\nq b 2.5\n", "q a 2\nq b 2\n", "q a -2\nq b -1\n"]
        {
            assert!(read(scores).is_ok(), "{scores}");
        }
        assert_eq!(read("qid pid score\nq a 1\nq b 2\n").unwrap(), run(&[("q", "a", 1.0), ("q", "b", 2.0)]));
        assert!(read("qid pid rank\nq a 1\nq b 2\n").unwrap_err().contains("score must be a number, found \"rank\""));
    }

    #[test]
    fn bad_lines_are_refused() {
        for (text, expected) in [
            ("q Q0 d 1 NaN t", "run:1: score of document d is not finite"),
            ("q Q0 d 1 -inf t", "run:1: score of document d is not finite"),
            ("q Q0 d 1 1e999 t", "run:1: score of document d is not finite"),
            ("q Q0 d 1 x t", "run:1: score must be a number, found \"x\""),
            ("q Q0 d 1 1 t\nq Q0 d 2 1 t", "run:2: duplicate document d for query q"),
            ("#q Q0 d 1 1 t\n#q Q0 d 2 1 t", "run:2: duplicate document d"),
            ("q d", "run:1: expected the 6 columns of a TREC run, or query, document and score, found 2"),
            ("q Q0 d 1 0.5", "found 5\nhint: without the tag at the end, awk"),
            ("q d 1 0.5", "found 4\nhint: for query, document, rank and score, awk"),
            ("{\"q\":{\"d\":1,\"d\":1}}", "run:1: duplicate document d"),
            ("{\"q\":[\"d\"]}", "run:1: a list for \"q\", which has no scores"),
            ("{\"query_id\":\"q\",\"query\":\"?\",\"results\":[]}", "run:1: no field for the document"),
            ("\u{1f}\u{8b}", "run:1: expected the 6 columns"),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.contains(expected), "{text:?}: {message}");
        }
        let gzip = Run::read("run", &b"\x1f\x8b\x08\0"[..], |_| {}).unwrap_err().to_string();
        assert_eq!(gzip, "run: compressed (gzip), which is not supported\nhint: zcat FILE");
    }

    #[test]
    fn an_id_may_begin_like_a_comment() {
        let mut notes = Vec::new();
        let text = "#1 Q0 #2 1 0.5 t\n# q Q0 d 1 2 t x\n#by hand\n";
        let read = Run::read("run", text.as_bytes(), |note| notes.push(note)).unwrap();
        assert_eq!(read, run(&[("#1", "#2", 0.5)]));
        assert_eq!(notes, ["run: 2 lines that begin with # are comments (first: line 2)"]);
    }

    #[test]
    fn scores_keep_their_digits_and_their_order() {
        assert_eq!(shortest_decimal(0.1), 0.1);
        assert_eq!(shortest_decimal(-3.0e-20), -3.0e-20);
        let mut last = f64::NEG_INFINITY;
        let mut score = 0.7_f32;
        for _ in 0..1000 {
            assert!(shortest_decimal(score) > last && shortest_decimal(score) as f32 == score);
            last = shortest_decimal(score);
            score = score.next_up();
        }
    }
}
