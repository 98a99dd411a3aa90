//! A program that is about to run.

use std::env;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use serde_json::Value;

use crate::{FILTERS, Ran, Running, UnreadPipe, programs};

/// What a program may know of the developer's environment. Not `LD_LIBRARY_PATH`: a program must find its libraries.
const KEPT: [&str; 3] = ["HOME", "TMPDIR", "LLVM_PROFILE_FILE"];

/// A command line in a folder, and what it gets on stdin (nothing, unless a test says so).
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

    /// One more argument, which may have blanks.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.line = format!("{} {}", self.line, argument.as_ref().display());
        self.command.arg(argument);
        self
    }

    /// What comes through stdin, a pipe.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Where stdout goes, instead of to the test.
    pub fn to(mut self, stdout: impl Into<Stdio>) -> Self {
        self.command.stdout(stdout);
        self
    }

    /// Lets stdout go to a disk that is full.
    pub fn to_full_disk(self) -> Self {
        self.to(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap())
    }

    /// Lets stdout go to a pipe that nobody reads any more.
    pub fn to_closed_pipe(self) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        self.to(writer)
    }

    /// Lets stdout go to a pipe that nobody reads.
    pub fn to_unread_pipe(self) -> (Self, UnreadPipe) {
        let pipe = UnreadPipe::new();
        (self.to(pipe.writer.try_clone().unwrap()), pipe)
    }

    /// Runs to the end, whatever that is.
    pub fn ran(mut self) -> Ran {
        let input = std::mem::take(&mut self.stdin);
        let mut running = self.start();
        let mut stdin = running.take_stdin();
        // From a thread, because the program may write before it has read all. It may also end before: no error.
        let feeder = thread::spawn(move || drop(stdin.write_all(&input)));
        let ran = running.end();
        feeder.join().expect("the feeder does not panic");
        ran
    }

    /// Starts, for a test that talks to the running program.
    pub fn start(mut self) -> Running {
        let child = self.command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.line));
        Running::new(child, self.line, self.folder)
    }

    /// Runs to the end, which must be exit code 0.
    #[track_caller]
    pub fn done(self) -> Ran {
        self.ran().with_code(0)
    }

    /// Stdout as text, of a run that ends with 0.
    #[track_caller]
    pub fn stdout(self) -> String {
        self.done().stdout()
    }

    /// Stdout as one JSON value, of a run that ends with 0.
    #[track_caller]
    pub fn json(self) -> Value {
        self.done().json()
    }

    /// Stdout as JSON Lines, of a run that ends with 0.
    #[track_caller]
    pub fn records(self) -> Vec<Value> {
        self.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The message of a run that must be refused: exit code 2, nothing on stdout, no file made or removed, and a message
    /// for people that begins with the program's name.
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
