//! A pipe that nobody reads.

use std::io::{PipeReader, PipeWriter};
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Holds a pipe open without reading it: its writer stops when it is full.
pub struct UnreadPipe {
    pub(crate) writer: PipeWriter,
    _reader: PipeReader,
}

impl UnreadPipe {
    pub(crate) fn new() -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        Self { writer, _reader: reader }
    }

    /// Waits until the pipe is full.
    pub fn wait_until_full(&self) {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        while poll(&mut [PollFd::new(&self.writer, PollFlags::OUT)], Some(&now)) != Ok(0) {
            thread::yield_now();
        }
    }
}
