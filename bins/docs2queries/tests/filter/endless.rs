//! Answers without an end, and answers that do not come.

use std::fs;
use std::process::{Child, Command};
use std::time::Duration;

use serde_json::{Value, json};

use crate::batch_server::{result, start};
use crate::server::{Answer, Server, good, ok};
use crate::support::{Ran, ask, client, corpus, feed, scratch};

/// More than any run of this size needs, and less than an endless answer has.
const MOST_KILOBYTES: u64 = 300 << 10;

/// Runs a command to its end; returns the most memory that it used, in KiB.
fn run_and_measure(command: &mut Command, stdin: String) -> (Ran, u64) {
    let mut child = command.spawn().unwrap();
    feed(&mut child, stdin.into_bytes());
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        most = most.max(resident(&child));
        assert!(most < 10 * MOST_KILOBYTES, "no end in sight: {most} KiB");
        std::thread::sleep(Duration::from_millis(1));
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }, most)
}

/// The most memory that a process has used so far; 0 if it has ended.
fn resident(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}

fn endless(beginning: &str, piece: &str) -> Answer {
    Answer::Endless(beginning.into(), piece.repeat((64 << 10) / piece.len() + 1).into_bytes(), Duration::ZERO)
}

/// A server that gives this answer to the second of three documents.
fn server_with(answer: impl Fn() -> Answer + Send + Sync + 'static) -> Server {
    Server::start(move |request| if request.document() == "text 2" { answer() } else { ok(request) })
}

#[test]
fn an_answer_without_end_is_cut_off() {
    let plain = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
    for (beginning, piece) in [
        (format!("{plain}{{\"choices\": [{{\"message\": {{\"content\": \""), "never "),
        (format!("{plain}["), "{},"),
        (plain.to_owned(), " "),
        (format!("{plain}{{\"choices\": ["), "\0"),
        // With chunks, which need no length.
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned(), "8\r\n[[[[[[[[\r\n"),
    ] {
        let server = server_with({
            let beginning = beginning.clone();
            move || endless(&beginning, piece)
        });
        let args = ["--on-error", "skip", "--concurrency", "1", "--timeout-secs", "600"];
        let (ran, most) = run_and_measure(&mut client(&server, &args), corpus(3));
        assert_eq!((ran.code, ran.ids().len()), (Some(1), 4), "{ran:?}");
        ran.says("document d2: the server's answer is longer than 8388608 bytes");
        assert_eq!(server.asked("text 2"), 1, "the same answer would be as long again");
        assert!(most < MOST_KILOBYTES, "{most} KiB for {beginning}");
    }
}

#[test]
fn an_answer_with_an_excessive_length_is_not_read() {
    let server = server_with(|| {
        Answer::Endless("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".into(), vec![], Duration::from_secs(9))
    });
    let ran = ask(&server, &["--on-error", "skip", "--timeout-secs", "600"], 3);
    assert!(ran.code == Some(1) && ran.stderr.contains("longer than 8388608 bytes"), "{ran:?}");
}

#[test]
fn an_error_without_end_is_an_error() {
    let server = server_with(|| endless("HTTP/1.1 403 No\r\nconnection: close\r\n\r\n", "no, "));
    let (ran, most) = run_and_measure(&mut client(&server, &["--timeout-secs", "600"]), corpus(3));
    assert_eq!(ran.code, Some(2), "{ran:?}");
    ran.says("the server answered 403 Forbidden: no, no, ");
    assert!(most < MOST_KILOBYTES, "{most} KiB");
}

#[test]
fn headers_without_end_are_an_error() {
    for piece in ["x-more: and more\r\n", "endless"] {
        let server = server_with(move || endless("HTTP/1.1 200 OK\r\nx: ", piece));
        let args = ["--on-error", "skip", "--max-retries", "0", "--timeout-secs", "600"];
        let (ran, most) = run_and_measure(&mut client(&server, &args), corpus(3));
        assert_eq!((ran.code, ran.ids().len()), (Some(1), 4), "{ran:?}");
        assert!(most < MOST_KILOBYTES, "{most} KiB");
    }
}

#[test]
fn a_trickling_answer_times_out() {
    let server = Server::start(|request| match request.attempt {
        1 => Answer::Endless(
            "HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n".into(),
            vec![b' '],
            Duration::from_millis(20),
        ),
        _ => Answer::Http(200, "", good(request)),
    });
    let ran = ask(&server, &["--timeout-secs", "1", "-v"], 1);
    assert_eq!((ran.code, server.asked("text 1")), (Some(0), 2), "{ran:?}");
    ran.says("timed out after 1 s waiting for the server");
}

#[test]
fn a_result_file_goes_to_disk_and_not_through_memory() {
    let (_directory, journal) = scratch("journal");
    let (batches, state) = start();
    let address = batches.address();
    // 40 MB of short lines before the real results.
    let other = format!("{}\n", json!({"custom_id": "another", "response": {"body": {"text": "x".repeat(4000)}}}));
    let server = Server::start(move |request| {
        let answer = forwarded(address, request.line(), &request.head, &request.text);
        match request.line() {
            "GET /v1/files/output-0/content" => Answer::Http(200, "", other.repeat(10_000) + &answer),
            _ => Answer::Http(200, "", answer),
        }
    });
    let args = ["--batch", "--journal", journal.to_str().unwrap(), "--poll-secs", "0.1", "-n", "2"];
    let (ran, most) = run_and_measure(&mut client(&server, &args), corpus(5));
    assert_eq!(state.lock().unwrap().batches.len(), 1, "{ran:?}");
    assert!(ran.ids().len() == 8 && ran.stderr.contains("requests that are not of this run: 10000"), "{ran:?}");
    assert!(most < 40 << 10, "{most} KiB");
}

#[test]
fn a_result_file_without_end_is_cut_off() {
    let (_directory, journal) = scratch("journal");
    let (batches, _state) = start();
    let address = batches.address();
    let line = result(&json!({"custom_id": "x", "body": {"messages": []}}), true).to_string();
    let server = Server::start(move |request| match request.line() {
        "GET /v1/files/output-0/content" => {
            endless("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", &format!("{line}\n"))
        }
        line => Answer::Http(200, "", forwarded(address, line, &request.head, &request.text)),
    });
    let args = ["--batch", "--journal", journal.to_str().unwrap(), "--poll-secs", "0.1", "-n", "2"];
    let (ran, most) = run_and_measure(&mut client(&server, &args), corpus(5));
    assert_eq!(ran.code, Some(2), "{ran:?}");
    ran.says("the server's answer is longer than 68419584 bytes");
    assert!(most < MOST_KILOBYTES, "{most} KiB");
}

/// The answer of the server at an address to the same request.
fn forwarded(address: std::net::SocketAddr, line: &str, head: &str, body: &str) -> String {
    use std::io::{Read as _, Write as _};
    let kind = head.lines().find(|line| line.to_lowercase().starts_with("content-type")).unwrap_or("x-none: x");
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(stream, "{line} HTTP/1.1\r\n{kind}\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    // All answers are JSON or JSON Lines.
    assert!(body.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{body}");
    body.to_owned()
}
