//! SIGINT, SIGTERM and SIGHUP: the first asks the filter to end, the second ends it at once.

use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::signals::{Signals, end_by};

/// How long a request to end waits until its message is written, so that messages are in order if somebody reads them.
const ANNOUNCEMENT: Duration = Duration::from_millis(100);

/// The error of reading after a signal.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Whether the user asked the filter to end.
#[derive(Debug, Clone)]
pub struct Interrupt {
    /// Its number, or 0.
    signal: Arc<AtomicI32>,
    /// Whether reads are cancelled.
    is_cancelled: Arc<AtomicBool>,
    /// Readable after the first signal, or when reads are cancelled, so that waiting for input ends.
    wake: Arc<UnixStream>,
    sender: Arc<UnixStream>,
}

impl Interrupt {
    /// Starts the thread that handles signals. Before the first one takes effect, `announce` is called with it on
    /// another thread: it may block on a stopped terminal, and the second signal must be handled even then.
    pub(crate) fn listen(signals: Signals, announce: impl FnOnce(Signal) + Send + 'static) -> io::Result<Self> {
        let (wake, sender) = UnixStream::pair()?;
        let interrupt = Self {
            signal: Arc::default(),
            is_cancelled: Arc::default(),
            wake: Arc::new(wake),
            sender: Arc::new(sender),
        };
        let listener = interrupt.clone();
        thread::Builder::new().name("signals".into()).spawn(move || listener.handle(&signals, announce))?;
        Ok(interrupt)
    }

    /// Handles signals until the process ends.
    fn handle(&self, signals: &Signals, announce: impl FnOnce(Signal) + Send + 'static) {
        let Ok(first) = signals.wait() else { return };
        wait_briefly_for(move || announce(first));
        self.signal.store(first as i32, Ordering::Relaxed);
        self.wake();
        while let Ok(next) = signals.wait() {
            // When a terminal closes, both the shell and the kernel may send SIGHUP.
            if (first, next) != (Signal::SIGHUP, Signal::SIGHUP) {
                end_by(next);
            }
        }
    }

    /// The signal that was received, if any.
    pub fn signal(&self) -> Option<i32> {
        match self.signal.load(Ordering::Relaxed) {
            0 => None,
            number => Some(number),
        }
    }

    /// Fails when the user asked to end; a filter calls it between batches.
    ///
    /// # Errors
    /// [`Interrupted`] after a signal.
    pub fn check(&self) -> Result<(), Interrupted> {
        self.signal().map_or(Ok(()), |_| Err(Interrupted))
    }

    /// Makes all reading of inputs fail with [`Interrupted`], including a read on another thread that waits for a pipe.
    pub fn cancel_reads(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// Ends every wait for input, now and later. The byte is never read; writing it cannot block, because few are
    /// written.
    fn wake(&self) {
        let _ = (&*self.sender).write_all(&[0]);
    }

    /// Waits until `source` can be read; calls `hook` when it cannot yet.
    pub(crate) fn wait_readable(&self, source: &impl AsFd, hook: impl FnOnce()) -> io::Result<()> {
        let mut hook = Some(hook);
        let mut timeout = Some(Timespec { tv_sec: 0, tv_nsec: 0 });
        loop {
            self.check().map_err(io::Error::other)?;
            if self.is_cancelled.load(Ordering::Relaxed) {
                return Err(io::Error::other(Interrupted));
            }
            let mut waiting = [PollFd::new(source, PollFlags::IN), PollFd::new(&*self.wake, PollFlags::IN)];
            match poll(&mut waiting, timeout.as_ref()) {
                Ok(_) if !waiting[0].revents().is_empty() => return Ok(()),
                Ok(_) => {
                    if let Some(hook) = hook.take() {
                        hook();
                    }
                    timeout = None;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Calls `act` on another thread and waits for it to return, but only briefly.
fn wait_briefly_for(act: impl FnOnce() + Send + 'static) {
    let (done, returned) = mpsc::channel::<()>();
    let acting = thread::Builder::new().spawn(move || {
        act();
        drop(done);
    });
    if acting.is_ok() {
        // This is an error in any case: the sender is dropped, or the wait times out.
        let _ = returned.recv_timeout(ANNOUNCEMENT);
    }
}
