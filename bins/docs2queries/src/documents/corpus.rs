//! All documents of a run.

use std::io;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use embtune_cli::{Input, Replayable, Session, is_regular_file, spool_directory};
use embtune_records::{Document, Located, ReadError, RecordStream};
use tokio::sync::mpsc;

use super::passages::passages;
use super::{Documents, SourceDocument, readable};

/// Where documents come from.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The input files; none is stdin.
    pub(crate) files: Vec<PathBuf>,
    /// The longest record that is accepted, in bytes.
    pub(crate) max_record_bytes: usize,
    /// The output, beside which a copy of the input is kept if one is needed.
    pub(crate) output: Option<PathBuf>,
}

/// How many documents there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// Documents that have text.
    pub(crate) documents: u64,
    /// Their passages.
    pub(crate) passages: u64,
}

/// The documents of a run, which can be read more than once if that was asked for, or if they are in regular files.
pub(crate) struct Corpus<'a> {
    settings: &'a Settings,
    replayable: Option<Vec<Replayable>>,
}

impl<'a> Corpus<'a> {
    /// Opens the input. If it is to be read more than once, stdin and pipes are copied to a temporary file.
    ///
    /// # Errors
    /// A file that cannot be opened, a pipe that cannot be copied.
    pub(crate) fn open(settings: &'a Settings, is_read_twice: bool, session: &Session) -> anyhow::Result<Self> {
        let files = &settings.files;
        let is_regular = !files.is_empty() && files.iter().all(|file| is_regular_file(file));
        let open = || session.replayable_inputs(files, &spool_directory(settings.output.as_deref()));
        let replayable = (is_read_twice || is_regular).then(open).transpose()?;
        Ok(Self { settings, replayable })
    }

    /// The documents, from the beginning.
    pub(crate) fn documents(&self, session: &Session) -> anyhow::Result<Documents> {
        let inputs = match &self.replayable {
            Some(inputs) => inputs.iter().map(Replayable::open).collect::<anyhow::Result<Vec<_>>>()?,
            None => session.inputs(&self.settings.files)?,
        };
        let inputs = inputs.into_iter().map(Input::into_named);
        let documents = RecordStream::<Document, _>::new(inputs, self.settings.max_record_bytes);
        let source = |Located { record, location, .. }| SourceDocument::new(record, location);
        Ok(Box::new(documents.map(move |document| document.and_then(source))))
    }

    /// Counts the documents and their passages of at most `passage_chars` characters; none if the input can be read
    /// only once. A record that cannot be read is not counted; reading it again will report it.
    pub(crate) fn count(&self, passage_chars: usize, session: &Session) -> anyhow::Result<Option<Census>> {
        if self.replayable.is_none() {
            return Ok(None);
        }
        let mut census = Census::default();
        for document in self.documents(session)? {
            session.interrupt().check()?;
            if let Some(document) = readable(document, |_| Ok(()))? {
                census.documents += 1;
                census.passages += passages(document, passage_chars).len() as u64;
            }
        }
        Ok(Some(census))
    }
}

/// Documents that are read on a thread, one in advance, because reading from a pipe may block.
pub(crate) struct ReadAhead {
    documents: mpsc::Receiver<Result<SourceDocument, ReadError>>,
    thread: Option<JoinHandle<()>>,
}

impl ReadAhead {
    /// Starts to read.
    pub(crate) fn new(documents: impl Iterator<Item = Result<SourceDocument, ReadError>> + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        let thread = thread::spawn(move || {
            for document in documents {
                let is_last = document.as_ref().is_err_and(|error| !error.is_recoverable());
                if sender.blocking_send(document).is_err() || is_last {
                    break;
                }
            }
        });
        Self { documents: receiver, thread: Some(thread) }
    }

    /// The next document. Nothing is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> Option<Result<SourceDocument, ReadError>> {
        if let Some(document) = self.documents.recv().await {
            return Some(document);
        }
        // A thread that panicked must not look like the end of the input.
        let has_panicked = self.thread.take()?.join().is_err();
        let error = || io::Error::other("reading broke off");
        has_panicked.then(|| Err(ReadError::Io { source_name: "input".into(), error: error() }))
    }
}
