//! A program that has ended.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

/// Characters of stdout in a message.
const SHOWN: usize = 2000;

/// The result of a run. Displayed, it has everything that is needed to repeat and understand the run.
pub struct Ran {
    /// The command line.
    pub line: String,
    /// The exit code, or 128 plus the signal's number, as in a shell.
    pub code: i32,
    /// Stdout, as bytes.
    pub stdout: Vec<u8>,
    /// The folder's files at the end.
    pub listing: Vec<String>,
    stderr: Vec<u8>,
}

impl Ran {
    pub(crate) fn new(line: String, output: Output, folder: &Path) -> Self {
        let code = output.status.code().or_else(|| output.status.signal().map(|signal| 128 + signal));
        let listing = crate::folder::listing(folder);
        Self { line, code: code.unwrap_or(-1), stdout: output.stdout, listing, stderr: output.stderr }
    }

    /// Returns itself if it ended with this code and without an internal error.
    ///
    /// # Panics
    /// Otherwise.
    #[track_caller]
    #[must_use]
    pub fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code\n{self}");
        let messages = self.stderr();
        assert!(!messages.contains("panicked") && !messages.contains("internal error"), "{self}");
        self
    }

    /// Stdout as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    #[track_caller]
    pub fn stdout(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap_or_else(|error| panic!("stdout: {error}\n{self}"))
    }

    /// Stdout as one JSON value.
    ///
    /// # Panics
    /// When it is not JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("stdout: {error}\n{self}"))
    }

    /// Stderr as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    #[track_caller]
    pub fn stderr(&self) -> String {
        String::from_utf8(self.stderr.clone()).unwrap_or_else(|error| panic!("stderr: {error}\n{self}"))
    }

    /// Returns itself if its messages contain `text`.
    ///
    /// # Panics
    /// Otherwise.
    #[track_caller]
    #[must_use]
    pub fn saying(self, text: &str) -> Self {
        assert!(self.stderr().contains(text), "stderr does not say {text:?}\n{self}");
        self
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stdout = String::from_utf8_lossy(&self.stdout);
        let shown: String = stdout.chars().take(SHOWN).collect();
        let more = if shown.len() < stdout.len() { format!(" (the first {SHOWN} characters)") } else { String::new() };
        writeln!(f, "command: {}", self.line)?;
        writeln!(f, "files: {}", self.listing.join(" "))?;
        writeln!(f, "exit code: {}", self.code)?;
        writeln!(f, "stdout, {} bytes{more}:\n{shown}", self.stdout.len())?;
        write!(f, "stderr:\n{}", String::from_utf8_lossy(&self.stderr))
    }
}
