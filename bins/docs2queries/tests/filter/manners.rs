//! Bad input, closed pipes, full disks, signals and terminals.

use std::fs;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::server::{Answer, Server, ok};
use crate::support::{ask, client, corpus, feed, filter, full_disk, run, scratch, sentences, until};

/// Both generators, which must behave alike.
fn both(server: &Server) -> [Command; 2] {
    [client(server, &[]), filter(&["--generator", "extractive"])]
}

#[test]
fn empty_input_gives_empty_output() {
    let server = Server::start(ok);
    for mut command in both(&server) {
        let ran = run(&mut command, "");
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
    }
}

#[test]
fn a_bad_line_is_named() {
    let server = Server::start(ok);
    let good = "{\"_id\": \"a\", \"text\": \"It is a text of some words.\"}\n";
    for (bad, expected) in [
        (&b"{\"_id\": \"b\", \"text\"\n"[..], "<stdin>:2: not JSON"),
        (b"{\"_id\": \"b\"}\n", "<stdin>:2: no field \"text\""),
        (b"{\"_id\": \"b\", \"text\": 3}\n", "<stdin>:2: field \"text\" must be a string"),
        (b"{\"_id\": \"b\", \"text\": \"t\", \"group\": []}\n", "<stdin>:2: field \"group\" must be"),
        (b"{\"_id\": \"b\", \"text\": \"\xff\"}\n", "<stdin>:2: not UTF-8"),
    ] {
        let input = [good.as_bytes(), bad, good.as_bytes()].concat();
        for (mut command, mut skipping) in both(&server).into_iter().zip(both(&server)) {
            let ran = run(&mut command, input.clone());
            assert_eq!(ran.code, Some(2), "{ran:?}");
            ran.says(&format!("docs2queries: {expected}"));
            let ran = run(skipping.args(["--on-error", "skip"]), input.clone());
            assert_eq!(ran.code, Some(1), "{ran:?}");
            assert!(ran.stderr.contains("1 record skipped") && ran.ids().len() >= 2, "{ran:?}");
        }
    }
}

#[test]
fn a_long_line_is_refused() {
    let input = format!("{{\"_id\": \"a\", \"text\": \"{}\"}}\n", "x".repeat(2000));
    let ran = run(&mut filter(&["--generator", "extractive", "--max-record-bytes", "1K"]), input);
    assert!(ran.code == Some(2) && ran.stderr.contains("<stdin>:1: longer than 1024 bytes"), "{ran:?}");
}

