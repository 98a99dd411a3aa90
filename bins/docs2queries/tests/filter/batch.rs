//! Batches: round trips, interruptions, files of requests and results.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::batch_server::{BatchApi, Fate, OPTIONS, one_by_one, result, round_trip, start};
use crate::server::{Server, ok};
use crate::support::{ask, client, corpus, feed, filter, lines, replies, run, scratch, until};

#[test]
fn a_round_trip_gives_the_same_pairs_at_half_the_price() {
    let api = BatchApi::start();
    let ran = api.round_trip(&[], 5);
    // One request failed, so its document has no pairs yet.
    assert_eq!(ran.code, Some(1), "{ran:?}");
    ran.says("batch replies: 4, tokens in: 400, tokens out: 80\n");
    ran.says("failed batch requests: 1, the first: This request could not");
    ran.says("passages left out because they have no reply yet: 1\nhint: ");
    assert_eq!(ran.ids(), ["d1-q1", "d1-q2", "d2-q1", "d2-q2", "d4-q1", "d4-q2", "d5-q1", "d5-q2"]);
    let ran = api.round_trip(&[], 5);
    assert_eq!((ran.code, &ran.stdout), (Some(0), &one_by_one(5)), "{ran:?}");
    let state = api.state();
    let sent: Vec<_> = state.requests().iter().map(|line| line["custom_id"].clone()).collect();
    assert_eq!((state.batches.len(), sent.len()), (2, 6), "the second batch holds what the first one lacks");
    assert_eq!(sent[2], sent[5]);
    let ran = api.round_trip(&[], 5);
    assert_eq!((ran.code, state.batches.len()), (Some(0), 2), "{ran:?}");
}

#[test]
fn an_expired_batch_keeps_what_it_has() {
    let api = BatchApi::start();
    api.state().fate = Some(Fate::Expires);
    let ran = api.round_trip(&[], 5);
    assert_eq!((ran.code, ran.ids().len()), (Some(1), 4), "{ran:?}");
    ran.says("batch batch-0 expired: 2 of 5 requests were done");
    let ran = api.round_trip(&[], 5);
    assert_eq!((ran.code, ran.ids().len()), (Some(1), 8), "{ran:?}");
    assert_eq!(api.state().requests().len(), 5 + 3);
    let ran = api.round_trip(&[], 5);
    assert_eq!((ran.code, ran.stdout), (Some(0), one_by_one(5)));
}

#[test]
fn a_batch_outlives_the_run_that_sent_it() {
    for kill in [true, false] {
        let api = BatchApi::start();
        api.state().fate = Some(Fate::Lasts);
        let args = [&OPTIONS[..], &["--journal", api.journal.to_str().unwrap()][..]].concat();
        let mut child = client(&api.server, &args).spawn().unwrap();
        feed(&mut child, corpus(2).into_bytes());
        until(|| lines(&api.journal) == 2 && api.state().batches.first().is_some_and(|(_, looks)| *looks > 1));
        kill_process(Pid::from_child(&child), if kill { Signal::KILL } else { Signal::INT }).unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.signal(), Some(if kill { 9 } else { 2 }), "{stderr}");
        assert!(
            kill || stderr.contains("the batches continue at the server; the same command collects their results"),
            "{stderr}"
        );
        api.state().fate = Some(Fate::Completes);
        let ran = api.round_trip(&[], 2);
        assert_eq!((ran.code, ran.stdout), (Some(0), one_by_one(2)), "{}", ran.stderr);
        assert_eq!(api.state().batches.len(), 1);
    }
}

#[test]
fn requests_of_open_batches_are_not_sent_one_by_one() {
    let (_directory, path) = scratch("journal");
    let journal = path.to_str().unwrap();
    fs::write(&path, "{\"batch\":\"file-1\",\"state\":\"uploaded\"}\n").unwrap();
    let server = Server::start(ok);
    for way in [&["-n", "2"][..], &["-n", "2", "--emit-batch"]] {
        let ran = ask(&server, &[way, &["--journal", journal]].concat(), 1);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
        ran.says("would be paid for twice: 1\nhint: --batch collects them; ");
    }
    assert!(server.requests().is_empty());
}

