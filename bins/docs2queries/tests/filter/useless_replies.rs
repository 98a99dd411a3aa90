//! Useless replies: they are paid for and recorded, but contain no answer.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::server::{Answer, Request, Server, completion, good, ok};
use crate::support::{Ran, ask, client, corpus, filter, replies, run, scratch};

/// A completion with this message and finish reason.
fn reply(message: &Value, finish: &str) -> Value {
    json!({
        "choices": [{"index": 0, "finish_reason": finish, "message": message}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20},
    })
}

/// A server that answers `text 2` with `body` while it is `sick`, and otherwise properly.
fn sick(body: Value) -> (Server, Arc<AtomicBool>) {
    let is_sick = Arc::new(AtomicBool::new(true));
    let server = Server::start({
        let is_sick = Arc::clone(&is_sick);
        move |request: &Request| match request.document() {
            "text 2" if is_sick.load(Ordering::SeqCst) => Answer::Http(200, "", body.to_string()),
            _ => ok(request),
        }
    });
    (server, is_sick)
}

fn skipping(server: &Server, journal: &Path, documents: usize) -> Ran {
    run(&mut client(server, &["--journal", journal.to_str().unwrap(), "--on-error", "skip"]), corpus(documents))
}

#[test]
fn a_useless_reply_is_asked_for_once_more() {
    for (body, reason) in [
        (json!({"id": "x", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 0}}), "empty reply"),
        (reply(&json!({"content": null}), "stop"), "empty reply"),
        (reply(&json!({"content": "<think>Let me"}), "length"), "reply cut off"),
        (reply(&json!({"content": null, "refusal": "I can't help with that."}), "stop"), "refused"),
        (reply(&json!({"content": "{\"queries\": [\"a\", \"b"}), "content_filter"), "moderated"),
        (reply(&json!({"content": "I'd rather not."}), "stop"), "no query in the reply"),
    ] {
        let (_directory, path) = scratch("journal");
        let (server, is_sick) = sick(body.clone());
        let first = skipping(&server, &path, 3);
        assert_eq!((first.code, first.ids().len(), server.asked("text 2")), (Some(1), 4, 1), "{first:?}");
        first.says(&format!("passages without queries: 1 {reason}\n"));
        assert_eq!(replies(&path).len(), 3, "it is paid for, and that is kept: {body}");

        is_sick.store(false, Ordering::SeqCst);
        let second = skipping(&server, &path, 3);
        assert_eq!((second.code, second.ids().len(), server.requests().len()), (Some(0), 6, 4), "{second:?}");
        second.says("requests sent again because the journal's reply was useless: 1\n");

        let third = skipping(&server, &path, 3);
        assert_eq!((third.code, &third.stdout, server.requests().len()), (Some(0), &second.stdout, 4), "{third:?}");
        assert!(!third.stderr.contains("sent again"), "{third:?}");
    }
}

#[test]
fn a_failed_run_reports_what_it_sent_again() {
    let (_directory, path) = scratch("journal");
    let (server, _sick) = sick(reply(&json!({"content": "No."}), "stop"));
    assert_eq!(skipping(&server, &path, 2).code, Some(1));
    let ran = ask(&server, &["--journal", path.to_str().unwrap()], 2);
    let said = "requests sent again because the journal's reply was useless: 1\n";
    assert!(ran.code == Some(2) && ran.stderr.contains(said), "{ran:?}");
}

#[test]
fn after_two_useless_replies_a_document_is_given_up() {
    let (_directory, path) = scratch("journal");
    let (server, is_sick) = sick(reply(&json!({"content": "No."}), "stop"));
    for (run, asked) in [(1, 1), (2, 2), (3, 2), (4, 2)] {
        let ran = skipping(&server, &path, 2);
        assert_eq!((ran.code, ran.ids().len(), server.asked("text 2")), (Some(1), 2, asked), "run {run}: {ran:?}");
        ran.says("document d2: no query in the model's answer (finish reason: stop): No.");
        assert_eq!(ran.stderr.contains("; gave up after 2 requests: to ask again, delete"), run > 2, "{ran:?}");
    }
    // As the message says.
    let key = |line: &&str| serde_json::from_str::<Value>(line).unwrap()["key"].clone();
    let text = fs::read_to_string(&path).unwrap();
    let useless = text.lines().find(|line| line.contains("\"No.\"")).unwrap();
    assert!(skipping(&server, &path, 2).stderr.contains(key(&useless).as_str().unwrap()));
    let rest: String = text.lines().filter(|line| key(line) != key(&useless)).map(|line| format!("{line}\n")).collect();
    fs::write(&path, rest).unwrap();
    is_sick.store(false, Ordering::SeqCst);
    assert_eq!(skipping(&server, &path, 2).code, Some(0));
}

