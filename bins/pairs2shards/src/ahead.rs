//! Reading beside tokenising.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};

use anyhow::bail;
use embtune_cli::Input;
use embtune_records::{Pair, ReadError, Records};

/// A pair and where it stands.
pub(crate) struct Read {
    pub(crate) pair: Pair,
    pub(crate) place: Place,
}

/// A line of an input.
pub(crate) struct Place {
    name: Arc<str>,
    line: u64,
}

impl Place {
    /// An error about what stands there.
    pub(crate) fn error(&self, what: impl Into<String>) -> ReadError {
        ReadError::Record { source_name: self.name.to_string(), line: self.line, what: what.into() }
    }
}

/// Pairs in their order, or what is wrong with them.
pub(crate) type Window = Vec<Result<Read, ReadError>>;

/// The pairs of the inputs, read by a thread of its own, one window ahead.
pub(crate) struct Ahead {
    windows: Receiver<Window>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    /// Begins to read windows of so many pairs.
    pub(crate) fn new(inputs: Vec<Input>, max_record_bytes: usize, pairs: usize) -> Self {
        let (sender, windows) = mpsc::sync_channel(1);
        // Nobody waits for this thread: a pipe may keep it waiting when the program has to end.
        let thread = thread::spawn(move || read(inputs, max_record_bytes, pairs, &sender));
        Self { windows, thread: Some(thread) }
    }

    /// The next window, which has more or fewer pairs only at the end.
    ///
    /// # Errors
    /// Reading that broke off: it must not pass for the end of the input.
    pub(crate) fn next(&mut self) -> anyhow::Result<Option<Window>> {
        match self.windows.recv() {
            Ok(window) => Ok(Some(window)),
            Err(_) => match self.thread.take().map(JoinHandle::join) {
                Some(Err(_)) => bail!("reading broke off"),
                _ => Ok(None),
            },
        }
    }
}

fn read(inputs: Vec<Input>, max_record_bytes: usize, pairs: usize, sender: &SyncSender<Window>) {
    let mut window = Window::new();
    for input in inputs {
        let name: Arc<str> = input.name.as_str().into();
        let mut records = Records::<Pair, _>::new(&*name, input, max_record_bytes);
        while let Some(pair) = records.next() {
            let is_last = pair.as_ref().is_err_and(|error| !error.is_record());
            let place = Place { name: Arc::clone(&name), line: records.line() };
            window.push(pair.map(|pair| Read { pair, place }));
            if is_last || window.len() == pairs {
                let is_closed = sender.send(std::mem::take(&mut window)).is_err();
                if is_last || is_closed {
                    return;
                }
            }
        }
    }
    // A receiver that is gone has failed already.
    let _ = sender.send(window);
}
