//! The journal: nothing that is paid for is paid for twice.

use std::fs;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::server::{Answer, Server, completion, ok};
use crate::support::{KEY, client, corpus, feed, replies, run, scratch, until};

#[test]
fn a_rerun_asks_for_nothing() {
    let (_directory, path) = scratch("journal");
    let journal = path.to_str().unwrap();
    let server = Server::start(ok);
    let first = run(&mut client(&server, &["--journal", journal]), corpus(5));
    let second = run(&mut client(&server, &["--journal", journal]), corpus(5));
    assert_eq!((first.code, second.code), (Some(0), Some(0)), "{first:?} {second:?}");
    assert_eq!(first.stdout, second.stdout);
    assert_eq!(server.requests().len(), 5);
    assert!(second.stderr.contains("documents: 5, pairs: 10, replies from the journal: 5\n"), "{second:?}");
    assert!(!fs::read_to_string(&path).unwrap().contains(KEY));

    let more = run(&mut client(&server, &["--journal", journal]), corpus(6));
    assert_eq!((more.ids().len(), server.requests().len()), (12, 6), "only what is new is asked for");
    run(&mut client(&server, &["--journal", journal, "-n", "3"]), corpus(1));
    assert_eq!(server.requests().len(), 7, "another question is another key");
}

#[test]
fn the_same_text_is_asked_about_once() {
    let (_directory, path) = scratch("journal");
    let server = Server::start(|request| Answer::Http(200, "", completion(&format!("[\"take {}\"]", request.attempt))));
    let twice = "{\"_id\": \"a\", \"text\": \"same\"}\n{\"_id\": \"b\", \"text\": \"same\"}\n";
    let args = ["--journal", path.to_str().unwrap(), "--drop", "none"];
    let first = run(&mut client(&server, &args), twice);
    assert_eq!(first.pairs()[0]["anchor"], first.pairs()[1]["anchor"]);
    assert_eq!(run(&mut client(&server, &args), twice).stdout, first.stdout);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_killed_run_is_continued_without_paying_twice() {
    let (_directory, path) = scratch("journal");
    let args = ["--journal", path.to_str().unwrap(), "--concurrency", "2"];
    let well = Arc::new(AtomicBool::new(false));
    let server = Server::start({
        let well = Arc::clone(&well);
        move |request| {
            let paid = request.document() != "text 2";
            if paid || well.load(Ordering::SeqCst) { ok(request) } else { Answer::Hang }
        }
    });
    // The second document never gets its answer; those behind it are kept nonetheless.
    let mut child = client(&server, &args).spawn().unwrap();
    feed(&mut child, corpus(6).into_bytes());
    until(|| replies(&path).len() == 5);
    child.kill().unwrap();
    child.wait().unwrap();
    // As if it had died while writing.
    let mut torn = fs::read(&path).unwrap();
    let half = torn.iter().position(|byte| *byte == b'\n').unwrap() / 2;
    torn.extend_from_within(..half);
    fs::write(&path, torn).unwrap();

    well.store(true, Ordering::SeqCst);
    let ran = run(&mut client(&server, &args), corpus(6));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stdout, run(&mut client(&server, &[]), corpus(6)).stdout, "as if nothing had happened");
    assert!(ran.stderr.contains("requests: 1,") && ran.stderr.contains("replies from the journal: 5"), "{ran:?}");
    assert_eq!(server.asked("text 1"), 2, "once with the journal, once without");
    assert_eq!(server.asked("text 3"), 2);
}

#[test]
fn replies_in_flight_are_kept_when_the_run_fails() {
    let (_directory, path) = scratch("journal");
    let server = Server::start({
        let path = path.clone();
        move |request| match request.document() {
            "text 1" => Answer::Http(200, "", completion("nothing to read")),
            _ => {
                until(|| !replies(&path).is_empty());
                ok(request)
            }
        }
    });
    let ran = run(&mut client(&server, &["--journal", path.to_str().unwrap(), "--concurrency", "3"]), corpus(3));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert_eq!(replies(&path).len(), server.requests().len());
}

#[test]
fn a_journal_without_room_ends_the_run_at_once() {
    let (_directory, path) = scratch("journal");
    let args = ["--journal", path.to_str().unwrap(), "--concurrency", "2", "-n", "2"];
    let server = Server::start(ok);
    // A limit on the size of files stands in for a full disk.
    let limited = client(&server, &args);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""]).arg(limited.get_program());
    shell.args(limited.get_args()).env_clear().env("OPENAI_API_KEY", KEY);
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ran = run(&mut shell, corpus(200));
    assert!(ran.code == Some(2) && ran.stderr.contains("journal: File too large"), "{ran:?}");
    let (kept, asked) = (replies(&path).len(), server.requests().len());
    assert!((3..50).contains(&kept) && asked <= kept + 8, "{kept} kept, {asked} asked");
    let ran = run(&mut client(&server, &args), corpus(200));
    assert_eq!((ran.code, ran.ids().len()), (Some(0), 400), "{}", ran.stderr);
    assert_eq!(server.requests().len(), asked + 200 - kept);
}

#[test]
fn wrong_journals_are_refused() {
    let (_directory, path) = scratch("corpus.jsonl");
    let journal = path.to_str().unwrap();
    fs::write(&path, corpus(2)).unwrap();
    let server = Server::start(ok);
    let ran = run(&mut client(&server, &["--journal", journal]), corpus(1));
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("corpus.jsonl:1: not a line of a journal\nhint: "), "{ran:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), corpus(2));
    let ran = run(&mut client(&server, &["--journal", journal, "-o", journal]), corpus(1));
    assert!(ran.code == Some(2) && ran.stderr.contains("the same file"), "{ran:?}");
    assert!(server.requests().is_empty());
}
