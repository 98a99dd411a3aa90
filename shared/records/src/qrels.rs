//! Relevance judgments.

use std::io::{self, BufRead, Write};

use indexmap::IndexMap;

use crate::ReadError;
use crate::rows::{self, Row, RowCollector};

/// Which documents are relevant to which queries, and how much; queries in the order of their first line.
///
/// Read from BEIR's three columns (`query-id corpus-id score`) and TREC's four
/// (`query-id iteration document-id relevance`), with tabs, blanks or commas between them, from columns that a header
/// names, from an object a line with such fields, and from one object (`{query: {document: relevance}}`, or
/// `{query: [relevant document]}`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Qrels {
    queries: IndexMap<String, IndexMap<String, i64>>,
}

/// The largest size up to which f64 holds every whole number.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_992.0; // 2^53

impl RowCollector for Qrels {
    const KIND: &'static str = "judgment";
    const VALUE: &'static str = "relevance";
    const VALUE_NAMES: &'static [&'static str] =
        &["score", "relevance", "rel", "relevancescore", "label", "grade", "judgment", "judgement", "rating", "gain"];
    const LAYOUTS: &'static [(usize, [usize; 3])] = &[(3, [0, 1, 2]), (4, [0, 2, 3])];
    const LIST_VALUE: Option<&'static str> = Some("1");

    fn take(&mut self, Row { query, document, value }: Row<'_>) -> Result<(), String> {
        if self.insert(query, document, relevance(value)?).is_some() {
            return Err(format!("duplicate judgment of document {document} for query {query}"));
        }
        Ok(())
    }

    fn start_query(&mut self, query: &str) -> bool {
        self.queries.insert(query.to_owned(), IndexMap::new()).is_none()
    }

    fn column_error(found: usize) -> String {
        format!(
            "expected 3 columns (BEIR) or 4 (TREC), found {found}\n\
             hint: for other columns, add a header that names query-id, corpus-id and score"
        )
    }
}

impl Qrels {
    /// Reads judgments from `reader`, which messages call `name`. `note` is given remarks about a file that can be
    /// read, such as the number of comments.
    ///
    /// # Errors
    /// A line with a different number of columns, a relevance that is not a whole number, a duplicate judgment.
    pub fn read(name: &str, reader: impl BufRead, mut note: impl FnMut(String)) -> Result<Self, ReadError> {
        let mut qrels = Self::default();
        rows::read(name, reader, &mut qrels, &mut note)?;
        Ok(qrels)
    }

    /// Adds a judgment, and returns the one that it replaces.
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