#[test]
fn a_document_without_text_is_counted() {
    let server = Server::start(ok);
    for mut command in both(&server) {
        let ran = run(&mut command, "{\"_id\": \"a\", \"title\": \"T\", \"text\": \" \\n\"}\n");
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
        ran.says("documents without text: 1");
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_full_disk_is_an_error() {
    let server = Server::start(ok);
    for mut command in both(&server) {
        let ran = run(command.stdout(full_disk()), sentences(20));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        ran.says("<stdout>: No space left");
    }
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let server = Server::start(ok);
    for mut command in both(&server) {
        let mut child = command.spawn().unwrap();
        feed(&mut child, sentences(5000).into_bytes());
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
    assert!(server.requests().len() < 100, "no further request is sent");
}

#[test]
fn a_signal_lets_what_is_in_flight_finish() {
    let released = Arc::new(AtomicBool::new(false));
    let server = Server::start({
        let released = Arc::clone(&released);
        move |request| {
            until(|| released.load(Ordering::SeqCst));
            ok(request)
        }
    });
    let mut child = client(&server, &["--concurrency", "2"]).spawn().unwrap();
    feed(&mut child, corpus(9).into_bytes());
    until(|| server.requests().len() == 2);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    // Long enough for the filter to notice the signal.
    sleep(Duration::from_millis(500));
    released.store(true, Ordering::SeqCst);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(2), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 4);
    assert_eq!(server.requests().len(), 2, "no new request is sent");
}

#[test]
fn a_signal_ends_the_pause_before_a_retry() {
    let server = Server::start(|_| Answer::Http(429, "retry-after: 3600\r\n", String::new()));
    let mut child = client(&server, &[]).spawn().unwrap();
    feed(&mut child, corpus(2).into_bytes());
    until(|| !server.requests().is_empty());
    let start = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(2));
    assert!(start.elapsed() < Duration::from_secs(50));
}

#[test]
fn a_signal_ends_the_wait_for_input() {
    let server = Server::start(ok);
    for mut command in both(&server) {
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        sleep(Duration::from_millis(300));
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(15), "{output:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(message, "docs2queries: finishing the documents in flight; a second signal stops now\n");
        drop(stdin);
    }
}

#[test]
fn a_named_output_is_complete_or_absent() {
    let (directory, path) = scratch("pairs.jsonl");
    let name = path.to_str().unwrap();
    let server = Server::start(|request| match request.document() {
        "text 2" => Answer::Http(403, "", String::new()),
        _ => ok(request),
    });
    assert_eq!(ask(&server, &["-o", name], 2).code, Some(2));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    let ran = ask(&server, &["-o", name], 1);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
}

#[test]
fn usage_errors_are_explained() {
    let ran = run(&mut filter(&[]), corpus(1));
    assert!(ran.code == Some(2) && ran.stderr.contains("hint: --llm NAME, or --generator extractive"), "{ran:?}");
    for args in [&["--llm", "m", "-n", "0"][..], &["--llm", "m", "--temperature", "3"], &["--key", KEY_FLAG]] {
        assert_eq!(run(&mut filter(args), "").code, Some(2), "{args:?}");
    }
    let ran = run(&mut filter(&["--llm", "m", "--base-url", "localhost:8000"]), corpus(1));
    assert!(ran.code == Some(2) && ran.stderr.contains("hint: an address looks like"), "{ran:?}");
    let ran = run(&mut filter(&["--generator", "extractive", "no-such-file"]), "");
    assert!(ran.code == Some(2) && ran.stderr.contains("no-such-file: "), "{ran:?}");
}

/// There is no flag for the key, which would be visible in the process list.
const KEY_FLAG: &str = "sk-flag";

/// Everything that a command writes to a terminal of 160 columns.
fn on_a_terminal(mut command: std::process::Command) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    tcsetwinsize(&terminal, Winsize { ws_row: 40, ws_col: 160, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let inner = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let child = command.env("TERM", "xterm").stderr(inner).spawn();
    // The command holds the other end of the terminal too.
    drop(command);
    let mut seen = Vec::new();
    let mut terminal = File::from(terminal);
    let mut bytes = [0; 4096];
    // When the other end is closed, reading is an error and not the end of the file.
    while let Ok(read @ 1..) = terminal.read(&mut bytes) {
        seen.extend_from_slice(&bytes[..read]);
    }
    assert!(child.unwrap().wait().unwrap().success());
    String::from_utf8(seen).unwrap()
}

#[test]
fn progress_shows_documents_cost_and_time_left() {
    let (directory, journal) = scratch("journal");
    let (documents, pairs) = (directory.path().join("corpus.jsonl"), directory.path().join("pairs.jsonl"));
    let server = Server::start(|request| {
        thread::sleep(std::time::Duration::from_millis(60));
        ok(request)
    });
    let [journal, documents, pairs] = [&journal, &documents, &pairs].map(|path| path.to_str().unwrap());
    let args = ["--journal", journal, "--price-in", "1", "--price-out", "2", "-n", "2", "--drop", "none"];
    ask(&server, &args, 20);
    std::fs::write(documents, corpus(100)).unwrap();
    let mut command = client(&server, &[&args[..], &["--concurrency", "2", documents, "-o", pairs]].concat());
    command.stdin(std::process::Stdio::null());
    let seen = on_a_terminal(command);
    let lines: Vec<&str> = seen.split(['\r', '\n']).collect();
    let line = lines.iter().find(|line| line.contains("in the end")).unwrap_or_else(|| panic!("{lines:#?}"));
    assert!(line.contains("/100 documents, ") && line.contains("/s, ") && line.contains(" s left "), "{line}");
    // Eighty documents are asked about, at $0.00014 each, and the first of them are done.
    let end: f64 = line.split("about $").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap();
    assert!((0.008..0.1).contains(&end), "{line}");
    // In the terminal's own colour, whatever its background.
    assert!(!seen.contains("\u{1b}[38;"), "{seen:?}");
    assert!(seen.ends_with("cost: $0.0112\r\n"), "{seen:?}");
}
