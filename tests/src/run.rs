//! A program that is about to run, and what its stdin and stdout are connected to.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, thread};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;

use crate::{FILTERS, Ran, Running, programs};

/// The variables that programs inherit. `LD_LIBRARY_PATH` is not one, because a program must find its libraries by
/// itself.
const KEPT: [&str; 3] = ["HOME", "TMPDIR", "LLVM_PROFILE_FILE"];

/// A command line to run in a folder, and its stdin, which is empty by default.
#[must_use = "nothing runs before `ran`, `stdout`, `refusal` or `start`"]
pub struct Run {
    line: String,
    command: Command,
    folder: PathBuf,
    stdin: Vec<u8>,
}

impl Run {
    pub(crate) fn new(line: &str, folder: &Path) -> Self {
        let mut words = line.split_whitespace();
        let program = words.next().expect("a program");
        let filter = FILTERS.contains(&program).then(|| programs().join(program));
        let mut command = Command::new(filter.unwrap_or_else(|| program.into()));
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths([programs().to_owned()].into_iter().chain(env::split_paths(&path)));
        command.env_clear().env("PATH", path.expect("folders without a colon")).env("LC_ALL", "C");
        command.envs(KEPT.iter().filter_map(|name| Some((name, env::var_os(name)?))));
        command.current_dir(folder).args(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { line: line.to_owned(), command, folder: folder.to_owned(), stdin: Vec::new() }
    }

    /// Adds an argument, which may contain blanks.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.line = format!("{} {}", self.line, argument.as_ref().display());
        self.command.arg(argument);
        self
    }

    /// Sets the bytes that the program reads from its stdin, a pipe.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Connects stdout to a file or a pipe instead of the test.
    pub fn to(mut self, stdout: impl Into<Stdio>) -> Self {
        self.command.stdout(stdout);
        self
    }

    /// Connects stdout to a full disk.
    pub fn to_full_disk(self) -> Self {
        self.to(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap())
    }

    /// Connects stdout to a pipe whose reader is gone.
    pub fn to_closed_pipe(self) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        self.to(writer)
    }

    /// Connects stdout to a pipe that nobody reads.
    pub fn to_unread_pipe(self) -> (Self, UnreadPipe) {
        let pipe = UnreadPipe::new();
        (self.to(pipe.writer.try_clone().unwrap()), pipe)
    }

    /// Runs to the end, with any exit code.
    pub fn ran(mut self) -> Ran {
        let input = std::mem::take(&mut self.stdin);
        let mut running = self.start();
        let mut stdin = running.take_stdin();
        // In a thread, because the program may write before it has read everything. It may also end early, which is no
        // error.
        let feeder = thread::spawn(move || drop(stdin.write_all(&input)));
        let ran = running.end();
        feeder.join().expect("the feeder does not panic");
        ran
    }

    /// Starts the program, for a test that communicates with it.
    pub fn start(mut self) -> Running {
        let child = self.command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.line));
        Running::new(child, self.line, self.folder)
    }

    /// Runs to the end; the exit code must be 0.
    #[track_caller]
    pub fn done(self) -> Ran {
        self.ran().with_code(0)
    }

    /// Stdout as text; the exit code must be 0.
    #[track_caller]
    pub fn stdout(self) -> String {
        self.done().stdout()
    }

    /// Stdout as one JSON value; the exit code must be 0.
    #[track_caller]
    pub fn json(self) -> Value {
        self.done().json()
    }

    /// Stdout as JSON Lines; the exit code must be 0.
    #[track_caller]
    pub fn records(self) -> Vec<Value> {
        self.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The message of a run that must be refused: exit code 2, nothing on stdout, no file created or removed, and a
    /// message for people that begins with the program's name.
    #[track_caller]
    pub fn refusal(self) -> String {
        let before = crate::folder::listing(&self.folder);
        let ran = self.ran().with_code(2);
        assert!(ran.stdout.is_empty(), "something on stdout\n{ran}");
        assert_eq!(ran.listing, before, "files have changed\n{ran}");
        let message = ran.stderr();
        let prog = ran.line.split(' ').next().unwrap_or_default();
        let is_usage = message.starts_with("error: ") && message.contains("try '--help'");
        assert!(is_usage || message.lines().any(|line| line.starts_with(&format!("{prog}: "))), "no message\n{ran}");
        message
    }
}

impl Run {
    /// Runs to the end with stdout on a terminal; also returns the output there.
    ///
    /// # Panics
    /// When it was not UTF-8.
    pub fn on_terminal(self) -> (Ran, String) {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let inner = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let reading = thread::spawn(move || {
            let (mut terminal, mut seen, mut bytes) = (File::from(terminal), Vec::new(), [0; 4096]);
            // When the last process that has the terminal open ends, this read fails.
            while let Ok(read @ 1..) = terminal.read(&mut bytes) {
                seen.extend_from_slice(&bytes[..read]);
            }
            String::from_utf8(seen).unwrap()
        });
        let ran = self.to(inner).ran();
        (ran, reading.join().unwrap())
    }
}

/// Holds a pipe open without reading it, so that its writer blocks when it is full.
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
