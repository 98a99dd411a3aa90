//! Where both generators put what they have: pairs, bad records, counts.

use std::io::Write as _;

use embtune_cli::{Outcome, Output, Progress, Session, Skipper};
use embtune_records::ReadError;

use crate::cli::Cli;
use crate::pairs::{self, Query};
use crate::source::Source;

/// The output and the counts of a run.
pub(crate) struct Sink<'a> {
    session: &'a Session,
    skipper: Skipper<'a>,
    out: Output,
    progress: Progress,
    documents: u64,
    blank: u64,
    pairs: u64,
}

impl<'a> Sink<'a> {
    /// Opens the output.
    ///
    /// # Errors
    /// A file that cannot be created.
    pub(crate) fn new(cli: &Cli, session: &'a Session) -> anyhow::Result<Self> {
        Ok(Self {
            session,
            skipper: Skipper::new(cli.records.on_error, session),
            out: session.output(cli.output.as_deref())?,
            progress: session.progress(None, "documents"),
            documents: 0,
            blank: 0,
            pairs: 0,
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
            Err(error) if error.is_record() => self.bad(error).map(|()| None),
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

    /// Writes a document's pairs.
    ///
    /// # Errors
    /// The output's.
    pub(crate) fn write(&mut self, document: &Source, queries: Vec<Query>) -> anyhow::Result<()> {
        let pairs = pairs::write(document, queries, &mut self.out)?;
        self.documents += 1;
        self.pairs += pairs;
        self.progress.add(1);
        self.session.debug(format!("document {}: {pairs} pairs", document.id));
        Ok(())
    }

    /// Passes on what was written so far.
    ///
    /// # Errors
    /// The output's.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.out.flush()?)
    }

    /// Completes the output and says the counts, `more` of them included.
    ///
    /// # Errors
    /// The output's.
    pub(crate) fn finish(self, more: &[(&str, u64)]) -> anyhow::Result<Outcome> {
        self.out.finish()?;
        drop(self.progress);
        let mut counts = format!("documents: {}, pairs: {}", self.documents, self.pairs);
        let blank = ("documents without text", self.blank);
        for (name, count) in more.iter().chain([&blank]).filter(|(_, count)| *count > 0) {
            counts.push_str(&format!(", {name}: {count}"));
        }
        self.session.notice(counts);
        Ok(self.skipper.outcome())
    }
}
