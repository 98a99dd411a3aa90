//! Where both generators put what they have: pairs, bad records, counts.

use std::collections::HashSet;
use std::io::Write as _;

use embtune_cli::{Outcome, Output, Progress, Session, Skipper};
use embtune_records::ReadError;

use crate::cli::Cli;
use crate::documents::{Part, Source};

use super::pairs::{self, Query, fold};

/// The output and the counts of a run.
pub(crate) struct Sink<'a> {
    session: &'a Session,
    skipper: Skipper<'a>,
    out: Output,
    progress: Progress,
    documents: u64,
    blank: u64,
    pairs: u64,
    /// Pairs of the document in hand.
    of_document: usize,
}

impl<'a> Sink<'a> {
    /// Opens the output; `total` is the number of documents, where it is known.
    ///
    /// # Errors
    /// A file that cannot be created.
    pub(crate) fn new(cli: &Cli, session: &'a Session, total: Option<u64>) -> anyhow::Result<Self> {
        Ok(Self {
            session,
            skipper: Skipper::new(cli.records.on_error, session),
            out: session.output(cli.output.as_deref())?,
            progress: session.progress(total, "documents"),
            documents: 0,
            blank: 0,
            pairs: 0,
            of_document: 0,
        })
    }

    /// Takes what was read: a document with text goes on, others are counted here.
    ///
    /// # Errors
    /// An input that cannot be read further, or a bad record that must not be skipped.
    pub(crate) fn admit(&mut self, document: Result<Source, ReadError>) -> anyhow::Result<Option<Source>> {
        match document {
            Ok(document) if document.is_blank() => {
                self.blank += 1;
                Ok(None)
            }
            Ok(document) => Ok(Some(document)),
            Err(error) if error.is_recoverable() => self.bad(error).map(|()| None),
            Err(error) => Err(error.into()),
        }
    }

    /// Reports a bad record.
    ///
    /// # Errors
    /// The same, when it must not be skipped.
    pub(crate) fn bad(&mut self, error: ReadError) -> anyhow::Result<()> {
        self.skipper.bad(error)
    }

    /// Writes a document's pairs, each query once.
    ///
    /// # Errors
    /// The output's.
    pub(crate) fn write(&mut self, document: &Source, mut queries: Vec<Query>) -> anyhow::Result<()> {
        let mut seen = HashSet::new();
        queries.retain(|query| seen.insert(fold(&query.query)));
        self.part(document, None, &queries)?;
        self.document_done(document, true);
        Ok(())
    }

    /// Writes the pairs of a part of a document; its parts come one after the other.
    ///
    /// # Errors
    /// The output's.
    pub(crate) fn part(&mut self, document: &Source, part: Option<Part>, queries: &[Query]) -> anyhow::Result<()> {
        pairs::write(document, part, queries, self.of_document + 1, &mut self.out)?;
        self.of_document += queries.len();
        Ok(())
    }

    /// Counts a document whose parts are all written, or a failed one of which there is none.
    pub(crate) fn document_done(&mut self, document: &Source, is_answered: bool) {
        self.progress.add(1);
        if is_answered {
            self.documents += 1;
            self.pairs += self.of_document as u64;
            self.session.debug(format!("document {}: {} pairs", document.id, self.of_document));
        }
        self.of_document = 0;
    }

    /// Shows a text behind the progress bar.
    pub(crate) fn message(&self, text: String) {
        self.progress.message(text);
    }

    /// Passes on what was written so far.
    ///
    /// # Errors
    /// The output's.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.out.flush()?)
    }

    /// Completes the output and says the counts, and `more` besides.
    ///
    /// # Errors
    /// The output's.
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
