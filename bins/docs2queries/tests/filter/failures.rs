//! Failures that concern one document, and failures that concern all.

use serde_json::json;

use crate::server::{Answer, Server, completion, ok};
use crate::support::{Ran, client, corpus, run};

/// Runs three documents; the second one gets this answer.
fn second(status: u16, body: &str, args: &[&str]) -> (Server, Ran) {
    let body = body.to_owned();
    let server = Server::start(move |request| match request.document() {
        "text 2" => Answer::Http(status, "", body.clone()),
        _ => ok(request),
    });
    let ran = run(&mut client(&server, &[&["--concurrency", "1"], args].concat()), corpus(3));
    (server, ran)
}

/// Checks that only the second document is left out, or that it is named if none may be left out.
fn is_left_out(status: u16, body: &str, reason: &str) {
    let (server, ran) = second(status, body, &["--on-error", "skip"]);
    assert_eq!((ran.code, ran.ids().len()), (Some(1), 4), "{status} {body}: {ran:?}");
    assert!(ran.stderr.contains(&format!("passages without queries: 1 {reason}\n")), "{status} {body}: {ran:?}");
    assert_eq!(server.asked("text 2"), 1, "{status} {body}: it is not asked about again");
    let (_, ran) = second(status, body, &[]);
    assert_eq!(ran.code, Some(2), "{status} {body}: {ran:?}");
    assert!(
        ran.stderr.contains("docs2queries: <stdin>:2: document d2: the server answered"),
        "{status} {body}: {ran:?}"
    );
}

