//! The signals that a filter handles, and how it ends by one.
//!
//! No handler is installed, because a handler's frame is written to the stack pointer of the interrupted thread, and in
//! oneDNN's matrix kernels that points into a matrix on the heap (oneDNN issue 4845). Instead, every thread blocks
//! these signals, and one thread waits for them. The other signals keep their default action, which writes no frame
//! either: the kernel itself ends, stops or continues the process, or discards the signal. The only handler is the one
//! for a mapped file that can no longer be read (SIGBUS, in embtune-tensors), which never returns.

use std::{fs, io};

use nix::sys::signal::{SigSet, Signal, raise};

/// The signals that ask a filter to end.
const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Signals of schedulers and terminals that do not concern a filter. By default, the first two would end the process.
const IGNORED: [Signal; 4] = [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGWINCH, Signal::SIGCONT];

/// Signals that all threads block.
#[derive(Debug)]
pub(crate) struct Signals(SigSet);

impl Signals {
    /// Blocks them in this thread, and so in all threads that it starts from now on.
    ///
    /// Ignored signals stay ignored: SIGHUP under `nohup`, SIGINT in a background job of a script. Linux queues a
    /// signal that is both blocked and ignored, so ignored signals must not be among those that are waited for.
    ///
    /// # Errors
    /// Errors of the system.
    pub(crate) fn block() -> io::Result<Self> {
        let ignored = ignored_from_the_start();
        let is_handled = |signal: &Signal| ignored & 1 << (*signal as u32 - 1) == 0;
        let signals: SigSet = ENDING.into_iter().chain(IGNORED).filter(is_handled).collect();
        signals.thread_block()?;
        Ok(Self(signals))
    }

    /// Restores their default action in this thread.
    pub(crate) fn release(&self) {
        let _ = self.0.thread_unblock();
    }

    /// Waits for the next one that asks to end, and discards the others.
    ///
    /// # Errors
    /// Errors of the system.
    pub(crate) fn wait(&self) -> io::Result<Signal> {
        loop {
            let signal = self.0.wait()?;
            if ENDING.contains(&signal) {
                return Ok(signal);
            }
        }
    }
}

/// Ends the process with a signal's default action, so that the shell and make see what happened. Returns only if that
/// is impossible.
pub(crate) fn end_by(signal: Signal) {
    let only: SigSet = [signal].into_iter().collect();
    let _ = only.thread_unblock().and_then(|()| raise(signal));
}

/// The signals that the parent process has set to be ignored, bit n − 1 for signal n (proc_pid_status(5)); none without
/// /proc.
fn ignored_from_the_start() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
