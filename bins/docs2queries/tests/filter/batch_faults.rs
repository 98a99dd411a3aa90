//! Batches whose results are incomplete, garbled or gone.

use std::fs;

use serde_json::{Value, json};

use crate::batch_server::{BatchApi, Fate, one_by_one, result, round_trip, start};
use crate::server::{Answer, Server, completion, ok};
use crate::support::{ask, corpus, filter, lines, replies, run, scratch};

/// The reservation counts the longer of the limit's two names.
const NAMES: usize = "max_completion_tokens".len() - "max_tokens".len();

/// The result lines with the first one changed.
fn with_first(results: &str, change: impl FnOnce(&str) -> String) -> Answer {
    let (first, rest) = results.split_once('\n').unwrap();
    Answer::Bytes(format!("{}\n{rest}", change(first)).into_bytes())
}

#[test]
fn an_unreadable_line_affects_only_itself() {
    let api = BatchApi::start();
    api.state().garble = Some(|results, _| with_first(results, |line| line[..line.len() / 2].to_owned()));
    // The results are in reverse order, and the third one is in the error file.
    let ran = api.round_trip(&[], 5);
    assert_eq!((ran.code, ran.ids().len()), (Some(1), 6), "{ran:?}");
    ran.says("unreadable result lines: 1, the first: batch batch-0:1: not JSON\n");
    let most = api.state().requests()[4]["body"].to_string().len() + NAMES;
    let spent = format!("batch replies: 3, tokens in: {}, tokens out: {}\n", 300 + most, 60 + 50);
    assert!(ran.stderr.contains(&spent), "it may have been paid for: {ran:?}");
    api.state().garble = None;
    let ran = api.round_trip(&[], 5);
    assert_eq!((ran.code, ran.ids().len(), api.state().requests().len()), (Some(1), 8, 5 + 2), "{ran:?}");
    // No batch is in progress any more, so the rest can be asked for one by one.
    let args = ["-n", "2", "--max-completion-tokens", "50", "--journal", api.journal.to_str().unwrap()];
    let one = Server::start(ok);
    let ran = ask(&one, &args, 5);
    assert_eq!((ran.code, ran.stdout, one.requests().len()), (Some(0), one_by_one(5), 1), "{}", ran.stderr);
}

#[test]
fn half_a_character_in_a_result_is_replaced() {
    for bad in [&br"\ud83d"[..], b"\xff"] {
        let api = BatchApi::start();
        api.state().garble = Some(if bad[0] == 0xff {
            |results, _| {
                let at = results.find("about text").unwrap();
                Answer::Bytes([&results.as_bytes()[..at], b"\xff ", &results.as_bytes()[at..]].concat())
            }
        } else {
            |results, _| Answer::Http(200, "", results.replacen("about text", r"\ud83d about text", 1))
        });
        let ran = api.round_trip(&[], 2);
        assert_eq!((ran.code, ran.ids().len()), (Some(0), 4), "{ran:?}");
        assert_eq!(ran.pairs()[3]["anchor"], "\u{fffd} about text 2");
        ran.says("result lines with invalid characters, read as U+FFFD: 1, the first: batch batch-0:1\n");
    }
}

#[test]
fn requests_of_lost_batches_are_sent_again() {
    for (gone, said) in [
        (&["/v1/batches/"][..], "batch batch-0 is gone; its requests will be sent again, and it counts as "),
        (&["/v1/files/output"], "batch batch-0 has lost its result file output-0: the server answered 404"),
    ] {
        let api = BatchApi::start();
        api.state().gone = gone.to_vec();
        let ran = api.round_trip(&[], 2);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
        ran.says(said);
        ran.says("passages left out because they have no reply yet: 2");
        let most = |line: &Value| line["body"].to_string().len() + NAMES + 50;
        let most: usize = api.state().requests().iter().map(most).sum();
        ran.says(&format!("counts as {most} tokens"));
        api.state().gone.clear();
        // A later cap includes what may have been charged.
        let capped = ["--max-tokens", &(most + 10).to_string()];
        let ran = api.round_trip(&capped, 2);
        ran.says("requests left out because a cap has no room for them: 2\n");
        let ran = api.round_trip(&[], 2);
        assert_eq!((ran.code, ran.stdout), (Some(0), one_by_one(2)), "{}", ran.stderr);
        assert_eq!(api.state().batches.len(), 2);
    }
}

