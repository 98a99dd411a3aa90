//! Reading beside tokenising.

use std::mem;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};

use anyhow::bail;
use embtune_cli::Input;
use embtune_records::{Located, Pair, RecordStream};

use crate::input::merge::{Row, Window};
use crate::input::negatives::clean;

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

    /// The next window.
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

fn read(inputs: Vec<Input>, max_record_bytes: usize, most: usize, sender: &SyncSender<Window>) {
    let mut window = Window::default();
    let inputs = inputs.into_iter().map(Input::into_named);
    for record in RecordStream::<Vec<Pair>, _>::new(inputs, max_record_bytes) {
        let (mut pairs, place) = match record {
            Ok(Located { record, location, .. }) => (record, location),
            Err(error) => {
                window.rows.push(Row::Bad(error));
                if window.is_full(most) && sender.send(mem::take(&mut window)).is_err() {
                    return;
                }
                continue;
            }
        };
        let faults = clean(&mut pairs);
        for pair in pairs {
            if window.ends_before(&pair, most) && sender.send(mem::take(&mut window)).is_err() {
                return;
            }
            window.push(pair, place.clone());
        }
        window.faults.iter_mut().zip(faults).for_each(|(all, faults)| *all += faults);
    }
    // A receiver that is gone has failed already.
    let _ = sender.send(window);
}
