//! Running the binary.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::server::Server;

/// The API key of all runs.
pub(crate) const KEY: &str = "sk-test-0123456789";

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The lines of stdout.
    pub(crate) fn pairs(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// Checks that the messages contain a text.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) {
        assert!(self.stderr.contains(text), "{text}: {self:?}");
    }

    /// The ids of the queries.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.pairs().iter().map(|pair| pair["anchor_id"].as_str().unwrap().to_owned()).collect()
    }
}

/// The binary with an empty environment.
pub(crate) fn filter(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_docs2queries"));
    command.env_clear().args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The binary as a client of `server`.
pub(crate) fn client(server: &Server, args: &[&str]) -> Command {
    let mut command = filter(&["--llm", "test-model", "--base-url", &server.base_url()]);
    command.args(args).env("OPENAI_API_KEY", KEY);
    command
}

/// Runs the binary as a client of `server`, with documents d1, d2, …
pub(crate) fn ask(server: &Server, args: &[&str], documents: usize) -> Ran {
    run(&mut client(server, args), corpus(documents))
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command, stdin: impl Into<Vec<u8>>) -> Ran {
    let mut child = command.spawn().expect("the binary starts");
    feed(&mut child, stdin.into());
    let output = child.wait_with_output().expect("the binary ends");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8 on stdout"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8 on stderr"),
    }
}

/// Writes all of stdin from a thread, and closes it.
pub(crate) fn feed(child: &mut Child, bytes: Vec<u8>) {
    let mut stdin = child.stdin.take().expect("a pipe");
    // The binary may end before it has read everything.
    thread::spawn(move || stdin.write_all(&bytes));
}

/// Documents d1, d2, … as JSON Lines.
pub(crate) fn corpus(count: usize) -> String {
    (1..=count).map(|n| format!("{}\n", json!({"_id": format!("d{n}"), "text": format!("text {n}")}))).collect()
}

/// Documents with a sentence each, for which both generators find queries.
pub(crate) fn sentences(count: usize) -> String {
    let text = |n| format!("The sentence number {n} speaks of nothing but itself.");
    (1..=count).map(|n| format!("{}\n", json!({"_id": format!("d{n}"), "text": text(n)}))).collect()
}

/// A temporary directory, and a path in it.
pub(crate) fn scratch(name: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join(name);
    (directory, path)
}

/// Waits until a condition is true.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        thread::sleep(Duration::from_millis(5));
    }
}

/// The number of complete lines of a file, which may not exist yet.
pub(crate) fn lines(path: &Path) -> usize {
    std::fs::read(path).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count()
}

/// The lines of a journal with a reply, as far as they are complete; the file may not exist yet.
pub(crate) fn replies(journal: &Path) -> Vec<Value> {
    let text = String::from_utf8(std::fs::read(journal).unwrap_or_default()).expect("UTF-8");
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let lines = whole.map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    lines.filter(|line| line.get("reply").is_some()).collect()
}

/// A disk that is full.
pub(crate) fn full_disk() -> Stdio {
    File::options().write(true).open("/dev/full").expect("Linux").into()
}