#[test]
fn a_batch_of_an_earlier_run_that_is_gone_is_sent_again_at_once() {
    let (_directory, path) = scratch("journal");
    for journal in [
        "{\"batch\":\"file-x\",\"state\":\"created\",\"id\":\"batch-9\"}\n",
        "{\"batch\":\"file-x\",\"state\":\"uploaded\",\"tokens\":[5,5],\"usd\":null}\n",
    ] {
        fs::write(&path, journal).unwrap();
        let (server, _state) = start();
        let ran = round_trip(&server, &path, &[], 2);
        assert_eq!((ran.code, ran.stdout), (Some(0), one_by_one(2)), "{}", ran.stderr);
        assert!(ran.stderr.contains(" is gone"), "{}", ran.stderr);
    }
}

#[test]
fn a_wrong_address_gives_no_batch_up() {
    let (_directory, path) = scratch("journal");
    for body in [
        "<html>404 page not found</html>",
        r#"{"detail": "Not Found"}"#,
        "Cannot GET /v1/batches/batch-9",
        r#"{"error": {"message": "Invalid URL (GET /v1/batches/batch-9)"}}"#,
        "",
    ] {
        let server = Server::start(move |_| Answer::Http(404, "", body.into()));
        for journal in [
            "{\"batch\":\"file-x\",\"state\":\"created\",\"id\":\"batch-9\"}\n",
            "{\"batch\":\"file-x\",\"state\":\"uploaded\"}\n",
        ] {
            fs::write(&path, journal).unwrap();
            let ran = round_trip(&server, &path, &[], 2);
            assert!(ran.code == Some(2) && ran.stderr.contains("does the address end in /v1"), "{ran:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), journal);
        }
    }
}

#[test]
fn a_batch_without_a_result_file_is_reported() {
    let api = BatchApi::start();
    api.state().has_no_files = true;
    let ran = api.round_trip(&[], 2);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
    ran.says("batch batch-0 completed without a result file");
    api.state().has_no_files = false;
    let ran = api.round_trip(&[], 2);
    assert_eq!((ran.code, ran.stdout), (Some(0), one_by_one(2)), "{}", ran.stderr);
}

#[test]
fn result_files_have_many_formats() {
    let formats: [fn(&str, usize) -> Answer; 4] = [
        |results, _| Answer::Http(200, "", format!("\u{feff}{}", results.replace('\n', "\r\n"))),
        |results, _| Answer::Http(200, "", results.trim_end().to_owned()),
        |results, _| Answer::Http(200, "", results.replace("\"status_code\":200", "\"status_code\":\"200\",\"p\":NaN")),
        |results, _| {
            let lines = results.lines().map(|line| {
                let mut line: Value = serde_json::from_str(line).unwrap();
                line["response"]["body"] = line["response"]["body"].to_string().into();
                format!("{line}\n\n")
            });
            Answer::Http(200, "", lines.collect())
        },
    ];
    for format in formats {
        let api = BatchApi::start();
        api.state().garble(format);
        let ran = api.round_trip(&[], 2);
        assert_eq!((ran.code, ran.stdout), (Some(0), one_by_one(2)), "{}", ran.stderr);
    }
}

#[test]
fn a_lost_error_file_costs_nothing() {
    let api = BatchApi::start();
    api.state().gone = vec!["/v1/files/errors"];
    let ran = api.round_trip(&[], 5);
    assert_eq!((ran.code, ran.ids().len()), (Some(1), 8), "{ran:?}");
    assert!(ran.stderr.contains("has lost its result file errors-0") && !ran.stderr.contains("counts as"), "{ran:?}");
}

#[test]
fn errors_of_single_requests_are_treated_by_their_codes() {
    let api = BatchApi::start();
    // The first request is too long, the second met a rate limit, and the model refused the third.
    let garble: fn(&str, usize) -> Answer = |results, _| {
        let mut lines: Vec<Value> = results.lines().rev().map(|line| serde_json::from_str(line).unwrap()).collect();
        let error = |code: &str| json!({"error": {"message": "no", "code": code}});
        lines[0]["response"] = json!({"status_code": 400, "body": error("context_length_exceeded")});
        lines[1]["response"] = json!({"status_code": 429, "body": error("rate_limit_exceeded")});
        lines[2]["response"]["body"] = serde_json::from_str(&completion("I would rather not.")).unwrap();
        Answer::Http(200, "", lines.iter().map(|line| format!("{line}\n")).collect())
    };
    api.state().garble = Some(garble);
    let skip = ["--on-error", "skip"];
    // In addition, document 3 is in the server's error file.
    let ran = api.round_trip(&skip, 6);
    assert_eq!((ran.code, ran.ids().len()), (Some(1), 4), "{ran:?}");
    ran.says("failed batch requests: 3, the first: the server answered 400");
    ran.says("passages without queries: 1 too long for the model, 1 no query in the reply\n");
    ran.says("passages left out because they have no reply yet: 2");
    // Transient errors are sent again each time, the others once.
    let sent = || api.state().requests().len();
    for (run, more) in [(2, 4), (3, 1)] {
        let before = sent();
        api.state().garble = if run == 2 { Some(long_for_text_1) } else { None };
        let ran = api.round_trip(&skip, 6);
        assert_eq!(
            (ran.code, ran.ids().len(), sent() - before),
            (Some(1), 10 - 2 * usize::from(run == 2), more),
            "{ran:?}"
        );
    }
}

/// The request about `text 1` is too long; `text 3` is in the error file.
fn long_for_text_1(results: &str, _: usize) -> Answer {
    let lines = results.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        if line.to_string().contains("text 1?") {
            let error = json!({"message": "no", "code": "context_length_exceeded"});
            line["response"] = json!({"status_code": 400, "body": {"error": error}});
        }
        format!("{line}\n")
    });
    Answer::Http(200, "", lines.collect())
}

