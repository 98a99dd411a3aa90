//! A run as stages that work in parallel: read, tokenise, infer, write.
//!
//! Windows of records pass through the stages in the order of the input. A stage that has finished a window waits until
//! the next stage takes it, so that there are at most four windows at a time, however long the input is. An error
//! passes through the stages in the same way, after the windows before it.

mod stages;
mod times;
mod window_queue;

use std::panic;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;

use embtune_cli::{Interrupt, Session};
use embtune_encode::Encoder;

use crate::input::RecordSource;
use crate::input::fields::Fields;
use crate::long_texts::LongTextPolicy;
use crate::store::StoreReader;
use times::WorkTimer;
use window_queue::WindowQueue;

pub(crate) use stages::EmbeddedWindow;
pub(crate) use times::StageTimes;

/// How the text of a record becomes tokens, and the vectors of these an embedding.
pub(crate) struct TextSettings {
    pub(crate) fields: Fields,
    pub(crate) long_texts: LongTextPolicy,
    /// Whether vectors have length 1.
    pub(crate) normalized: bool,
}

/// Embeds all records, and passes them to `write` in order.
///
/// If the output is live, that is, written as it is computed, it does not wait for a slow input to fill a window.
///
/// # Errors
/// The first error of any stage; [`embtune_cli::Interrupted`] after a signal, once the window that is being computed
/// has been written.
pub(crate) fn run(
    source: RecordSource<'_>,
    encoder: &mut Encoder,
    settings: &TextSettings,
    mut store: StoreReader<'_>,
    mut write: impl FnMut(EmbeddedWindow) -> anyhow::Result<()>,
    is_live: bool,
    session: &Session,
) -> anyhow::Result<StageTimes> {
    let tokenizer = &Arc::clone(encoder.text_tokenizer());
    let (runner, interrupt) = (encoder.runner(), session.interrupt());
    let queue = &Arc::new(WindowQueue::new(runner.window_bytes()));
    if is_live {
        let queue = Arc::clone(queue);
        source.on_wait(move || queue.reader_waits());
    }
    thread::scope(|scope| {
        let shutdown = Shutdown { queue, interrupt };
        let (to_infer, tokenized) = sync_channel(0);
        let (to_write, embedded) = sync_channel(0);
        let read = scope.spawn(move || stages::read(source, queue));
        let tokenize = scope.spawn(move || {
            let work = |records| {
                interrupt.check()?;
                stages::tokenize(tokenizer, settings, &mut store, records)
            };
            stages::run_stage(|| queue.take(), work, to_infer)
        });
        let infer = scope.spawn(move || {
            let work = |window| {
                interrupt.check()?;
                stages::infer(runner, settings, window)
            };
            stages::run_stage(|| tokenized.recv().ok(), work, to_write)
        });
        let mut timer = WorkTimer::start();
        let written = loop {
            let Some(window) = timer.wait(|| embedded.recv().ok()) else { break Ok(()) };
            let result = window.and_then(&mut write).and_then(|()| Ok(interrupt.check()?));
            if result.is_err() {
                break result;
            }
            queue.window_written();
        };
        let write = timer.worked();
        drop((shutdown, embedded));
        let [read, tokenize, infer] =
            [read, tokenize, infer].map(|stage| stage.join().unwrap_or_else(|panic| panic::resume_unwind(panic)));
        written.map(|()| StageTimes { read, tokenize, infer, write })
    })
}

/// Lets all stages end, also after a panic, because their results are no longer needed.
struct Shutdown<'a> {
    queue: &'a WindowQueue,
    interrupt: &'a Interrupt,
}

impl Drop for Shutdown<'_> {
    fn drop(&mut self) {
        self.queue.abandon();
        self.interrupt.cancel_reads();
    }
}
