//! The generator `openai`, and everything that servers answer.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::server::{Answer, Server, completion, good, ok};
use crate::support::{KEY, ask, client, corpus, filter, run};

/// Runs one document against a server whose first answer is `first`, and checks that the request is sent again.
fn is_retried(first: impl Fn() -> Answer + Send + Sync + 'static, args: &[&str]) {
    let server = Server::start(move |request| if request.attempt == 1 { first() } else { ok(request) });
    let ran = ask(&server, args, 1);
    assert_eq!((ran.code, ran.ids().len()), (Some(0), 2), "{ran:?}");
    assert_eq!(server.asked("text 1"), 2);
}

/// Runs three documents, and checks that the second one, which gets `answer`, is a bad record and is asked about once.
fn is_a_bad_record(answer: impl Fn() -> Answer + Send + Sync + 'static, expected: &str) {
    let server = Server::start(move |request| if request.document() == "text 2" { answer() } else { ok(request) });
    let ran = ask(&server, &["--concurrency", "1"], 3);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    ran.says(&format!("docs2queries: <stdin>:2: document d2: {expected}"));
    assert_eq!(ran.ids(), ["d1-q1", "d1-q2"]);
    assert_eq!(server.asked("text 2"), 1);

    let ran = ask(&server, &["--on-error", "skip"], 3);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    ran.says("1 record skipped");
    assert_eq!(ran.ids(), ["d1-q1", "d1-q2", "d3-q1", "d3-q2"]);
}

/// Runs three documents against a server that gives this answer to all, and checks that one request is sent.
fn ends_the_run(status: u16, body: &'static str, expected: &[&str]) {
    let server = Server::start(move |_| Answer::Http(status, "", body.into()));
    let ran = ask(&server, &["--concurrency", "1", "--on-error", "skip", "-vv"], 3);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert!(expected.iter().all(|words| ran.stderr.contains(words)), "{ran:?}");
    assert!(!ran.stderr.contains(KEY), "{ran:?}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn pairs_come_in_the_order_of_the_input() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let server = Server::start({
        let most = Arc::clone(&most);
        move |request| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let number: u64 = request.document().trim_start_matches("text ").parse().unwrap();
            std::thread::sleep(Duration::from_millis(40 * (13 - number)));
            now.fetch_sub(1, Ordering::SeqCst);
            ok(request)
        }
    });
    let ran = ask(&server, &["--concurrency", "4"], 12);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let expected: Vec<String> = (1..=12).flat_map(|n| [format!("d{n}-q1"), format!("d{n}-q2")]).collect();
    assert_eq!(ran.ids(), expected);
    assert_eq!(server.requests().len(), 12);
    assert_eq!(most.load(Ordering::SeqCst), 4, "as many at once as --concurrency says, and no more");
    ran.says("documents: 12, pairs: 24, requests: 12, tokens in: 1200, tokens out: 240\n");
}

