//! Reading the input once before it is read for good: to know how much there is.

use embtune_cli::{Replayable, Session, is_regular_file, spool_directory};

use super::Documents;
use super::passage::passages;
use super::source::documents;
use crate::cli::Cli;

/// How much there is to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// Documents that have text.
    pub(crate) documents: u64,
    /// Their passages.
    pub(crate) passages: u64,
}

/// The input, when it can be read more than once.
pub(crate) struct Corpus(Vec<Replayable>);

impl Corpus {
    /// The operands, if all of them are regular files.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub(crate) fn of_files(cli: &Cli, session: &Session) -> anyhow::Result<Option<Self>> {
        let files = &cli.records.files;
        let is_replayable = !files.is_empty() && files.iter().all(|file| is_regular_file(file));
        is_replayable.then(|| Self::open(cli, session)).transpose()
    }

    /// The operands; stdin and pipes are read to their end and kept in a temporary file.
    ///
    /// # Errors
    /// What cannot be read, or a disk that is full.
    pub(crate) fn open(cli: &Cli, session: &Session) -> anyhow::Result<Self> {
        session.replayable_inputs(&cli.records.files, &spool_directory(cli.output.as_deref())).map(Self)
    }

    /// The documents, from the beginning.
    ///
    /// # Errors
    /// A file that is gone; the items' errors are those of reading.
    pub(crate) fn documents(&self, max_record_bytes: usize) -> anyhow::Result<Documents> {
        let inputs = self.0.iter().map(Replayable::open).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Box::new(documents(inputs, max_record_bytes)))
    }

    /// Counts; a record that cannot be read counts as none, and is left to the second reading.
    ///
    /// # Errors
    /// A file that cannot be read, or a signal.
    pub(crate) fn count(&self, cli: &Cli, session: &Session) -> anyhow::Result<Census> {
        let mut census = Census::default();
        for document in self.documents(cli.records.max_record_bytes)? {
            session.interrupt().check()?;
            match document {
                Ok(document) if document.is_blank() => {}
                Ok(document) => {
                    census.documents += 1;
                    census.passages += passages(document, cli.prompt.passage_chars).len() as u64;
                }
                Err(error) if error.is_recoverable() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(census)
    }
}
