//! Killed again and again: nothing that is paid for is paid for twice, and caps hold.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::batch_server::start;
use crate::server::{Answer, Request, Server, completion, good, ok};
use crate::support::{client, corpus, feed, replies, run, scratch, until};

const DOCUMENTS: usize = 1000;
const KILLS: usize = 20;

/// The documents whose reply is on disk, in complete lines.
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
            // As if it had died in the middle of a line.
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
    // What was in flight at a kill, and no more than that, is asked for again.
    assert!(requests.len() <= DOCUMENTS + KILLS * 8, "{}", requests.len());
    assert!(paid[KILLS / 2].1.len() < DOCUMENTS, "the kills came too late to mean anything");
    let undisturbed = run(&mut client(&Server::start(ok), &args[2..]), corpus(DOCUMENTS));
    assert_eq!(ran.stdout, undisturbed.stdout, "the same output as without a kill");
}

/// What a request costs on a server that charges the most: a token a byte, and the longest reply.
fn most(request: &Request) -> u64 {
    request.text.len() as u64 + LONGEST
}

const LONGEST: u64 = 50;

#[test]
fn a_cap_holds_over_kills() {
    let (_directory, path) = scratch("journal");
    // Each pays at once, whether or not somebody is still there to hear the answer; one in nine has too much to do.
    let server = Server::start(|request| {
        std::thread::sleep(Duration::from_millis(10));
        if is_refused(request) {
            return Answer::Http(429, "retry-after-ms: 1\r\n", String::new());
        }
        // What is of no use is paid for too, and asked for once more.
        let reply = if request.document().ends_with('7') { completion("No.") } else { good(request) };
        let mut reply: Value = serde_json::from_str(&reply).unwrap();
        reply["usage"] = json!({"prompt_tokens": request.text.len(), "completion_tokens": LONGEST});
        Answer::Http(200, "", reply.to_string())
    });
    let paid = || server.requests().iter().filter(|request| !is_refused(request)).map(most).sum::<u64>();
    // The most of four hundred requests: enough for some of the runs.
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
        // At any moment after the first request; a run that ends by itself has come to the cap.
        until(|| server.requests().len() > sent || child.try_wait().unwrap().is_some());
        std::thread::sleep(Duration::from_millis(kill * 7 % 31));
        reached += u64::from(child.try_wait().unwrap().is_some());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(paid() - before <= cap, "{} tokens paid at kill {kill}, of {cap}", paid() - before);
    }
    let ran = run(&mut client(&server, &args), corpus(DOCUMENTS));
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("requests of earlier runs that have no answer: "), "{}", ran.stderr);
    assert!(paid() - before <= cap, "{} of {cap}", paid() - before);
    // Some of it was spent on something, and many runs were killed before it was.
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
