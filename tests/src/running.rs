//! A program that is running.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin};
use std::thread;

use rustix::io::ioctl_fionread;
use rustix::process::{Pid, Signal, kill_process};

use crate::Ran;

/// A running program; its stdin stays open until the end.
pub struct Running {
    child: Child,
    line: String,
    folder: PathBuf,
}

impl Running {
    pub(crate) fn new(child: Child, line: String, folder: PathBuf) -> Self {
        Self { child, line, folder }
    }

    pub(crate) fn take_stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("stdin is a pipe")
    }

    /// Writes to stdin. If it is more than a pipe holds (64 KiB), this returns only when the program has begun to read.
    ///
    /// # Panics
    /// When the program has ended.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.child.stdin.as_mut().expect("stdin is a pipe").write_all(bytes).expect("the program reads");
    }

    /// Closes stdin.
    pub fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits for the first byte on stdout.
    ///
    /// # Panics
    /// When the program ends without one.
    pub fn wait_for_output(&mut self) {
        let stdout = self.child.stdout.as_mut().expect("stdout is a pipe");
        stdout.read_exact(&mut [0]).expect("the program writes");
    }

    /// Reads the first lines of stdout as soon as they are written.
    ///
    /// # Panics
    /// When the program ends first.
    pub fn take_lines(&mut self, count: usize) -> String {
        let stdout = self.child.stdout.as_mut().expect("stdout is a pipe");
        let (mut lines, mut byte) = (Vec::new(), [0]);
        while lines.iter().filter(|byte| **byte == b'\n').count() < count {
            stdout.read_exact(&mut byte).expect("the program writes");
            lines.push(byte[0]);
        }
        String::from_utf8(lines).expect("stdout is text")
    }

    /// Waits until the program has read all that was written to its stdin.
    pub fn wait_until_it_reads(&self) {
        let stdin = self.child.stdin.as_ref().expect("stdin is a pipe");
        while ioctl_fionread(stdin).unwrap() > 0 {
            thread::yield_now();
        }
    }

    /// Waits until a thread of the program is blocked, because it writes to a pipe that is full. A pipe that polls as full
    /// can still take a short line, after which the program would continue. On kernels that do not name the function in
    /// which a thread sleeps (proc_pid_wchan(5)), any sleeping thread will do.
    pub fn wait_until_it_is_blocked(&self) {
        let is_blocked = |thread: PathBuf| {
            let read = |file: &str| fs::read_to_string(thread.join(file)).unwrap_or_default();
            let (function, status) = (read("wchan"), read("status"));
            function.contains("pipe_write") || function == "0" && value(&status, "State").starts_with('S')
        };
        let threads = || fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        while self.is_alive() && !threads().any(|thread| is_blocked(thread.unwrap().path())) {
            thread::yield_now();
        }
    }

    /// Sends a signal and waits until the program has received it, because pending signals of the same kind become one.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        while self.has_pending_signals() {
            thread::yield_now();
        }
    }

    /// Sends `count` signals, these in turn, to a program that must survive all of them.
    ///
    /// # Panics
    /// When the program has ended.
    pub fn storm(&self, signals: &[Signal], count: usize) {
        for signal in signals.iter().cycle().take(count) {
            self.signal(*signal);
        }
        assert!(self.is_alive(), "{}: ended in the storm", self.line);
    }

    /// One of the process's signal sets, by its name in /proc: bit n − 1 is signal n.
    pub fn signals(&self, field: &str) -> u64 {
        u64::from_str_radix(&self.status(field), 16).unwrap()
    }

    /// The name of each thread with one of its signal sets.
    pub fn threads(&self, field: &str) -> Vec<(String, u64)> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let statuses = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("status")).unwrap());
        statuses
            .map(|status| (value(&status, "Name").into(), u64::from_str_radix(value(&status, field), 16).unwrap()))
            .collect()
    }

    fn has_pending_signals(&self) -> bool {
        self.is_alive() && self.status("ShdPnd").bytes().any(|digit| digit != b'0')
    }

    /// Whether the program is still running.
    pub fn is_alive(&self) -> bool {
        !self.status("State").starts_with('Z')
    }

    /// A field of the process's status; see proc_pid_status(5).
    fn status(&self, field: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        value(&status, field).to_owned()
    }

    /// Waits for the end.
    pub fn end(mut self) -> Ran {
        // Stdin stays open, because a program that is interrupted while it waits must not see the end of its input
        // instead.
        let stdin = self.child.stdin.take();
        let output = self.child.wait_with_output().unwrap();
        drop(stdin);
        Ran::new(self.line, output, &self.folder)
    }
}

/// A line of proc_pid_status(5).
fn value<'a>(status: &'a str, field: &str) -> &'a str {
    let mut values = status.lines().filter_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    values.next().unwrap_or_default().trim()
}
