//! SIGINT, SIGTERM and SIGHUP: the first asks the filter to end, a second one ends it at once.

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

/// How long a request to end waits for its message to be written, so that messages are in order where somebody reads
/// them.
const ANNOUNCEMENT: Duration = Duration::from_millis(100);

/// What reading ends with after a signal.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Whether the user asked the filter to end.
#[derive(Debug, Clone)]
pub struct Interrupt {
    /// Its number, or 0.
    signal: Arc<AtomicI32>,
    /// Whether no more input is wanted.
    is_over: Arc<AtomicBool>,
    /// Readable from the first signal on, or when no more input is wanted, so that a wait for input can end.
    wake: Arc<UnixStream>,
    sender: Arc<UnixStream>,
}

impl Interrupt {
    /// Starts the thread that takes signals. Before the first request to end takes effect, `announce` is called with it,
    /// on a thread of its own: the terminal it writes to may be stopped, and the second signal must be taken even then.
    pub(crate) fn listen(signals: Signals, announce: impl FnOnce(Signal) + Send + 'static) -> io::Result<Self> {
        let (wake, sender) = UnixStream::pair()?;
        let interrupt =
            Self { signal: Arc::default(), is_over: Arc::default(), wake: Arc::new(wake), sender: Arc::new(sender) };
        let listener = interrupt.clone();
        thread::Builder::new().name("signals".into()).spawn(move || listener.take(&signals, announce))?;
        Ok(interrupt)
    }

    /// Takes signals to the end of the process.
    fn take(&self, signals: &Signals, announce: impl FnOnce(Signal) + Send + 'static) {
        let Ok(first) = signals.wait() else { return };
        wait_briefly_for(move || announce(first));
        self.signal.store(first as i32, Ordering::Relaxed);
        self.wake();
        while let Ok(next) = signals.wait() {
            // Where a terminal closes, the shell and the kernel may both tell of it.
            if (first, next) != (Signal::SIGHUP, Signal::SIGHUP) {
                end_by(next);
            }
        }
    }

    /// The signal that came, if one did.
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

    /// Lets all reading of inputs end with [`Interrupted`], also a wait for more of a pipe on another thread: no more
    /// input is wanted.
    pub fn cancel_reads(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// Ends every wait for input, now and later. Nobody reads the byte; it cannot be refused, because few are written.
    fn wake(&self) {
        let _ = (&*self.sender).write_all(&[0]);
    }

    /// Waits until `source` can be read; calls `hook` when it cannot yet.
    pub(crate) fn wait_readable(&self, source: &impl AsFd, hook: impl FnOnce()) -> io::Result<()> {
        let mut hook = Some(hook);
        let mut timeout = Some(Timespec { tv_sec: 0, tv_nsec: 0 });
        loop {
            self.check().map_err(io::Error::other)?;
            if self.is_over.load(Ordering::Relaxed) {
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

/// Calls `act` on another thread and waits until it has returned, or for a moment.
fn wait_briefly_for(act: impl FnOnce() + Send + 'static) {
    let (done, returned) = mpsc::channel::<()>();
    let acting = thread::Builder::new().spawn(move || {
        act();
        drop(done);
    });
    if acting.is_ok() {
        // It ends with an error either way: the sender is dropped, or the time is over.
        let _ = returned.recv_timeout(ANNOUNCEMENT);
    }
}
