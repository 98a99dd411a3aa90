//! SIGINT and SIGTERM: the first asks the filter to end, the second ends it at once.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGINT, SIGTERM};

/// What reading ends with after a signal.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Whether the user asked the filter to end.
#[derive(Debug, Clone)]
pub struct Interrupt {
    signal: Arc<AtomicUsize>,
    /// Readable from the first signal on, so that a wait for input can end.
    wake: Arc<UnixStream>,
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
        Ok(Self { signal, wake: Arc::new(wake) })
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

    pub(crate) fn wait_readable(&self, source: &impl AsFd) -> io::Result<()> {
        loop {
            self.check().map_err(io::Error::other)?;
            let mut waiting = [PollFd::new(source, PollFlags::IN), PollFd::new(&*self.wake, PollFlags::IN)];
            match poll(&mut waiting, None) {
                Ok(_) if !waiting[0].revents().is_empty() => return Ok(()),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