#[test]
fn with_fail_the_document_is_named_in_every_run() {
    let (_directory, path) = scratch("journal");
    let (server, _) = sick(json!({"choices": []}));
    for asked in [1, 2, 2] {
        let ran = ask(&server, &["--journal", path.to_str().unwrap()], 2);
        assert_eq!((ran.code, server.asked("text 2")), (Some(2), asked), "{ran:?}");
        ran.says("<stdin>:2: document d2: the model's answer is empty");
    }
}

#[test]
fn a_useless_reply_counts_for_all_documents_with_the_same_text() {
    let (_directory, path) = scratch("journal");
    let server = Server::start(|_| Answer::Http(200, "", completion("No.")));
    let twice = "{\"_id\": \"a\", \"text\": \"same\"}\n{\"_id\": \"b\", \"text\": \"same\"}\n";
    let args = ["--journal", path.to_str().unwrap(), "--on-error", "skip"];
    for asked in [1, 2, 2] {
        let ran = run(&mut client(&server, &args), twice);
        assert_eq!((ran.code, server.requests().len()), (Some(1), asked), "{ran:?}");
        ran.says("passages without queries: 2 no query in the reply\n");
    }
}

#[test]
fn journals_of_earlier_versions_are_judged_again() {
    let (_directory, path) = scratch("journal");
    let emitted = run(&mut filter(&["--llm", "test-model", "--emit-batch", "-n", "2"]), corpus(3));
    let keys: Vec<Value> =
        emitted.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["custom_id"].clone()).collect();
    // They took these for answers: an empty reply, a transient error, the beginning of a reply that broke off.
    let partial = json!({"content": "{\"queries\": [\"half\", \"an ans"});
    let bodies = [
        json!({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 0}}),
        json!({"choices": [], "error": {"code": 429, "message": "slow down"}}),
        json!({"choices": [{"error": {"code": 502, "message": "gone"}, "message": partial, "finish_reason": "error"}]}),
    ];
    let lines = keys.iter().zip(&bodies).map(|(key, body)| json!({"key": key, "id": "d", "reply": body}));
    fs::write(&path, lines.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let server = Server::start(ok);
    let ran = ask(&server, &["--journal", path.to_str().unwrap(), "-n", "2"], 3);
    assert_eq!((ran.code, ran.ids().len(), server.requests().len()), (Some(0), 6, 3), "{ran:?}");
    let said = "requests sent again because the journal's reply was useless: 1\n";
    assert!(ran.stderr.contains(said), "transient errors do not count as tries: {ran:?}");
}