    /// Whether there are no judgments.
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

/// Parses a relevance; tables of floats write 1 as 1.0.
fn relevance(text: &str) -> Result<i64, String> {
    let whole = || text.parse::<f64>().ok().filter(|x| x.fract() == 0.0 && x.abs() <= LARGEST_WHOLE);
    match text.parse().ok().or_else(|| whole().map(|whole| whole as i64)) {
        Some(relevance) => Ok(relevance),
        None => {
            let is_number = text.parse::<f64>().is_ok_and(f64::is_finite);
            let hint =
                if is_number { "\nhint: relevance grades are whole numbers: multiply or round them first" } else { "" };
            Err(format!("relevance must be a whole number, found \"{text}\"{hint}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Qrels, String> {
        read_with_notes(text).map(|(qrels, _)| qrels)
    }

    fn read_with_notes(text: &str) -> Result<(Qrels, Vec<String>), String> {
        let mut notes = Vec::new();
        let qrels = Qrels::read("qrels", text.as_bytes(), |note| notes.push(note));
        qrels.map(|qrels| (qrels, notes)).map_err(|error| error.to_string())
    }

    fn qrels(rows: &[(&str, &str, i64)]) -> Qrels {
        let mut qrels = Qrels::default();
        for (query, document, relevance) in rows {
            assert_eq!(qrels.insert(query, document, *relevance), None);
        }
        qrels
    }

    #[test]
    fn all_formats_give_the_same_judgments() {
        let expected = qrels(&[("q1", "d1", 1), ("q1", "d2", 0), ("q2", "d1", -2)]);
        for text in [
            "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\nq2\td1\t-2\n",
            "q1\td1\t1\nq1\td2\t0\nq2\td1\t-2",
            "\u{feff}query_id corpus_id score\r\nq1 d1 1\r\n\r\nq1 d2 0\r\nq2 d1 -2\r\n",
            "# c\nq1 0 d1 1\nq1 0 d2 0\n\nq2 Q0 d1 -2\n",
            "q1\tQ0\td1\t1.0\nq1\tQ0\td2\t0.0\nq2\tQ0\td1\t-2e0\n",
            "query-id,corpus-id,score\nq1,d1,1\nq1,d2,0\nq2,d1,-2\n",
            ",label,docid,qid,note\n0,1,d1,q1,\n1,0,d2,q1,\"a, b\"\n2,-2,d1,q2,\n",
            "q1,d1,1\n\"q1\",\"d2\",0\nq2,d1,-2\n",
            "{\"query_id\":\"q1\",\"corpus_id\":\"d1\",\"score\":1}\n\
             {\"query-id\":\"q1\",\"doc_id\":\"d2\",\"relevance\":0.0,\"iteration\":\"0\"}\n\
             {\"qid\":\"q2\",\"docid\":\"d1\",\"rel\":\"-2\"}\n",
            "{\"q1\":{\"d1\":1,\"d2\":0},\"q2\":{\"d1\":-2}}",
            "{\n  \"q1\": {\n    \"d1\": 1.0,\n    \"d2\": 0\n  },\n  \"q2\": {\"d1\": -2}\n}\n",
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
        let mut written = Vec::new();
        expected.write(&mut written).unwrap();
        assert_eq!(read(std::str::from_utf8(&written).unwrap()).unwrap(), expected);
        assert_eq!(read("{\"1\": [\"a\", \"b\"]}").unwrap(), qrels(&[("1", "a", 1), ("1", "b", 1)]));
    }

    #[test]
    fn an_id_may_begin_like_a_comment() {
        let expected = qrels(&[("#1", "#2", 1), ("# 3", "d", 0), ("#", "# x", 2)]);
        let mut written = Vec::new();
        expected.write(&mut written).unwrap();
        assert_eq!(read(std::str::from_utf8(&written).unwrap()).unwrap(), expected);
        // A line of data determines the columns; other lines with # are comments, which are counted in a note.
        let text = "#query-id\tcorpus-id\tscore\n#1\t#2\t1\n# judged in 2024\n#\n#by hand\n# 3\td\t0\n#\t# x\t2\n";
        let (read, notes) = read_with_notes(text).unwrap();
        assert_eq!(read, expected);
        assert_eq!(notes, ["qrels: 3 lines that begin with # are comments (first: line 3)"]);
        let blanks = "# judged in 2024 by hand\n#1 0 #2 1\n#x y\nq 0 d 1\n";
        let (read, notes) = read_with_notes(blanks).unwrap();
        assert_eq!(read, qrels(&[("#1", "#2", 1), ("q", "d", 1)]));
        assert_eq!(notes, ["qrels: 2 lines that begin with # are comments (first: line 1)"]);
        assert_eq!(read_with_notes("#1 d 1\n#2 d 0").unwrap().0, qrels(&[("#1", "d", 1), ("#2", "d", 0)]));
        assert_eq!(read_with_notes("# nothing\n#\n").unwrap().0, Qrels::default());
    }

    #[test]
    fn ids_may_hold_spaces_and_punctuation() {
        let text = "a b\t d 1\t1\nquery\tdoc\t2\nqid\u{a0}x\t\"d\"\t0\n";
        assert_eq!(read(text).unwrap(), qrels(&[("a b", " d 1", 1), ("query", "doc", 2), ("qid\u{a0}x", "\"d\"", 0)]));
        assert_eq!(read("q\u{3000}1 0 d 1").unwrap(), qrels(&[("q\u{3000}1", "d", 1)]));
        assert_eq!(read("{a} 0 [1] 1\n[1] 0 {} 1").unwrap(), qrels(&[("{a}", "[1]", 1), ("[1]", "{}", 1)]));
        let json = "{\"query_id\":340282366920938463463374607431768211455,\"doc_id\":7,\"score\":1}";
        assert_eq!(read(json).unwrap(), qrels(&[("340282366920938463463374607431768211455", "7", 1)]));
    }

    #[test]
    fn bad_files_are_refused() {
        let refused = |text: &str| read(text).unwrap_err();
        for (text, expected) in [
            ("q1\td1\t0.9\n", "qrels:1: relevance must be a whole number, found \"0.9\"\nhint: relevance grades"),
            ("q1\td1\tNaN\n", "qrels:1: relevance must be a whole number, found \"NaN\""),
            ("q1\td1\t1e300\n", "qrels:1: relevance must be a whole number, found \"1e300\""),
            ("q1\td1\t99999999999999999999\n", "qrels:1: relevance must be a whole number"),
            ("q d 1\nq d 1\n", "qrels:2: duplicate judgment of document d for query q"),
            ("q d 1\nq d\n", "qrels:2: expected 3 columns as in the lines before, found 2"),
            ("q d 1\nq 0 d 1\n", "qrels:2: expected 3 columns as in the lines before, found 4"),
            ("q d\n", "qrels:1: expected 3 columns (BEIR) or 4 (TREC), found 2\nhint: for other columns, add a header"),
            ("q1\td1\tyes\n", "qrels:1: relevance must be a whole number, found \"yes\""),
            ("q1\t\t1\n", "qrels:1: the id of the document is empty"),
            ("q1,d1,1\n\"q1,d2,1\n", "qrels:2: expected 3 columns as in the lines before, found 0"),
            ("#q\td\t1\n#q\td\t1\n", "qrels:2: duplicate judgment of document d for query #q"),
            ("{\"query_id\":\"q\",\"score\":1}", "qrels:1: no field for the document, such as \"doc_id\""),
            ("{\"qid\":\"q\",\"pid\":\"d\",\"rel\":null}", "qrels:1: no field for the value, such as \"score\""),
            ("{\"qid\":\"q\",\"pid\":[1],\"rel\":1}", "qrels:1: field \"pid\" must be a string or a number"),
            ("{\"q\":{\"d\":1,\n\"d\":1}}", "qrels:2: duplicate judgment of document d for query q"),
            ("{\"q\":{\"d\":1},\n\"q\":{\"e\":1}}", "qrels:2: duplicate query \"q\""),
            ("{\"q\":{\"d\":0.5}}", "qrels:1: relevance must be a whole number, found \"0.5\""),
            ("{\"q\":{\"d\":true}}", "qrels:1: expected {query: {document: relevance}}, found a boolean for \"d\""),
            ("{\"q\":{\"\":1}}", "qrels:1: the id of the document is empty"),
            ("{\"q\":\n{\"d\":NaN}}", "qrels:2: not JSON: "),
            ("{\"q\":{\"d\":1}", "qrels:1: not JSON: "),
            ("[{\"qid\":\"q\",\"pid\":\"d\",\"rel\":1}]", "qrels: a list of judgments\nhint: jq -c '.[]'"),
            ("PAR1", "qrels: Parquet, which is not supported\nhint: python3"),
        ] {
            let message = refused(text);
            assert!(message.starts_with(expected), "{text:?}: {message}");
        }
    }
}
