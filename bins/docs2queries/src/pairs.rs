//! The output: pairs of a query and the document that answers it.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::PathBuf;

use embtune_cli::{OnError, Outcome, Output, Progress, Session, Skipper};
use embtune_records::{Object, Pair, ReadError, write_json_line};

use crate::documents::{Part, SourceDocument, readable};
use crate::text::fold;

/// Writes pairs, and applies the policy on bad records.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The output file; none is stdout.
    pub(crate) path: Option<PathBuf>,
    pub(crate) on_error: OnError,
}

/// A query with the text that answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) query: String,
    /// The document, or what is left of it.
    pub(crate) positive: String,
}

/// Writes pairs, reports bad records, and counts both.
pub(crate) struct PairWriter<'a> {
    session: &'a Session,
    skipper: Skipper<'a>,
    out: Output,
    progress: Progress,
    documents: u64,
    blank: u64,
    pairs: u64,
    /// Pairs of the current document.
    document_pairs: usize,
}

impl<'a> PairWriter<'a> {
    /// Opens the output; `total` is the number of documents, if it is known.
    pub(crate) fn new(settings: &Settings, session: &'a Session, total: Option<u64>) -> anyhow::Result<Self> {
        Ok(Self {
            session,
            skipper: Skipper::new(settings.on_error, session),
            out: session.output(settings.path.as_deref())?,
            progress: session.progress(total, "documents"),
            documents: 0,
            blank: 0,
            pairs: 0,
            document_pairs: 0,
        })
    }

    /// Passes on a document that has text, and counts or reports what else was read.
    ///
    /// # Errors
    /// An input that cannot be read, or a bad record that must not be skipped.
    pub(crate) fn admit(
        &mut self,
        document: Result<SourceDocument, ReadError>,
    ) -> anyhow::Result<Option<SourceDocument>> {
        self.blank += u64::from(document.as_ref().is_ok_and(SourceDocument::is_blank));
        readable(document, |error| self.bad(error))
    }

    /// Reports a bad record.
    pub(crate) fn bad(&mut self, error: ReadError) -> anyhow::Result<()> {
        self.skipper.bad(error)
    }

    /// Writes all pairs of a document, each query once.
    pub(crate) fn write_document(&mut self, document: &SourceDocument, mut queries: Vec<Query>) -> anyhow::Result<()> {
        let mut seen = HashSet::new();
        queries.retain(|query| seen.insert(fold(&query.query)));
        self.write_part(document, None, &queries)?;
        self.end_document(document, true);
        Ok(())
    }

    /// Writes the pairs of a part of the current document.
    pub(crate) fn write_part(
        &mut self,
        document: &SourceDocument,
        part: Option<Part>,
        queries: &[Query],
    ) -> anyhow::Result<()> {
        write_pairs(document, part, queries, self.document_pairs + 1, &mut self.out)?;
        self.document_pairs += queries.len();
        Ok(())
    }

    /// Ends the current document; `is_answered` says whether a part of it has queries.
    pub(crate) fn end_document(&mut self, document: &SourceDocument, is_answered: bool) {
        self.progress.add(1);
        if is_answered {
            self.documents += 1;
            self.pairs += self.document_pairs as u64;
            self.session.debug(format!("document {}: pairs: {}", document.id, self.document_pairs));
        }
        self.document_pairs = 0;
    }

    /// Shows a text after the progress bar.
    pub(crate) fn show(&self, text: String) {
        self.progress.message(text);
    }

    /// Flushes what was written so far.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.out.flush()?)
    }

    /// Completes the output and reports the counts, followed by `more`.
    pub(crate) fn finish(self, more: &[(&str, String)]) -> anyhow::Result<Outcome> {
        self.out.finish()?;
        drop(self.progress);
        let mut counts = format!("documents: {}, pairs: {}", self.documents, self.pairs);
        if self.blank > 0 {
            counts.push_str(&format!(", documents without text: {}", self.blank));
        }
        for (name, value) in more {
            counts.push_str(&format!(", {name}: {value}"));
        }
        self.session.notice(counts);
        Ok(self.skipper.outcome())
    }
}

/// Writes pairs, whose numbers begin with `first`.
fn write_pairs(
    document: &SourceDocument,
    part: Option<Part>,
    queries: &[Query],
    first: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut rest = Object::new();
    if let Some(Part { number, start, end }) = part {
        rest.extend([("chunk", number), ("start", start), ("end", end)].map(|(name, at)| (name.to_owned(), at.into())));
    }
    for (number, Query { query, positive }) in (first..).zip(queries) {
        let pair = Pair {
            anchor: query.clone(),
            positive: positive.clone(),
            anchor_id: Some(format!("{}-q{number}", document.id)),
            positive_id: Some(document.id.clone()),
            group: Some(document.group.clone()),
            rest: rest.clone(),
            ..Pair::default()
        };
        write_json_line(&pair.to_object(), out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_have_ids_and_positions() {
        let source = SourceDocument::example("d", None, "text");
        let queries = ["one", "two"].map(|query| Query { query: query.into(), positive: "text".into() });
        let mut out = Vec::new();
        write_pairs(&source, None, &queries[..1], 1, &mut out).unwrap();
        write_pairs(&source, Some(Part { number: 1, start: 3, end: 7 }), &queries[1..], 2, &mut out).unwrap();
        let expected = concat!(
            r#"{"anchor":"one","positive":"text","anchor_id":"d-q1","positive_id":"d","group":"d"}"#,
            "\n",
            r#"{"anchor":"two","positive":"text","anchor_id":"d-q2","positive_id":"d","group":"d","chunk":1,"start":3,"end":7}"#,
            "\n",
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