#[test]
fn repeated_and_foreign_lines_are_counted() {
    let api = BatchApi::start();
    api.state().garble = Some(|results, _| {
        let foreign = "{\"custom_id\": \"request-7\", \"response\": {\"status_code\": 200, \"body\": {}}}\n\n";
        Answer::Http(200, "", format!("{results}{foreign}{}", results.replace("about", "of")))
    });
    let ran = api.round_trip(&[], 2);
    assert_eq!((ran.code, ran.stdout), (Some(0), one_by_one(2)), "the first one counts: {}", ran.stderr);
    let said = "result lines that repeat a reply; only the first is used: 2, the first: batch batch-0:5\n";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    assert!(ran.stderr.contains("result lines for requests that are not of this run: 1\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("tokens in: 200, tokens out: 40"), "and is paid for once: {}", ran.stderr);
}

#[test]
fn an_expired_batch_with_a_bad_line_is_closed() {
    let api = BatchApi::start();
    api.state().fate = Some(Fate::Expires);
    api.state().garble = Some(|results, _| with_first(results, |_| "}{".into()));
    let ran = api.round_trip(&[], 5);
    assert_eq!((ran.code, ran.ids().len()), (Some(1), 2), "{ran:?}");
    ran.says("batch batch-0 expired: 2 of 5 requests were done");
    assert_eq!(lines(&api.journal), 4, "uploaded, created, one reply, collected");
}

#[test]
fn a_file_that_is_read_twice_is_paid_for_once() {
    let (directory, path) = scratch("journal");
    let args = ["--llm", "test-model", "-n", "2", "--max-completion-tokens", "50", "--on-error", "skip"];
    let emitted = run(&mut filter(&[&args[..], &["--emit-batch"]].concat()), corpus(4));
    let requests: Vec<Value> = emitted.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut results: Vec<String> = requests.iter().map(|request| result(request, true).to_string()).collect();
    let mut useless = result(&requests[1], true);
    useless["response"]["body"]["choices"] = json!([]);
    results[1] = useless.to_string();
    let broken = json!([{"error": {"code": 502}}]);
    useless["response"]["body"]["choices"] = broken;
    useless["custom_id"] = requests[2]["custom_id"].clone();
    results[2] = useless.to_string();
    results[3].truncate(90);
    let done = directory.path().join("done.jsonl");
    fs::write(&done, results.join("\n")).unwrap();
    let files = ["--ingest-batch", done.to_str().unwrap(), "--journal", path.to_str().unwrap()];
    let most = requests[3]["body"].to_string().len();
    let paid =
        |said: &str| said.split("batch replies: ").nth(1).and_then(|rest| rest.lines().next()).unwrap().to_owned();
    let first = run(&mut filter(&[&args[..], &files].concat()), corpus(4));
    let second = run(&mut filter(&[&args[..], &files].concat()), corpus(4));
    for ran in [&first, &second] {
        assert_eq!((ran.code, ran.ids().len()), (Some(1), 2), "{ran:?}");
        ran.says("unreadable result lines: 1, the first: ");
    }
    let all = format!("2, tokens in: {}, tokens out: {}", 300 + most, 60 + 50);
    assert_eq!((paid(&first.stderr), paid(&second.stderr)), (all, "2, tokens in: 0, tokens out: 0".into()));
    assert_eq!(replies(&path).len(), 3);
    // The missing replies are asked for, and the useless one once more.
    let server = Server::start(ok);
    let journal = ["-n", "2", "--max-completion-tokens", "50", "--journal", path.to_str().unwrap()];
    let ran = ask(&server, &journal, 4);
    assert_eq!((ran.code, ran.ids().len(), server.requests().len()), (Some(0), 8, 3), "{ran:?}");
}

/// The most tokens that these requests can take.
fn most_of(requests: &[Value]) -> usize {
    requests.iter().map(|line| line["body"].to_string().len() + NAMES + 50).sum()
}

#[test]
fn requests_without_a_result_count_as_their_upper_bound() {
    let nothing: [fn(&str, usize) -> Answer; 3] = [
        |_, _| Answer::Http(200, "", String::new()),
        |_, _| Answer::Http(200, "", "<html>gateway</html>".into()),
        |_, _| Answer::Http(200, "", "{\"custom_id\"".into()),
    ];
    for garble in nothing.map(Some).into_iter().chain([None]) {
        let api = BatchApi::start();
        (api.state().garble, api.state().has_no_files) = (garble, garble.is_none());
        let mut spent = 0;
        for runs in 1..=3 {
            let ran = api.round_trip(&[], 2);
            let most = most_of(&api.state().requests()[2 * (runs - 1)..]);
            spent += most;
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
            let said = format!(
                "batch batch-{} has no result for 2 requests; its requests will be sent again, and it",
                runs - 1
            );
            ran.says(&format!("{said} counts as {most} tokens\n"));
        }
        // A cap includes all of them.
        let capped = ["--max-tokens", &(spent + 10).to_string()];
        let ran = api.round_trip(&capped, 2);
        ran.says("requests left out because a cap has no room for them: 2\n");
        assert_eq!(api.state().batches.len(), 3);
    }
}

#[test]
fn a_line_that_is_always_cut_off_counts_in_each_batch() {
    let api = BatchApi::start();
    api.state().garble(|results, _| Answer::Http(200, "", results[..results.len() - 50].into()));
    let mut spent = 120;
    for _ in 0..3 {
        let ran = api.round_trip(&[], 2);
        assert_eq!((ran.code, ran.ids().len()), (Some(1), 2), "{ran:?}");
        // The last line is that of the first request, which is sent again by itself.
        let most = most_of(&api.state().requests()[..1]);
        spent += most;
        ran.says(&format!(
            "has no result for 1 request; its requests will be sent again, and it counts as {most} tokens\n"
        ));
    }
    let ran = api.round_trip(&["--max-tokens", &(spent + 10).to_string()], 2);
    ran.says("requests left out because a cap has no room for them: 1\n");
}

#[test]
fn an_incomplete_download_is_repeated() {
    let first: [fn(&str, usize) -> Answer; 6] = [
        // Either the connection or the file ends too early.
        |results, n| match n {
            0 => Answer::Cut(results[..results.len() - 50].into()),
            _ => Answer::Http(200, "", results.into()),
        },
        |results, n| Answer::Http(200, "", if n == 0 { &results[..results.len() - 50] } else { results }.into()),
        |results, n| Answer::Http(200, "", if n == 0 { "" } else { results }.into()),
        |results, n| Answer::Http(200, "", if n == 0 { "<html>gateway</html>" } else { results }.into()),
        |results, n| Answer::Http(200, "", if n == 0 { results.lines().next().unwrap() } else { results }.into()),
        |results, n| match n {
            0 => Answer::Http(200, "", "{\n  \"error\": {\"message\": \"rate limited\", \"code\": 429}\n}\n".into()),
            _ => Answer::Http(200, "", results.into()),
        },
    ];
    for garble in first {
        let api = BatchApi::start();
        api.state().garble(garble);
        let ran = api.round_trip(&[], 2);
        assert_eq!((ran.code, ran.stdout), (Some(0), one_by_one(2)), "{}", ran.stderr);
        assert!(ran.stderr.contains("batch replies: 2, tokens in: 200, tokens out: 40\n"), "{}", ran.stderr);
    }
}

#[test]
fn an_error_in_place_of_a_file_leaves_the_batch_open() {
    let api = BatchApi::start();
    api.state().garble(|_, _| Answer::Http(200, "", "{\"error\":{\"code\":429}}".into()));
    let ran = api.round_trip(&["--max-retries", "1"], 2);
    assert!(ran.code == Some(2) && ran.stderr.contains("the server answered 429"), "{ran:?}");
    api.state().garble = None;
    let ran = api.round_trip(&[], 2);
    assert_eq!((ran.code, ran.stdout), (Some(0), one_by_one(2)), "{}", ran.stderr);
    assert_eq!(api.state().batches.len(), 1, "nothing is paid twice");
}

#[test]
fn a_line_without_end_is_an_error() {
    let args = ["--llm", "test-model", "-n", "2", "--ingest-batch", "/dev/zero"];
    let ran = run(&mut filter(&args), corpus(1));
    assert!(ran.code == Some(2) && ran.stderr.contains("/dev/zero:1: a line without end"), "{ran:?}");
}
