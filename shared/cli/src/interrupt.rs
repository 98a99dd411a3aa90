//! SIGINT and SIGTERM: the first asks the filter to end, the second ends it at once.

use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGINT, SIGTERM};

/// What reading ends with after a signal.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Whether the user asked the filter to end.
#[derive(Debug, Clone)]
pub struct Interrupt {
    signal: Arc<AtomicUsize>,
    /// Whether no more input is wanted.
    is_over: Arc<AtomicBool>,
    /// Readable from the first signal on, or when no more input is wanted, so that a wait for input can end.
    wake: Arc<UnixStream>,
    sender: Arc<UnixStream>,
}

impl Interrupt {
    pub(crate) fn install() -> io::Result<Self> {
        let signal = Arc::new(AtomicUsize::new(0));
        let (wake, sender) = UnixStream::pair()?;
        for number in [SIGINT, SIGTERM] {
            // Order matters: when the flag is set already, this handler is the second signal's and ends the process.
            let asked = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register_conditional_default(number, Arc::clone(&asked))?;
            signal_hook::flag::register(number, asked)?;
            signal_hook::flag::register_usize(number, Arc::clone(&signal), number as usize)?;
            signal_hook::low_level::pipe::register(number, sender.try_clone()?)?;
        }
        Ok(Self { signal, is_over: Arc::default(), wake: Arc::new(wake), sender: Arc::new(sender) })
    }

    /// The signal that came, if one did.
    pub fn signal(&self) -> Option<i32> {
        match self.signal.load(Ordering::Relaxed) {
            0 => None,
            number => Some(number as i32),
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
    pub fn end_waiting(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        // It fails only when a signal has filled the socket, which has the same effect.
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
