//! Reading beside asking.

use std::io;
use std::thread::{self, JoinHandle};

use embtune_records::ReadError;
use tokio::sync::mpsc;

use super::Source;

/// The documents of a reader that runs on a thread of its own, one ahead: a pipe may keep it waiting.
pub(crate) struct Ahead {
    documents: mpsc::Receiver<Result<Source, ReadError>>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    pub(crate) fn new(documents: impl Iterator<Item = Result<Source, ReadError>> + Send + 'static) -> Self {
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

    /// The next document; nothing is lost when the wait for it is given up.
    pub(crate) async fn next(&mut self) -> Option<Result<Source, ReadError>> {
        if let Some(document) = self.documents.recv().await {
            return Some(document);
        }
        // A thread that died must not pass for the end of the input.
        let died = self.thread.take()?.join().is_err();
        died.then(|| Err(ReadError::Io { source_name: "input".into(), error: io::Error::other("reading broke off") }))
    }
}
