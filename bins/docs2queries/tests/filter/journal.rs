//! The journal: nothing is paid for twice, and caps hold, even if runs are killed again and again.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::batch_server::start;
use crate::server::{Answer, Request, Server, completion, good, ok};
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
    assert_eq!((more.ids().len(), server.requests().len()), (12, 6), "only the new documents are asked about");
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
    // The second document never gets its answer; the later ones are recorded nonetheless.
    let mut child = client(&server, &args).spawn().unwrap();
    feed(&mut child, corpus(6).into_bytes());
    until(|| replies(&path).len() == 5);
    child.kill().unwrap();
    child.wait().unwrap();
    // As if the process had been killed while writing.
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
fn a_full_disk_ends_the_run_at_once() {
    let (_directory, path) = scratch("journal");
    let args = ["--journal", path.to_str().unwrap(), "--concurrency", "2", "-n", "2"];
    let server = Server::start(ok);
    // A limit on file sizes stands in for a full disk.
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
    assert!(ran.stderr.contains("corpus.jsonl:1: not a journal line\nhint: "), "{ran:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), corpus(2));
    let ran = run(&mut client(&server, &["--journal", journal, "-o", journal]), corpus(1));
    assert!(ran.code == Some(2) && ran.stderr.contains("the same file"), "{ran:?}");
    assert!(server.requests().is_empty());
}

const DOCUMENTS: usize = 1000;
const KILLS: usize = 20;

/// The ids of the documents whose reply is on disk, in complete lines.
fn on_disk(journal: &Path) -> HashSet<String> {
    replies(journal).iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn twenty_kills_cost_nothing_twice() {
    let (_directory, path) = scratch("journal");
    let args = ["--journal", path.to_str().unwrap(), "--concurrency", "8", "-n", "2"];
    let latency = Arc::new(AtomicU64::new(30));
    let server = Server::start({
        let latency = Arc::clone(&latency);
        move |request| {
            std::thread::sleep(Duration::from_millis(latency.load(Ordering::SeqCst)));
            ok(request)
        }
    });
    let mut paid: Vec<(usize, HashSet<String>)> = Vec::new();
    for kill in 0..KILLS {
        let mut child = client(&server, &args).spawn().unwrap();
        feed(&mut child, corpus(DOCUMENTS).into_bytes());
        // At any moment: right after the start, or after some replies.
        let before = replies(&path).len();
        until(|| replies(&path).len() >= (before + (kill * 7) % 23).min(DOCUMENTS));
        std::thread::sleep(Duration::from_millis(kill as u64 % 5));
        child.kill().unwrap();
        child.wait().unwrap();
        paid.push((server.requests().len(), on_disk(&path)));
        if kill % 3 == 1 {
            // As if the process had been killed in the middle of a line.
            let mut torn = fs::read(&path).unwrap_or_default();
            let half = torn.iter().position(|byte| *byte == b'\n').unwrap_or_default() / 2;
            torn.extend_from_within(..half);
            fs::write(&path, torn).unwrap();
        }
    }
    latency.store(0, Ordering::SeqCst);
    let ran = run(&mut client(&server, &args), corpus(DOCUMENTS));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);

    let requests = server.requests();
    for (kill, (before, documents)) in paid.iter().enumerate() {
        for request in &requests[*before..] {
            let document = request.document().replace("text ", "d");
            assert!(!documents.contains(&document), "{document} was on disk at kill {kill}, and asked for again");
        }
    }
    // Only the requests in flight at a kill are sent again.
    assert!(requests.len() <= DOCUMENTS + KILLS * 8, "{}", requests.len());
    assert!(paid[KILLS / 2].1.len() < DOCUMENTS, "the kills came too late to mean anything");
    let undisturbed = run(&mut client(&Server::start(ok), &args[2..]), corpus(DOCUMENTS));
    assert_eq!(ran.stdout, undisturbed.stdout, "the same output as without a kill");
}

/// The cost of a request at a server that charges the most: one token a byte, and the longest reply.
fn most(request: &Request) -> u64 {
    request.text.len() as u64 + LONGEST
}

const LONGEST: u64 = 50;

#[test]
fn a_cap_holds_over_kills() {
    let (_directory, path) = scratch("journal");
    // Each request is charged for at once, whether or not anybody waits for the answer; one in nine is refused.
    let server = Server::start(|request| {
        std::thread::sleep(Duration::from_millis(10));
        if is_refused(request) {
            return Answer::Http(429, "retry-after-ms: 1\r\n", String::new());
        }
        // Useless replies are charged for too, and asked for once more.
        let reply = if request.document().ends_with('7') { completion("No.") } else { good(request) };
        let mut reply: Value = serde_json::from_str(&reply).unwrap();
        reply["usage"] = json!({"prompt_tokens": request.text.len(), "completion_tokens": LONGEST});
        Answer::Http(200, "", reply.to_string())
    });
    let paid = || server.requests().iter().filter(|request| !is_refused(request)).map(most).sum::<u64>();
    // The cap is the most of four hundred requests, which is enough for some of the runs.
    run(&mut client(&server, &["--max-completion-tokens", "50", "-n", "2"]), corpus(1));
    let cap = 400 * paid();
    let before = paid();
    let (longest, cap_text) = (LONGEST.to_string(), cap.to_string());
    let args = ["--journal", path.to_str().unwrap(), "--concurrency", "8", "-n", "2", "--on-error", "skip"];
    let args = [&args[..], &["--max-completion-tokens", &longest, "--max-tokens", &cap_text]].concat();
    let mut reached = 0;
    for kill in 0..40_u64 {
        let mut child = client(&server, &args).spawn().unwrap();
        feed(&mut child, corpus(DOCUMENTS).into_bytes());
        let sent = server.requests().len();
        // At any moment after the first request. A run that ends by itself has reached the cap.
        until(|| server.requests().len() > sent || child.try_wait().unwrap().is_some());
        std::thread::sleep(Duration::from_millis(kill * 7 % 31));
        reached += u64::from(child.try_wait().unwrap().is_some());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(paid() - before <= cap, "{} tokens paid at kill {kill}, of {cap}", paid() - before);
    }
    let ran = run(&mut client(&server, &args), corpus(DOCUMENTS));
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("requests of earlier runs without a reply: "), "{}", ran.stderr);
    assert!(paid() - before <= cap, "{} of {cap}", paid() - before);
    // Some of the cap was spent, and many runs were killed before it was reached.
    assert!(paid() - before > cap / 4 && reached < 25, "{} of {cap}, {reached}", paid() - before);
}

#[test]
fn kills_make_no_second_batch() {
    for kill in 0..15_u64 {
        let (_directory, path) = scratch("journal");
        let (server, state) = start();
        let args = ["--batch", "--poll-secs", "0.1", "-n", "2", "--journal", path.to_str().unwrap()];
        let mut child = client(&server, &args).spawn().unwrap();
        feed(&mut child, corpus(2).into_bytes());
        // From before the upload until after the results.
        until(|| !server.requests().is_empty() || child.try_wait().unwrap().is_some());
        std::thread::sleep(Duration::from_millis(kill * kill * 2));
        child.kill().unwrap();
        child.wait().unwrap();
        let ran = run(&mut client(&server, &args), corpus(2));
        let undisturbed = run(&mut client(&Server::start(ok), &["-n", "2"]), corpus(2));
        assert_eq!((ran.code, ran.stdout), (Some(0), undisturbed.stdout), "kill {kill}: {}", ran.stderr);
        assert_eq!(state.lock().unwrap().batches.len(), 1, "kill {kill}: {}", ran.stderr);
    }
}

fn is_refused(request: &Request) -> bool {
    request.attempt == 1 && request.document().ends_with('9')
}
