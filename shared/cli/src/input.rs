//! Input files and stdin.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;

use crate::{Interrupt, descriptors, escape};

/// Large enough to make the cost of system calls negligible.
const BUFFER_BYTES: usize = 256 << 10;
/// The name of stdin on a command line.
pub(crate) const STDIN: &str = "-";

/// An open input file, or stdin.
///
/// After a signal, reading fails with [`crate::Interrupted`], even while it waits for a pipe.
pub struct Input {
    /// Its name in messages: the path as it was given, or `<stdin>`.
    pub name: String,
    reader: Box<dyn BufRead + Send>,
    on_wait: Arc<OnceLock<Hook>>,
}

type Hook = Box<dyn Fn() + Send + Sync>;

impl Input {
    pub(crate) fn open(path: &Path, interrupt: &Interrupt, refuse_terminal: bool) -> anyhow::Result<Self> {
        if path == Path::new(STDIN) {
            anyhow::ensure!(
                !refuse_terminal,
                "no input: stdin is a terminal\nhint: name a file, pipe data in, or give `-` to type it"
            );
            let name = "<stdin>".to_owned();
            let stdin = descriptors::stdin().with_context(|| name.clone())?;
            return Ok(Self::new(name, stdin, interrupt));
        }
        let name = escape::path(path);
        let file = File::open(path).with_context(|| name.clone())?;
        anyhow::ensure!(!file.metadata().with_context(|| name.clone())?.is_dir(), "{name}: is a directory");
        Ok(Self::new(name, file, interrupt))
    }

    pub(crate) fn new(name: String, source: impl Read + AsFd + Send + 'static, interrupt: &Interrupt) -> Self {
        let on_wait = Arc::default();
        let source = Interruptible { source, interrupt: interrupt.clone(), on_wait: Arc::clone(&on_wait) };
        Self { name, reader: Box::new(BufReader::with_capacity(BUFFER_BYTES, source)), on_wait }
    }

    /// The input with its name.
    pub fn into_named(self) -> (String, Self) {
        (self.name.clone(), self)
    }

    /// Sets a function that is called whenever reading is about to wait for a pipe; only the first one is kept.
    pub fn on_wait(&self, hook: impl Fn() + Send + Sync + 'static) {
        let _ = self.on_wait.set(Box::new(hook));
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.reader.consume(amount);
    }
}

struct Interruptible<R> {
    source: R,
    interrupt: Interrupt,
    on_wait: Arc<OnceLock<Hook>>,
}

impl<R: Read + AsFd> Read for Interruptible<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupt.wait_readable(&self.source, || {
            if let Some(hook) = self.on_wait.get() {
                hook();
            }
        })?;
        self.source.read(buffer)
    }
}
