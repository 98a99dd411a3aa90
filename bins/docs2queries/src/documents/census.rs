//! Reading the input once before it is read for good: to know how much there is.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use embtune_cli::{Session, spool_directory};

use super::Documents;
use super::passage::passages;
use super::source::{self, Named};
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
pub(crate) enum Corpus {
    /// Files, which are opened again.
    Files(Vec<PathBuf>),
    /// A copy of what came through a pipe.
    Spool { name: String, file: File },
}

impl Corpus {
    /// The operands, if all of them are regular files.
    pub(crate) fn of_files(cli: &Cli) -> Option<Self> {
        let files = &cli.records.files;
        let is_regular = |file: &PathBuf| file != Path::new("-") && file.is_file();
        (!files.is_empty() && files.iter().all(is_regular)).then(|| Self::Files(files.clone()))
    }

    /// The operands; stdin and pipes are read to their end and kept in a temporary file.
    ///
    /// # Errors
    /// What cannot be read, or a disk that is full.
    pub(crate) fn spooled(cli: &Cli, session: &Session) -> anyhow::Result<Self> {
        if let Some(files) = Self::of_files(cli) {
            return Ok(files);
        }
        let inputs = session.inputs(&cli.records.files)?;
        let directory = spool_directory(cli.output.as_deref());
        let context = || format!("{}: cannot keep the input", directory.display());
        let mut spool = tempfile::tempfile_in(&directory).with_context(context)?;
        let name = if let [only] = &inputs[..] { only.name.clone() } else { "input".into() };
        for mut input in inputs {
            let mut is_ended = true;
            loop {
                let bytes = input.fill_buf().with_context(|| name.clone())?;
                let Some(last) = bytes.last() else { break };
                is_ended = *last == b'\n';
                spool.write_all(bytes).with_context(context)?;
                let read = bytes.len();
                input.consume(read);
            }
            if !is_ended {
                spool.write_all(b"\n").with_context(context)?;
            }
        }
        Ok(Self::Spool { name, file: spool })
    }

    /// The documents, from the beginning.
    ///
    /// # Errors
    /// A file that is gone; the items' errors are those of reading.
    pub(crate) fn documents(&self, cli: &Cli, session: &Session) -> anyhow::Result<Documents> {
        match self {
            Self::Files(files) => Ok(Box::new(source::of_inputs(session.inputs(files)?, cli))),
            Self::Spool { name, file } => {
                let mut file = file.try_clone()?;
                file.rewind()?;
                let named = Named { name: name.clone(), reader: Box::new(BufReader::new(file)) };
                Ok(Box::new(source::of_named(named, cli.records.max_record_bytes)))
            }
        }
    }

    /// Counts; a record that cannot be read counts as none, and is left to the second reading.
    ///
    /// # Errors
    /// A file that cannot be read, or a signal.
    pub(crate) fn count(&self, cli: &Cli, session: &Session) -> anyhow::Result<Census> {
        let mut census = Census::default();
        for document in self.documents(cli, session)? {
            session.interrupt().check()?;
            match document {
                Ok(document) if document.is_blank() => {}
                Ok(document) => {
                    census.documents += 1;
                    census.passages += passages(document, cli.prompt.passage_chars).len() as u64;
                }
                Err(error) if error.is_record() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(census)
    }
}
