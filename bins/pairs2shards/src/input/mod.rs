//! Pairs as they come in: read ahead on a thread, without unusable negatives, and with the rows of one pair merged.

pub(crate) mod merge;
pub(crate) mod negatives;

use std::mem;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};

use anyhow::bail;
use embtune_cli::Input;
use embtune_records::{Located, Pair, RecordStream};

use merge::{PairBatch, Row};
use negatives::clean;

/// Reads the pairs of all inputs on a separate thread, one batch ahead of the caller.
pub(crate) struct ReadAhead {
    batches: Receiver<PairBatch>,
    thread: Option<JoinHandle<()>>,
}

impl ReadAhead {
    /// Starts to read batches of this many pairs.
    pub(crate) fn new(inputs: Vec<Input>, max_record_bytes: usize, pairs: usize) -> Self {
        let (sender, batches) = mpsc::sync_channel(1);
        // The thread is not joined when the program ends early: it may be blocked on a pipe.
        let thread = thread::spawn(move || read(inputs, max_record_bytes, pairs, &sender));
        Self { batches, thread: Some(thread) }
    }

    /// The next batch, or `None` at the end of the input.
    ///
    /// # Errors
    /// A reader that panicked, which must not look like the end of the input.
    pub(crate) fn next(&mut self) -> anyhow::Result<Option<PairBatch>> {
        match self.batches.recv() {
            Ok(batch) => Ok(Some(batch)),
            Err(_) => match self.thread.take().map(JoinHandle::join) {
                Some(Err(_)) => bail!("the reader stopped unexpectedly"),
                _ => Ok(None),
            },
        }
    }
}

fn read(inputs: Vec<Input>, max_record_bytes: usize, most: usize, sender: &SyncSender<PairBatch>) {
    let mut batch = PairBatch::default();
    let inputs = inputs.into_iter().map(Input::into_named);
    for record in RecordStream::<Vec<Pair>, _>::new(inputs, max_record_bytes) {
        let (mut pairs, location) = match record {
            Ok(Located { record, location, .. }) => (record, location),
            Err(error) => {
                batch.rows.push(Row::Bad(error));
                if batch.is_full(most) && sender.send(mem::take(&mut batch)).is_err() {
                    return;
                }
                continue;
            }
        };
        let faults = clean(&mut pairs);
        for pair in pairs {
            if batch.ends_before(&pair, most) && sender.send(mem::take(&mut batch)).is_err() {
                return;
            }
            batch.push(pair, location.clone());
        }
        batch.faults.iter_mut().zip(faults).for_each(|(all, faults)| *all += faults);
    }
    // A receiver that is gone has failed already.
    let _ = sender.send(batch);
}
