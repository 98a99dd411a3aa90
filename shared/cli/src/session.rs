//! The process around a running filter.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use indicatif::MultiProgress;
use nix::sys::signal::Signal;

use crate::input::STDIN;
use crate::log::{Level, Log};
use crate::signals::Signals;
use crate::{Input, Interrupt, LogFormat, Output, Progress, Replayable};

/// How a filter that did not fail has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was done: exit code 0.
    Done,
    /// The answer is no, or records were skipped: exit code 1.
    Incomplete,
}

/// The services of the process for a filter's body: messages, progress, signals, inputs and outputs.
pub struct Session {
    pub(crate) log: Log,
    bars: MultiProgress,
    interrupt: Interrupt,
    /// Files that this run has opened for writing.
    written: Mutex<Vec<PathBuf>>,
    /// Whether an input of this run is stdin.
    reads_stdin: AtomicBool,
}

impl Session {
    pub(crate) fn new(
        program: &str,
        unit: &'static str,
        format: LogFormat,
        most: Level,
        signals: Signals,
    ) -> io::Result<Self> {
        let bars = MultiProgress::new();
        let log = Log::new(program, format, most, bars.clone());
        let announcer = log.clone();
        let interrupt = Interrupt::listen(signals, move |signal| {
            // Only SIGINT is sent by a key.
            let again = if signal == Signal::SIGINT { "press again to stop now" } else { "a second signal stops now" };
            announcer.write(Level::Notice, &format!("finishing the {unit}; {again}"));
        })?;
        Ok(Self { log, bars, interrupt, written: Mutex::default(), reads_stdin: AtomicBool::new(false) })
    }

    /// The signals received so far.
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Prints a warning.
    pub fn warn(&self, message: impl AsRef<str>) {
        self.log.write(Level::Warning, message.as_ref());
    }

    /// Prints a progress message, with `-v`.
    pub fn info(&self, message: impl AsRef<str>) {
        self.log.write(Level::Info, message.as_ref());
    }

    /// Prints a detail, with `-vv`.
    pub fn debug(&self, message: impl AsRef<str>) {
        self.log.write(Level::Debug, message.as_ref());
    }

    /// Prints a message that the user expects, such as the counts at the end; silent with `-q`.
    pub fn notice(&self, message: impl AsRef<str>) {
        self.log.write(Level::Notice, message.as_ref());
    }

    /// A progress bar, hidden with `-q`, with `--log-format json` and when stderr is not a terminal.
    pub fn progress(&self, total: Option<u64>, unit: &str) -> Progress {
        let visible = self.log.shows(Level::Warning) && !self.log.json() && io::stderr().is_terminal();
        Progress::new(&self.bars, total, unit, visible)
    }

    /// Opens the input files; without any, or with `-`, stdin.
    ///
    /// # Errors
    /// A file that cannot be opened, no file while stdin is a terminal, stdin for the second time.
    pub fn inputs(&self, files: &[PathBuf]) -> anyhow::Result<Vec<Input>> {
        if files.is_empty() {
            return Ok(vec![self.input(Path::new(STDIN))?]);
        }
        files.iter().map(|file| self.open(file, false)).collect()
    }

    /// Opens one named file; `-` is stdin.
    ///
    /// # Errors
    /// A file that cannot be opened, stdin that is a terminal, stdin for the second time.
    pub fn input(&self, file: &Path) -> anyhow::Result<Input> {
        self.open(file, io::stdin().is_terminal())
    }

    /// Stdin can be read only once: a second reader would find it empty, and its records would be missing without a
    /// word.
    fn open(&self, file: &Path, refuse_terminal: bool) -> anyhow::Result<Input> {
        let is_second = file == Path::new(STDIN) && self.reads_stdin.swap(true, Ordering::Relaxed);
        anyhow::ensure!(
            !is_second,
            "stdin cannot be two inputs\nhint: `-`, and no file at all, mean stdin; name a file"
        );
        Input::open(file, &self.interrupt, refuse_terminal)
    }

    /// Opens input files of lines that are read more than once; without any, or with `-`, stdin. Inputs that cannot be
    /// opened again are copied to temporary files in `folder`.
    ///
    /// # Errors
    /// A file that cannot be opened, no file while stdin is a terminal, a pipe that cannot be copied.
    pub fn replayable_inputs(&self, files: &[PathBuf], folder: &Path) -> anyhow::Result<Vec<Replayable>> {
        let stdin = [PathBuf::from(STDIN)];
        let paths = if files.is_empty() { &stdin } else { files };
        let inputs = self.inputs(files)?.into_iter();
        inputs.zip(paths).map(|(input, path)| Replayable::of_lines(path, input, folder, &self.interrupt)).collect()
    }

    /// Opens one named file of lines that is read more than once, as [`replayable_inputs`](Self::replayable_inputs)
    /// does.
    ///
    /// # Errors
    /// A file that cannot be opened, a pipe that cannot be copied.
    pub fn replayable_input(&self, file: &Path, folder: &Path) -> anyhow::Result<Replayable> {
        Replayable::of_lines(file, self.input(file)?, folder, &self.interrupt)
    }

    /// Copies an input of any bytes to a temporary file in `folder`.
    ///
    /// # Errors
    /// An input that cannot be read, a full disk.
    pub fn copy(&self, input: Input, folder: &Path) -> anyhow::Result<Replayable> {
        Replayable::of_bytes(input, folder, &self.interrupt)
    }

    /// Opens the output; without a path, or with `-`, stdout.
    ///
    /// # Errors
    /// A file that cannot be created, or that is another output of this run.
    pub fn output(&self, path: Option<&Path>) -> io::Result<Output> {
        let output = Output::open(path)?;
        if let Some(file) = output.file() {
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            if written.iter().any(|other| other == file.target()) {
                return Err(io::Error::other(format!("{}: two outputs cannot be the same file", output.name())));
            }
            written.push(file.target().to_owned());
            if let Some(slow) = file.slow() {
                self.notice(format!("{}: {slow}", output.name()));
            }
        }
        Ok(output)
    }

    /// A function that formats an error message as it would be printed on stderr.
    pub fn error_lines(&self) -> impl Fn(&str) -> String + Send + Sync + 'static {
        let log = self.log.clone();
        move |message| log.line(Level::Error, message)
    }
}