#[test]
fn batch_replies_without_usage_count_as_their_upper_bound() {
    let (directory, path) = scratch("journal");
    let args = ["--llm", "m", "-n", "2", "--max-completion-tokens", "50", "--max-tokens", "100000"];
    let emitted = run(&mut filter(&[&args[..], &["--emit-batch"]].concat()), corpus(3));
    let requests: Vec<Value> = emitted.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut results: Vec<Value> = requests.iter().map(|request| result(request, true)).collect();
    results[1]["response"]["body"].as_object_mut().unwrap().remove("usage");
    let most = requests[1]["body"].to_string().len();
    let done = directory.path().join("done.jsonl");
    fs::write(&done, results.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let files = ["--ingest-batch", done.to_str().unwrap(), "--journal", path.to_str().unwrap()];
    let ran = run(&mut filter(&[&args[..], &files].concat()), corpus(3));
    let said = format!("tokens in: {}, tokens out: {}, replies without usage: 1\n", 200 + most, 40 + 50);
    assert!(ran.code == Some(0) && ran.stderr.contains(&said), "{ran:?}");
    let spent: u64 = replies(&path).iter().flat_map(|line| [0, 1].map(|n| line["tokens"][n].as_u64().unwrap())).sum();
    assert_eq!(spent, 240 + most as u64 + 50, "a later cap includes it");
}

#[test]
fn a_lost_answer_makes_no_second_batch() {
    let (_directory, path) = scratch("journal");
    let (server, state) = start();
    state.lock().unwrap().loses_answer = true;
    let ran = round_trip(&server, &path, &[], 2);
    assert_eq!((ran.code, ran.stdout), (Some(0), one_by_one(2)), "{}", ran.stderr);
    assert_eq!(state.lock().unwrap().batches.len(), 1);

    // The same after a run that ended before the answer arrived.
    let (_directory, path) = scratch("journal");
    state.lock().unwrap().loses_answer = true;
    let ran = round_trip(&server, &path, &["--max-retries", "0"], 2);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    // Meanwhile, other runs have created batches, so that this one is not on the first page of the list.
    for other in 3..6 {
        let (_directory, path) = scratch("journal");
        assert_eq!(round_trip(&server, &path, &[], other).code, Some(1));
    }
    let ran = round_trip(&server, &path, &[], 2);
    assert_eq!((ran.code, ran.stdout), (Some(0), one_by_one(2)), "{}", ran.stderr);
    assert_eq!(state.lock().unwrap().batches.len(), 2 + 3);
}

#[test]
fn a_refused_batch_is_reported_and_closed() {
    let api = BatchApi::start();
    api.state().fate = Some(Fate::Fails);
    let ran = api.round_trip(&[], 2);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    ran.says("the server refused batch batch-0: Enqueued token limit reached");
    api.state().fate = Some(Fate::Completes);
    let ran = api.round_trip(&[], 2);
    assert_eq!((ran.code, ran.stdout), (Some(0), one_by_one(2)), "{}", ran.stderr);
}

#[test]
fn caps_hold_for_batches() {
    let api = BatchApi::start();
    let ran = api.round_trip(&["--max-tokens", "10000"], 20);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let sent = api.state().requests();
    let most: usize = sent.iter().map(|line| line["body"].to_string().len() + 50).sum();
    assert!((7000..=10_000).contains(&most), "{most}");
    ran.says(&format!("requests left out because a cap has no room for them: {}\n", 20 - sent.len()));
    let ran = ask(&api.server, &["--batch"], 1);
    assert!(ran.code == Some(2) && ran.stderr.contains("--batch needs --journal"), "{ran:?}");
    let usage = run(&mut filter(&["--llm", "m", "--batch", "--emit-batch"]), "");
    assert_eq!(usage.code, Some(2));
}

#[test]
fn requests_and_results_can_be_files() {
    let (directory, requests) = scratch("requests.jsonl");
    let name = requests.to_str().unwrap();
    // Two documents with the same text are one request. Nothing is sent, so there is no server.
    let input = corpus(4) + "{\"_id\": \"again\", \"text\": \"text 2\"}\n";
    let emitted = run(
        &mut filter(&["--llm", "test-model", "-n", "2", "--max-completion-tokens", "99", "--emit-batch", "-o", name]),
        input.clone(),
    );
    assert_eq!(emitted.code, Some(0), "{emitted:?}");
    emitted.says("documents: 5, requests: 4\n");
    let text = fs::read_to_string(&requests).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    for line in &lines {
        assert_eq!((&line["method"], &line["url"]), (&"POST".into(), &"/v1/chat/completions".into()));
        assert_eq!((line["custom_id"].as_str().unwrap().len(), &line["body"]["model"]), (32, &"test-model".into()));
    }
    // A program such as `vllm run-batch` answers them, here in two files and in reverse order.
    let (done, failed) = (directory.path().join("done.jsonl"), directory.path().join("failed.jsonl"));
    let answered: String = lines[1..].iter().rev().map(|line| format!("{}\n", result(line, true))).collect();
    fs::write(&done, answered).unwrap();
    fs::write(&failed, format!("{}\n{{\"custom_id\": \"foreign\", \"response\": null}}\n", result(&lines[0], false)))
        .unwrap();
    let files = ["--ingest-batch", done.to_str().unwrap(), "--ingest-batch", failed.to_str().unwrap()];
    let args =
        [&["--llm", "test-model", "-n", "2", "--max-completion-tokens", "99", "--drop=none"], &files[..]].concat();
    let ran = run(&mut filter(&args), input.clone());
    assert_eq!((ran.code, ran.ids().len()), (Some(1), 8), "{ran:?}");
    assert_eq!(ran.ids()[6..], ["again-q1", "again-q2"]);
    assert!(
        ran.stderr.contains("batch replies: 3,")
            && ran.stderr.contains("passages left out because they have no reply yet: 1"),
        "{ran:?}"
    );
    ran.says("result lines for requests that are not of this run: 1");

    // With a journal, the rest can be asked for one by one, from a server that has another name for the limit.
    let journal = directory.path().join("journal");
    let journal = ["--journal", journal.to_str().unwrap()];
    run(&mut filter(&[&args[..], &journal].concat()), input.clone());
    let server = Server::start(ok);
    let ran = run(
        &mut client(&server, &[&["-n", "2", "--max-completion-tokens", "99", "--drop=none"], &journal[..]].concat()),
        input,
    );
    assert_eq!((ran.code, ran.ids().len(), server.requests().len()), (Some(0), 10, 1), "{ran:?}");
    let broken = directory.path().join("broken.jsonl");
    fs::write(&broken, "{\"custom_id\":\n").unwrap();
    let ran = run(&mut filter(&["--llm", "m", "--ingest-batch", broken.to_str().unwrap()]), corpus(1));
    assert!(ran.code == Some(2) && ran.stderr.contains("broken.jsonl:1: not JSON"), "{ran:?}");
}
