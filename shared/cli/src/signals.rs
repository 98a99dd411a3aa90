//! The signals that a filter takes, and how it ends by one.
//!
//! No handler is installed. A handler's frame is written where the stack pointer of an interrupted thread points, and in
//! oneDNN's matrix kernels that is the middle of a matrix on the heap (oneDNN issue 4845). Every thread blocks these
//! signals instead, and one waits for them. The other signals keep their default action, which writes no frame either:
//! the kernel itself ends, stops or continues the process, or discards the signal. Only a mapped file that cannot be read
//! any more (SIGBUS, in embtune-tensors) has a handler, from which no thread comes back.

use std::{fs, io};

use nix::sys::signal::{SigSet, Signal, raise};

/// The signals that ask a filter to end.
const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// The signals that a scheduler or a terminal sends to tell of something that no filter needs to know. The first two
/// would end the process if nobody took them.
const IGNORED: [Signal; 4] = [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGWINCH, Signal::SIGCONT];

/// Signals that no thread has delivered to it.
#[derive(Debug)]
pub(crate) struct Signals(SigSet);

impl Signals {
    /// Blocks them in this thread, and with that in all threads that it starts from now on.
    ///
    /// What is ignored stays ignored: SIGHUP under `nohup`, SIGINT in a background job of a script. Linux queues a signal
    /// that is both blocked and ignored, so such a signal must not be among those that are waited for.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn block() -> io::Result<Self> {
        let ignored = ignored_from_the_start();
        let is_taken = |signal: &Signal| ignored & 1 << (*signal as u32 - 1) == 0;
        let signals: SigSet = ENDING.into_iter().chain(IGNORED).filter(is_taken).collect();
        signals.thread_block()?;
        Ok(Self(signals))
    }

    /// Gives them back their default action in this thread.
    pub(crate) fn release(&self) {
        let _ = self.0.thread_unblock();
    }

    /// Waits for the next one that asks to end, and takes the others on the way.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn wait(&self) -> io::Result<Signal> {
        loop {
            let signal = self.0.wait()?;
            if ENDING.contains(&signal) {
                return Ok(signal);
            }
        }
    }
}

/// Ends the process by a signal's default action, so that the shell and make see what happened. It returns only where
/// that is impossible.
pub(crate) fn end_by(signal: Signal) {
    let only: SigSet = [signal].into_iter().collect();
    let _ = only.thread_unblock().and_then(|()| raise(signal));
}

/// The signals that the parent process has chosen to have ignored, bit n − 1 for signal n (proc_pid_status(5)); without
/// /proc, none.
fn ignored_from_the_start() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
