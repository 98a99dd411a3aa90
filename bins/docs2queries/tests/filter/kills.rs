//! Killed again and again: nothing that is paid for is paid for twice.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::server::{Server, ok};
use crate::support::{client, corpus, feed, lines, run, scratch, until};

const DOCUMENTS: usize = 1000;
const KILLS: usize = 20;

/// The documents whose reply is on disk, in complete lines.
fn on_disk(journal: &Path) -> HashSet<String> {
    let text = fs::read_to_string(journal).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned()).collect()
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
        let before = lines(&path);
        until(|| lines(&path) >= (before + (kill * 7) % 23).min(DOCUMENTS));
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
