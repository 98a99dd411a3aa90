//! Keys and passwords never appear, and no short one garbles what does.

use crate::server::{Answer, Server, ok};
use crate::support::{KEY, client, corpus, filter, run};

#[test]
fn a_key_that_the_server_repeats_is_blotted_out() {
    let key = "sk/Zz9+0123456789";
    for repeated in [
        key.to_owned(),
        format!("Bearer {key}"),
        key.replace('/', "\\/"),
        "https://h/?key=sk%2FZz9%2B0123456789".into(),
        // Where the message is cut, no piece of the key is left.
        format!("{}{key}", "x".repeat(190)),
    ] {
        for status in [401, 200] {
            let body = format!(r#"{{"error": {{"message": "wrong key {repeated}", "code": 401}}}}"#);
            let server = Server::start(move |_| Answer::Http(status, "", body.clone()));
            let ran = run(client(&server, &["-vv"]).env("OPENAI_API_KEY", key), corpus(1));
            assert_eq!(ran.code, Some(2), "{ran:?}");
            assert!(!ran.stderr.contains("Zz9") && !ran.stderr.contains("sk/"), "{status} {repeated}: {ran:?}");
        }
    }
}

#[test]
fn secrets_of_the_address_and_of_the_proxy_are_blotted_out_too() {
    let server = Server::start(|request| {
        let line = request.line().replace('"', "");
        Answer::Http(403, "", format!(r#"{{"error": {{"message": "no: {line} for p@ssw0rd-1234"}}}}"#))
    });
    let url = "http://gateway.invalid/v1?code=s3cretcode&api-version=2024-10-21";
    let proxy = server.base_url().replace("/v1", "").replace("://", "://user:p%40ssw0rd-1234@");
    let ran =
        run(filter(&["--llm", "m", "--base-url", url]).env("OPENAI_API_KEY", KEY).env("HTTP_PROXY", proxy), corpus(1));
    assert_eq!((ran.code, server.requests().len()), (Some(2), 1), "{ran:?}");
    assert!(ran.stderr.contains("api-version=2024-10-21"), "{ran:?}");
    assert!(!ran.stderr.contains("s3cretcode") && !ran.stderr.contains("ssw0rd"), "{ran:?}");
}

#[test]
fn a_short_key_garbles_nothing() {
    let server = Server::start(|_| Answer::Http(403, "", r#"{"message": "a test of a server asks none"}"#.into()));
    for key in ["a", "s", "sk", "none", "test", "server"] {
        let ran = run(client(&server, &[]).env("OPENAI_API_KEY", key), corpus(1));
        assert!(ran.stderr.contains("the server answered 403 Forbidden: a test of a server asks none\n"), "{ran:?}");
    }
}

#[test]
fn a_key_in_azures_header_goes_to_no_other_host() {
    let other = Server::start(ok);
    let location = format!("location: {}/chat/completions\r\n", other.base_url());
    let location: &'static str = Box::leak(location.into_boxed_str());
    let server = Server::start(move |_| Answer::Http(307, location, String::new()));
    let proxy = server.base_url().replace("/v1", "");
    let url = "http://name.openai.azure.us/openai/v1";
    let mut command = filter(&["--llm", "m", "--base-url", url]);
    let ran = run(command.env("OPENAI_API_KEY", KEY).env("HTTP_PROXY", proxy), corpus(1));
    assert!(ran.code == Some(2) && ran.stderr.contains("the server answered 307"), "{ran:?}");
    assert!(server.requests()[0].head.contains(&format!("api-key: {KEY}\r\n")));
    assert!(other.requests().is_empty() && server.requests().len() == 1, "{ran:?}");
}
