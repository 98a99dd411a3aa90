//! A run as stages that work side by side: read, tokenise, infer, write.
//!
//! A window of records goes from stage to stage, in the order of the input and from hand to hand: a stage that is done
//! with one waits until the next stage takes it, so that there are four windows at most, whatever the input. An error
//! goes the same way, behind the windows that were on it before.

mod gather;
mod stage;
mod times;
mod window;

use std::panic;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;

use embtune_cli::{Interrupt, Session, Skipper};
use embtune_encode::Encoder;

use crate::input::fields::Fields;
use crate::input::records::Records;
use crate::kept::known::Known;
use crate::long::Long;
use gather::Gather;
use times::Clock;

pub(crate) use times::Times;
pub(crate) use window::Embedded;

/// How records become rows of tokens, and vectors of rows answers.
pub(crate) struct Texts {
    pub(crate) fields: Fields,
    pub(crate) long: Long,
    /// Whether vectors have length 1.
    pub(crate) normalized: bool,
}

/// Runs all records through a model; `write` gets them with their vectors, in order.
///
/// When somebody reads the output as it comes (`is_live`), a slow input is not waited for.
///
/// # Errors
/// The first error of any stage; [`embtune_cli::Interrupted`] after a signal, once the window that was being computed
/// is written.
pub(crate) fn run(
    (records, skipper): (Records, &Skipper<'_>),
    encoder: &mut Encoder,
    texts: &Texts,
    mut known: Known<'_>,
    mut write: impl FnMut(Embedded) -> anyhow::Result<()>,
    is_live: bool,
    session: &Session,
) -> anyhow::Result<Times> {
    let (front, runner, interrupt) = (&Arc::clone(encoder.front()), encoder.runner(), session.interrupt());
    let gather = &Arc::new(Gather::new(runner.window_bytes()));
    if is_live {
        let gather = Arc::clone(gather);
        let hook = move || gather.wait_for_input();
        records.readers().for_each(|input| input.on_wait(hook.clone()));
    }
    thread::scope(|scope| {
        let ending = Ending { gather, interrupt };
        let (to_infer, tokenised) = sync_channel(0);
        let (to_write, embedded) = sync_channel(0);
        let read = scope.spawn(move || stage::read(records, skipper, gather));
        let tokenise = scope.spawn(move || {
            let work = |records| {
                interrupt.check().map_err(Into::into).and_then(|()| stage::tokenise(front, texts, &mut known, records))
            };
            stage::pump(|| gather.take(), work, to_infer)
        });
        let infer = scope.spawn(move || {
            let work =
                |window| interrupt.check().map_err(Into::into).and_then(|()| stage::infer(runner, texts, window));
            stage::pump(|| tokenised.recv().ok(), work, to_write)
        });
        let mut clock = Clock::start();
        let written = loop {
            let Some(window) = clock.wait(|| embedded.recv().ok()) else { break Ok(()) };
            let result = window.and_then(&mut write).and_then(|()| Ok(interrupt.check()?));
            if result.is_err() {
                break result;
            }
            gather.written();
        };
        let write = clock.worked();
        drop((ending, embedded));
        let [read, tokenise, infer] =
            [read, tokenise, infer].map(|stage| stage.join().unwrap_or_else(|panic| panic::resume_unwind(panic)));
        written.map(|()| Times { read, tokenise, infer, write })
    })
}

/// Lets all stages end, also in the midst of a panic: what is still under way has nowhere to go.
struct Ending<'a> {
    gather: &'a Gather,
    interrupt: &'a Interrupt,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.gather.abandon();
        self.interrupt.cancel_reads();
    }
}
