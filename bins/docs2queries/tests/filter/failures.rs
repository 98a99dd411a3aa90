//! Failures that concern one document, and failures that concern all.

use crate::server::{Answer, Server, completion, ok};
use crate::support::{Ran, ask};

/// Runs three documents; the second one gets this answer.
fn second(status: u16, body: &str, args: &[&str]) -> (Server, Ran) {
    let body = body.to_owned();
    let server = Server::start(move |request| match request.document() {
        "text 2" => Answer::Http(status, "", body.clone()),
        _ => ok(request),
    });
    let ran = ask(&server, &[&["--concurrency", "1"], args].concat(), 3);
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
    for (status, body) in [
        (400, r#"{"error": {"message": "Please shorten it.", "code": "context_length_exceeded"}}"#),
        (200, r#"{"error": "The number of tokens to keep is greater than the context length."}"#),
        (413, "<html>Request Entity Too Large</html>"),
        (
            429,
            r#"{"error": {"message": "Request too large for gpt-4o on tokens per min (TPM): Limit 64, Requested 90."}}"#,
        ),
    ] {
        is_left_out(status, body, "too long for the model");
    }
}

#[test]
fn moderation_concerns_one_document() {
    for (status, body) in [
        (403, r#"{"error": {"code": 403, "message": "Flagged", "metadata": {"reasons": ["violence"]}}}"#),
        (400, r#"{"error": {"message": "Content Exists Risk", "type": "invalid_request_error"}}"#),
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
    let ran = ask(&server, &["--on-error", "skip"], 3);
    assert_eq!((ran.code, ran.ids().len()), (Some(1), 4), "{ran:?}");
    ran.says("passages without queries: 1 rejected by the server\n");
}

#[test]
fn a_problem_of_the_account_ends_the_run() {
    for (status, body) in [
        (403, r#"{"error": {"message": "Your account was flagged for abuse of the content policy"}}"#),
        (403, ""),
        (400, r#"{"error": {"message": "Unrecognized request argument supplied: seed"}}"#),
    ] {
        let server = Server::start(move |_| Answer::Http(status, "", body.into()));
        let ran = ask(&server, &["--concurrency", "1", "--on-error", "skip"], 3);
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
    let ran = ask(&server, &["--on-error", "skip", "--max-retries", "1"], 6);
    assert_eq!((ran.code, ran.ids()), (Some(1), vec!["d5-q1".to_owned(), "d5-q2".to_owned()]), "{ran:?}");
    ran.says("passages without queries: 2 too long for the model, 1 moderated, 1 empty reply, 1 no proper answer\n");
    ran.says("hint: a lower --passage-chars");
}