#[test]
fn an_error_inside_a_choice_is_an_error() {
    let partial = json!({"content": "{\"queries\": [\"half an ans\", \"wer"});
    let broken = json!({
        "choices": [{"finish_reason": "error", "error": {"code": 502, "message": "gone"}, "message": partial}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    });
    let (_directory, path) = scratch("journal");
    let server = Server::start(move |request| match request.attempt {
        1 => Answer::Http(200, "", broken.to_string()),
        _ => ok(request),
    });
    let ran = ask(&server, &["--journal", path.to_str().unwrap(), "-v"], 1);
    assert_eq!((ran.code, server.requests().len()), (Some(0), 2), "{ran:?}");
    assert!(!ran.stdout.contains("half an ans"), "{ran:?}");
    ran.says("the server answered 502 Bad Gateway: gone");
    assert!(ran.stderr.contains("tokens in: 107, tokens out: 23"), "what broke off is paid for: {ran:?}");
    let again = ask(&server, &["--journal", path.to_str().unwrap()], 1);
    assert_eq!((again.stdout, server.requests().len()), (ran.stdout, 2));
    let paid: u64 = replies(&path).iter().flat_map(|line| [0, 1].map(|n| line["tokens"][n].as_u64().unwrap())).sum();
    assert_eq!(paid, 130, "and a later cap includes it");
}

#[test]
fn codes_may_be_strings() {
    let first = |body: &'static str| {
        Server::start(move |request| match request.attempt {
            1 => Answer::Http(200, "", body.into()),
            _ => ok(request),
        })
    };
    for body in [
        r#"{"error": {"message": "slow", "code": "429"}}"#,
        r#"[{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}]"#,
    ] {
        let server = first(body);
        let ran = ask(&server, &[], 1);
        assert_eq!((ran.code, ran.ids().len(), server.requests().len()), (Some(0), 2, 2), "{body}: {ran:?}");
    }
    for (body, hint) in [
        (r#"{"error": {"message": "bad key", "code": "401"}}"#, "hint: set OPENAI_API_KEY"),
        (r#"{"choices": [], "error": {"message": "pay", "code": "insufficient_quota"}}"#, "no credit left"),
    ] {
        let server = first(body);
        let ran = ask(&server, &["--on-error", "skip", "--concurrency", "1"], 3);
        assert_eq!((ran.code, server.requests().len()), (Some(2), 1), "{body}: {ran:?}");
        assert!(ran.stderr.contains("the server answered 40") && ran.stderr.contains(hint), "{body}: {ran:?}");
    }
}

#[test]
fn half_a_character_is_replaced() {
    let whole = completion("{\"queries\": [\"how long HERE is it\", \"another\"]}");
    for (mut body, expected) in [
        (whole.replace("HERE", r"\ud83d").into_bytes(), "how long \u{fffd} is it"),
        (whole.replace("HERE", "BYTES").into_bytes(), "how long \u{fffd} is it"),
    ] {
        if let Some(at) = body.windows(5).position(|bytes| bytes == b"BYTES") {
            body.splice(at..at + 5, [0xff]);
        }
        let (_directory, path) = scratch("journal");
        let server = Server::start(move |_| Answer::Bytes(body.clone()));
        let args = ["--journal", path.to_str().unwrap()];
        let ran = ask(&server, &args, 1);
        let anchors: Vec<Value> = ran.pairs().iter().map(|pair| pair["anchor"].clone()).collect();
        assert_eq!((ran.code, anchors), (Some(0), vec![expected.into(), "another".into()]), "{ran:?}");
        ran.says("replies with invalid characters, read as U+FFFD: 1\n");
        assert!(ran.stderr.contains("tokens in: 100, tokens out: 20"), "its own count of tokens is read: {ran:?}");
        assert_eq!(ask(&server, &args, 1).stdout, ran.stdout);
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn caps_hold_over_runs_without_useful_replies() {
    let (_directory, path) = scratch("journal");
    // Every second document gets a failed choice first and then no query, and all of it is paid for.
    let server = Server::start(|request| {
        let number: usize = request.document().trim_start_matches("text ").parse().unwrap();
        match (number % 2, request.attempt) {
            (0, _) => Answer::Http(200, "", good(request)),
            (_, 1) => {
                let mut body = reply(&json!({"content": "x"}), "error");
                body["choices"][0]["error"] = json!({"code": "502", "message": "gone"});
                Answer::Http(200, "", body.to_string())
            }
            _ => Answer::Http(200, "", completion("No.")),
        }
    });
    let paid = || 120 * server.requests().len();
    let args = ["--journal", path.to_str().unwrap(), "--on-error", "skip", "--max-completion-tokens", "50", "-n", "2"];
    let with_cap = |cap: usize| {
        let cap = cap.to_string();
        ask(&server, &[&args[..], &["--max-tokens", &cap]].concat(), 40)
    };
    for _ in 0..4 {
        let ran = with_cap(6000);
        assert!(ran.code == Some(1) && paid() <= 6000, "{} of 6000: {ran:?}", paid());
    }
    assert!(paid() > 3000, "{}", paid());
    // Without a cap, each useless document is paid for as often as it may be: one error, two tries.
    for _ in 0..4 {
        assert_eq!(with_cap(1_000_000).code, Some(1));
    }
    assert_eq!(server.requests().len(), 20 + 20 * 3);
}