#[test]
fn servers_describe_a_long_document_in_many_ways() {
    let message = |text: &str| json!({"error": {"message": text, "type": "invalid_request_error"}}).to_string();
    let too_long = "too long for the model";
    for (status, body) in [
        // OpenAI and Azure.
        (400, r#"{"error": {"message": "Please shorten it.", "code": "context_length_exceeded"}}"#.to_owned()),
        (400, message("Input tokens exceed the configured limit of 272000 tokens.")),
        // vLLM, current and earlier versions.
        (400, json!({"object": "error", "message": "This model's maximum context length is 64 tokens."}).to_string()),
        (400, message("The decoder prompt (length 90) is longer than the maximum model length of 64.")),
        // SGLang.
        (400, message("The input (90 tokens) is longer than the model's context length (64 tokens).")),
        // TGI.
        (422, r#"{"error": "Input validation error: `inputs` must have less than 64 tokens. Given: 90"}"#.to_owned()),
        // llama.cpp, current and earlier versions.
        (400, r#"{"error": {"code": 400, "type": "exceed_context_size_error", "message": "big"}}"#.to_owned()),
        (500, r#"{"error": {"code": 500, "message": "the request exceeds the available context size"}}"#.to_owned()),
        // LM Studio, which answers with status 200 in some versions.
        (400, r#"{"error": "Trying to keep the first 90 tokens when context the overflows."}"#.to_owned()),
        (200, r#"{"error": "The number of tokens to keep is greater than the context length."}"#.to_owned()),
        // Ollama, Anthropic, Mistral, Gemini.
        (400, message("prompt too long; exceeded max context length by 26 tokens")),
        (400, r#"{"type": "error", "error": {"message": "prompt is too long: 90 tokens > 64 maximum"}}"#.to_owned()),
        (400, message("Prompt contains 90 tokens, too large for model with 64 maximum context length")),
        (400, message("The input token count (90) exceeds the maximum number of tokens allowed (64).")),
        (413, "<html>Request Entity Too Large</html>".to_owned()),
        // This document alone exceeds the limit on tokens a minute.
        (429, message("Request too large for gpt-4o on tokens per min (TPM): Limit 64, Requested 90.")),
        // Routers wrap the error.
        (
            400,
            json!({"error": {"message": "Provider returned error", "code": 400, "metadata": {
            "raw": message("This model's maximum context length is 64 tokens.")}}})
            .to_string(),
        ),
    ] {
        is_left_out(status, &body, too_long);
    }
}

#[test]
fn moderation_concerns_one_document() {
    for (status, body) in [
        (403, r#"{"error": {"code": 403, "message": "Flagged", "metadata": {"reasons": ["violence"]}}}"#),
        (403, r#"{"error": "Content violates usage guidelines.", "code": "The caller has no permission"}"#),
        (400, r#"{"error": {"code": "data_inspection_failed", "message": "Input data may contain"}}"#),
        (400, r#"{"error": {"message": "<400> InternalError.Algo.DataInspectionFailed: Input text data"}}"#),
        (400, r#"{"error": {"code": "content_filter", "message": "filtered", "status": 400}}"#),
        (400, r#"{"error": {"message": "Content Exists Risk", "type": "invalid_request_error"}}"#),
        (400, r#"{"error": {"message": "Output blocked by content filtering policy"}}"#),
        (422, r#"{"detail": [{"msg": "violates the content policy", "loc": ["body"]}]}"#),
        (200, r#"{"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}"#),
        (200, r#"{"choices": null, "base_resp": {"status_code": 1026, "status_msg": "input new_sensitive"}}"#),
        (200, r#"{"choices": [{"finish_reason": "error", "error": {"code": 403, "message": "Input flagged"}}]}"#),
    ] {
        is_left_out(status, body, "moderated");
    }
}

#[test]
fn an_unknown_rejection_beside_accepted_requests_concerns_one_document() {
    let body = r#"{"error": {"message": "the request could not be processed", "code": 400}}"#;
    let server = Server::start(move |request| match request.document() {
        "text 2" => {
            // After the replies to the others.
            std::thread::sleep(std::time::Duration::from_millis(500));
            Answer::Http(400, "", body.into())
        }
        _ => ok(request),
    });
    let ran = run(&mut client(&server, &["--on-error", "skip"]), corpus(3));
    assert_eq!((ran.code, ran.ids().len()), (Some(1), 4), "{ran:?}");
    assert!(ran.stderr.contains("passages without queries: 1 rejected by the server\n"), "{ran:?}");
}

#[test]
fn a_problem_of_the_account_ends_the_run() {
    for (status, body) in [
        (403, r#"{"error": {"message": "You are not allowed to sample from this model"}}"#),
        (403, r#"{"error": {"message": "Your account was flagged for abuse of the content policy"}}"#),
        (403, ""),
        (402, r#"{"error": {"message": "Insufficient credits", "code": 402}}"#),
        (400, r#"{"error": {"message": "Your credit balance is too low to access the API"}}"#),
        (400, r#"{"error": {"message": "Unrecognized request argument supplied: seed"}}"#),
    ] {
        let server = Server::start(move |_| Answer::Http(status, "", body.into()));
        let ran = run(&mut client(&server, &["--concurrency", "1", "--on-error", "skip"]), corpus(3));
        assert_eq!((ran.code, server.requests().len()), (Some(2), 1), "{status} {body}: {ran:?}");
    }
}

#[test]
fn passages_without_queries_are_counted_by_reason() {
    let server = Server::start(|request| match request.document() {
        "text 1" | "text 4" => Answer::Http(400, "", r#"{"error": {"message": "prompt is too long"}}"#.into()),
        "text 2" => Answer::Http(403, "", r#"{"error": {"message": "Your input was flagged"}}"#.into()),
        "text 3" => Answer::Http(200, "", completion("")),
        "text 6" => Answer::Http(503, "retry-after: 0\r\n", "busy".into()),
        _ => ok(request),
    });
    let ran = run(&mut client(&server, &["--on-error", "skip", "--max-retries", "1"]), corpus(6));
    assert_eq!((ran.code, ran.ids()), (Some(1), vec!["d5-q1".to_owned(), "d5-q2".to_owned()]), "{ran:?}");
    let said = "passages without queries: 2 too long for the model, 1 moderated, 1 empty reply, 1 no proper answer\n";
    assert!(ran.stderr.contains(said), "{ran:?}");
    assert!(ran.stderr.contains("hint: a lower --passage-chars"), "{ran:?}");
}
