//! Requests have the parameters that the server supports, learnt from its refusals of others.

use std::process::Command;

use serde_json::{Value, json};

use crate::server::{Answer, Request, Server, ok};
use crate::support::{KEY, ask, corpus, filter, run, scratch};

const LIMIT: [&str; 2] = ["--max-completion-tokens", "50"];

/// A server that refuses requests with this field, with this message.
fn refusing(field: &'static str, status: u16, words: &'static str) -> Server {
    Server::start(move |request| match &request.body[field] {
        Value::Null => ok(request),
        _ => Answer::Http(status, "", words.into()),
    })
}

/// A run against a host, with the server as its proxy.
fn at(server: &Server, url: &str, args: &[&str]) -> Command {
    let mut command = filter(&["--llm", "m", "--base-url", url]);
    command.args(args).env("OPENAI_API_KEY", KEY).env("HTTP_PROXY", server.base_url().replace("/v1", ""));
    command
}

#[test]
fn the_token_limits_name_follows_the_servers_refusal() {
    let old = r#"{"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", "type": "invalid_request_error", "param": "max_tokens", "code": "unsupported_parameter"}}"#;
    let server = refusing("max_tokens", 400, old);
    let ran = ask(&server, &[&LIMIT[..], &["--concurrency", "1", "--max-retries", "0"]].concat(), 3);
    assert_eq!((ran.code, ran.ids().len(), server.requests().len()), (Some(0), 6, 4), "{ran:?}");
    assert_eq!(server.requests()[1].body["max_completion_tokens"], 50);
    let said = "warning: the server does not support max_tokens; using max_completion_tokens instead";
    assert_eq!(ran.stderr.matches(said).count(), 1, "{ran:?}");

    let new = r#"{"detail": [{"loc": ["body", "max_completion_tokens"], "msg": "Extra inputs are not permitted"}]}"#;
    let server = refusing("max_completion_tokens", 422, new);
    let args = [&LIMIT[..], &["--concurrency", "1"]].concat();
    let ran = run(&mut at(&server, "http://name.openai.azure.cn/openai/v1", &args), corpus(2));
    assert_eq!((ran.code, ran.ids().len(), server.requests().len()), (Some(0), 4, 3), "{ran:?}");
    assert_eq!(server.requests()[2].body["max_tokens"], 50);
}

#[test]
fn requests_in_flight_follow_it() {
    let server = refusing("max_tokens", 400, "max_tokens is not supported");
    let ran = ask(&server, &[&LIMIT[..], &["--concurrency", "8", "--max-retries", "0"]].concat(), 40);
    assert_eq!((ran.code, ran.ids().len()), (Some(0), 80), "{ran:?}");
    assert!((41..=48).contains(&server.requests().len()), "{}", server.requests().len());
    assert_eq!(ran.stderr.matches("warning").count(), 1, "{ran:?}");
}

#[test]
fn so_do_the_format_and_the_temperature() {
    let answer = |request: &Request| match (&request.body["response_format"]["type"], &request.body["temperature"]) {
        (Value::String(kind), _) if kind == "json_schema" => {
            Answer::Http(400, "", r#"{"error": {"message": "This response_format type is unavailable now"}}"#.into())
        }
        (Value::String(_), _) => Answer::Http(422, "", "'response_format.type' must be 'text'".into()),
        (_, Value::Number(_)) => Answer::Http(
            400,
            "",
            json!({"error": {"message": "Unsupported value: 'temperature' does not support 0.5 with this model."}})
                .to_string(),
        ),
        _ => ok(request),
    };
    let server = Server::start(answer);
    let ran = ask(&server, &["--temperature", "0.5", "--concurrency", "1"], 2);
    assert_eq!((ran.code, ran.ids().len(), server.requests().len()), (Some(0), 4, 5), "{ran:?}");
    assert_eq!(ran.stderr.matches("warning: the server does not support ").count(), 3, "{ran:?}");
}

#[test]
fn a_server_that_refuses_everything_ends_the_run() {
    let words = "max_tokens, max_completion_tokens, temperature and response_format are not supported";
    let server = Server::start(move |_| Answer::Http(400, "", words.into()));
    let ran = ask(&server, &[&LIMIT[..], &["--temperature", "0.5"]].concat(), 1);
    assert!(ran.code == Some(2) && ran.stderr.contains("400 Bad Request: max_tokens, max_completion"), "{ran:?}");
    assert!(server.requests().len() < 8, "{}", server.requests().len());
}

#[test]
fn hosts_are_told_apart() {
    let token = "eyJ0eXAiOiJKV1QiLCJhbGciOi.eyJhdWQiOiJodHRwczovL2NvZ.c2lnbmF0dXJl";
    for (url, key, header, limit) in [
        ("http://name.openai.azure.cn/openai/v1", KEY, "api-key: ", "max_completion_tokens"),
        ("http://name.services.ai.azure.com/models", KEY, "api-key: ", "max_completion_tokens"),
        ("http://name.services.ai.azure.com/models", token, "authorization: Bearer ", "max_completion_tokens"),
        ("http://models.inference.ai.azure.com", KEY, "authorization: Bearer ", "max_tokens"),
        ("http://models.github.ai/inference", KEY, "authorization: Bearer ", "max_tokens"),
        ("http://eu.api.openai.com/v1", KEY, "authorization: Bearer ", "max_completion_tokens"),
    ] {
        let server = Server::start(ok);
        let ran = run(at(&server, url, &LIMIT).env("OPENAI_API_KEY", key), corpus(1));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let request = &server.requests()[0];
        assert!(request.head.contains(&format!("{header}{key}\r\n")), "{url}: {}", request.head);
        assert_eq!(request.head.contains("api-key"), header == "api-key: ", "{url}: {}", request.head);
        assert_eq!(request.head.contains("authorization"), header != "api-key: ", "{url}: {}", request.head);
        assert_eq!(request.body[limit], 50, "{url}: {}", request.body);
    }
    let server = Server::start(ok);
    for url in ["http://eu.api.openai.com/v1", "http://models.github.ai/inference"] {
        let ran = run(at(&server, url, &[]).env_remove("OPENAI_API_KEY"), corpus(1));
        assert!(ran.code == Some(2) && ran.stderr.contains("no API key"), "{ran:?}");
    }
    let (_directory, journal) = scratch("journal");
    let batch = ["--batch", "--journal", journal.to_str().unwrap()];
    let ran = run(&mut at(&server, "http://models.github.ai/inference", &batch), corpus(1));
    assert!(ran.code == Some(2) && ran.stderr.contains("GitHub Models has no Batch API"), "{ran:?}");
    assert!(server.requests().is_empty());
}