#[test]
fn request_and_pair_have_all_fields() {
    let server = Server::start(ok);
    let document = json!({"id": 7, "title": "T", "text": "x", "group": "parent", "secret": "field"});
    let ran = run(
        &mut client(&server, &["-n", "2", "--temperature", "0.5", "--max-completion-tokens", "50"]),
        format!("{document}\n"),
    );
    let request = &server.requests()[0];
    assert!(request.head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{}", request.head);
    assert!(request.head.contains(&format!("authorization: Bearer {KEY}\r\n")), "{}", request.head);
    assert_eq!(request.document(), "Title: T\n\nx");
    assert_eq!((&request.body["model"], &request.body["temperature"]), (&json!("test-model"), &json!(0.5)));
    assert_eq!((&request.body["max_tokens"], &request.body["max_completion_tokens"]), (&json!(50), &json!(null)));
    assert_eq!(
        ran.pairs()[0],
        json!({
            "anchor": "what is Title: T x?", "positive": "T x", "anchor_id": "7-q1", "positive_id": "7", "group": "parent",
        })
    );
}

#[test]
fn transient_errors_are_retried() {
    for status in [408, 409, 429, 500, 503] {
        is_retried(move || Answer::Http(status, "", r#"{"error": {"message": "later", "code": 1}}"#.into()), &[]);
    }
    is_retried(|| Answer::Http(502, "content-type: text/html\r\n", "<html><h1>Bad gateway</h1></html>".into()), &[]);
    is_retried(|| Answer::Reset, &[]);
    is_retried(|| Answer::Cut(completion("[\"a\"]")), &[]);
    is_retried(|| Answer::Http(200, "", String::new()), &[]);
    is_retried(|| Answer::Http(200, "", completion("[\"a\"]").split_at(90).0.into()), &[]);
    is_retried(|| Answer::Http(200, "", r#"{"error": {"message": "upstream", "code": 503}}"#.into()), &[]);
}

#[test]
fn timeouts_are_retried() {
    is_retried(|| Answer::Hang, &["--timeout-secs", "1"]);
}

#[test]
fn retries_end() {
    let server = Server::start(|_| Answer::Http(429, "retry-after: 0\r\n", "busy".into()));
    let ran = ask(&server, &["--max-retries", "2", "-v"], 1);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    ran.says("<stdin>:1: document d1: the server answered 429 Too Many Requests: busy (gave up after 3 attempts)");
    ran.says("document d1: retry 2 of 2 in 0.");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn permanent_errors_end_the_run() {
    let body = r#"{"error": {"message": "Incorrect API key provided: sk-test-0123456789.", "code": 401}}"#;
    ends_the_run(401, body, &["401 Unauthorized: Incorrect API key provided: [key].", "hint: set OPENAI_API_KEY"]);
    ends_the_run(404, "not found", &["404 Not Found: not found", "--base-url"]);
    let quota = r#"{"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}"#;
    ends_the_run(429, quota, &["You exceeded your current quota", "hint: the account has no credit left"]);
}

#[test]
fn answers_without_a_query_are_bad_records() {
    is_a_bad_record(|| Answer::Http(200, "", completion("I'd rather not.")), "no query in the model's answer");
    is_a_bad_record(|| Answer::Http(200, "", completion("")), "the model's answer is empty (finish reason: stop)");
    let refusal = json!({"choices": [{"message": {"refusal": "I can't help with that."}}]});
    is_a_bad_record(move || Answer::Http(200, "", refusal.to_string()), "the model refused: I can't help with that.");
    is_a_bad_record(
        || Answer::Http(200, "", "<html>Welcome</html>".into()),
        "the server's answer is not a chat completion",
    );
    let too_long = r#"{"error": {"message": "too long", "type": "exceed_context_size_error", "code": 400}}"#;
    is_a_bad_record(|| Answer::Http(400, "", too_long.into()), "the server answered 400 Bad Request: too long");
}

#[test]
fn unusual_fields_are_accepted() {
    let query = json!([{"type": "text", "text": "{\"queries\": [\"one\", \"two\"]}"}]);
    for (field, value) in [
        ("finish_reason", json!("eos")),
        ("finish_reason", json!("")),
        ("finish_reason", json!(7)),
        ("finish_reason", json!(null)),
        ("message", json!({"content": query})),
    ] {
        let server = Server::start(move |_| {
            let mut reply: serde_json::Value = serde_json::from_str(&completion("1. one\n2. two")).unwrap();
            reply["choices"][0][field] = value.clone();
            for odd in ["id", "object", "created"] {
                reply.as_object_mut().unwrap().remove(odd);
            }
            reply["service_tier"] = "on_demand".into();
            Answer::Http(200, "", reply.to_string())
        });
        let ran = ask(&server, &[], 1);
        let queries: Vec<_> = ran.pairs().iter().map(|pair| pair["anchor"].clone()).collect();
        assert_eq!((ran.code, queries), (Some(0), vec!["one".into(), "two".into()]), "{ran:?}");
    }
}

#[test]
fn an_address_may_have_a_query() {
    let server = Server::start(ok);
    let url = format!("{}?api-version=2024-10-21", server.base_url());
    let ran = run(filter(&["--llm", "m", "--base-url", &url]).env("OPENAI_API_KEY", KEY), corpus(1));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(server.requests()[0].line(), "POST /v1/chat/completions?api-version=2024-10-21");
}

#[test]
fn usage_may_be_missing() {
    let server = Server::start(|request| {
        let mut reply: serde_json::Value = serde_json::from_str(&good(request)).unwrap();
        if request.document() == "text 1" {
            reply.as_object_mut().unwrap().remove("usage");
        }
        Answer::Http(200, "", reply.to_string())
    });
    let ran = ask(&server, &[], 2);
    // The reservation counts for it, and its reply, which has no limit here, as many tokens as it has bytes.
    let most = server.requests().iter().find(|request| request.document() == "text 1").unwrap().text.len();
    let reply = r#"{"queries":["what is text 1?","about text 1"]}"#.len();
    ran.says(&format!("tokens in: {}, tokens out: {}, replies without usage: 1\n", 100 + most, 20 + reply));
}

#[test]
fn an_unreachable_server_ends_the_run_at_once() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = run(&mut filter(&["--llm", "m", "--base-url", &format!("http://{address}/v1")]), corpus(3));
    assert_eq!(ran.code, Some(2));
    ran.says("cannot connect to the server");
    ran.says("hint: is the server running");
}

#[test]
fn a_server_of_ones_own_needs_no_key() {
    let server = Server::start(ok);
    let ran = run(client(&server, &[]).env_remove("OPENAI_API_KEY"), corpus(1));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!server.requests()[0].head.contains("authorization"));
}

#[test]
fn the_address_may_come_from_the_environment() {
    let server = Server::start(ok);
    let ran = run(filter(&["--llm", "m"]).env("OPENAI_BASE_URL", server.base_url() + "/"), corpus(1));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran = run(filter(&["--llm", "m"]).env("OPENAI_BASE_URL", ""), corpus(1));
    assert!(
        ran.code == Some(2) && ran.stderr.contains("no API key"),
        "OpenAI itself is not asked without a key: {ran:?}"
    );
}

#[test]
fn the_key_is_never_shown() {
    let server = Server::start(|request| match request.attempt {
        1 => Answer::Http(500, "retry-after: 0\r\n", format!("you sent {KEY}")),
        _ => ok(request),
    });
    for form in ["text", "json"] {
        let ran = ask(&server, &["-vv", "--log-format", form], 2);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(!ran.stdout.contains(KEY) && !ran.stderr.contains(KEY), "{ran:?}");
    }
    let broken = run(client(&server, &["-vv"]).env("OPENAI_API_KEY", format!("{KEY}\nx")), corpus(1));
    assert_eq!(broken.code, Some(2));
    assert!(broken.stderr.contains("OPENAI_API_KEY contains") && !broken.stderr.contains(KEY), "{broken:?}");
}
