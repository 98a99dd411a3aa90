//! What servers say of their limits, in every form, and what is said of a wait. The tests look at what never happens too
//! early, and at what must not happen at all; nothing is late by the clock.

use std::io::{BufRead as _, BufReader};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::server::{Answer, Server, good, ok};
use crate::support::{Ran, client, corpus, feed, run, until};

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// A time of RFC 3339, so many seconds from now.
fn rfc_3339(seconds: u64) -> String {
    let date = httpdate_fields(SystemTime::now() + Duration::from_secs(seconds));
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|month| *month == date[2]).unwrap() + 1;
    format!("{}-{month:02}-{}T{}Z", date[3], date[1], date[4])
}

/// `Mon,`, `30`, `Nov`, `2026`, `16:00:00`, `GMT`.
fn httpdate_fields(time: SystemTime) -> Vec<String> {
    httpdate::fmt_http_date(time).split(' ').map(str::to_owned).collect()
}

fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// Runs two documents, one after the other, against a server that says this with each reply.
fn with_headers(headers: String) -> (Ran, Duration) {
    let headers = leaked(headers);
    let server = Server::start(move |request| Answer::Http(200, headers, good(request)));
    let start = Instant::now();
    let ran = run(&mut client(&server, &["--concurrency", "1"]), corpus(3));
    assert_eq!((ran.code, server.requests().len()), (Some(0), 3), "{headers}: {ran:?}");
    (ran, start.elapsed())
}

/// Runs a document against a server that refuses it once, with headers and a body of that moment, and says when it was
/// asked again.
fn refused_once(refusal: fn() -> (String, String)) -> (Ran, Duration) {
    let server = Server::start(move |request| match request.attempt {
        1 => {
            let (headers, body) = refusal();
            Answer::Http(429, leaked(headers), body)
        }
        _ => ok(request),
    });
    let ran = run(&mut client(&server, &[]), corpus(1));
    let requests = server.requests();
    assert_eq!((ran.code, requests.len()), (Some(0), 2), "{ran:?}");
    (ran, requests[1].time - requests[0].time)
}

#[test]
fn no_form_of_a_reset_is_taken_for_another() {
    // All of it is there again in a second, or what is said cannot be: 60 a minute then. A reset that is taken for a
    // number of seconds would be waited for until long after this test is given up.
    let soon = now() as u64 + 1;
    for reset in [
        soon.to_string(),
        (soon * 1000).to_string(),
        rfc_3339(1),
        httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(1)),
        "1s".into(),
        "1".into(),
        "0.9".into(),
        "900ms".into(),
        // A time that is over, of another age, of tomorrow, and none.
        "1700000000".into(),
        (soon * 2).to_string(),
        (soon + 86_400).to_string(),
        "86400".into(),
        "NaN".into(),
        "-5".into(),
        "inf".into(),
        "later".into(),
    ] {
        let headers = format!(
            "x-ratelimit-limit-requests: 60\r\nx-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: {reset}\r\n"
        );
        let (ran, took) = with_headers(headers);
        assert!(took < Duration::from_secs(300), "{reset}: {took:?}");
        assert!(!ran.stderr.contains("waiting"), "{reset}: {ran:?}");
    }
}

#[test]
fn a_pause_may_come_in_any_form() {
    fn second() -> u64 {
        now() as u64 + 2
    }
    fn error(fields: serde_json::Value) -> String {
        json!({"error": fields}).to_string()
    }
    let cases: [fn() -> (String, String); 10] = [
        || (format!("retry-after: {}\r\n", second()), String::new()),
        || (format!("retry-after: {}\r\n", second() * 1000), String::new()),
        || (format!("retry-after: {}\r\n", rfc_3339(2)), String::new()),
        || ("retry-after: 1.1s\r\n".into(), String::new()),
        || ("retry-after-ms: 1100\r\n".into(), String::new()),
        || {
            let words = "Rate limit reached: Limit 3, Used 3. Please try again in 1.1s. Visit";
            (String::new(), error(json!({"message": words})))
        },
        || (String::new(), error(json!({"message": "Please retry after 2 seconds."}))),
        || (String::new(), format!("[{}]", error(json!({"code": 429, "details": [{"retryDelay": "1.5s"}]})))),
        || ("x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 1100ms\r\n".into(), String::new()),
        || (format!("x-ratelimit-remaining: 0\r\nx-ratelimit-reset: {}\r\n", second() * 1000), String::new()),
    ];
    for case in cases {
        let (ran, later) = refused_once(case);
        let (headers, body) = case();
        assert!(later > Duration::from_secs(1), "{headers} {body}: {later:?}");
        assert!(later < Duration::from_secs(300), "{headers} {body}: {later:?}");
        assert!(!ran.stderr.contains("waiting"), "it is short: {ran:?}");
    }
}

#[test]
fn a_long_wait_is_said_once() {
    // Two a minute: the second request waits for half of one, and this test for the word alone.
    let headers =
        "x-ratelimit-limit-requests: 10\r\nx-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 5m\r\n";
    let server = Server::start(move |request| Answer::Http(200, headers, good(request)));
    let mut child = client(&server, &["--concurrency", "1"]).spawn().unwrap();
    feed(&mut child, corpus(5).into_bytes());
    let mut line = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    let said = line.strip_prefix("docs2queries: waiting ").unwrap_or_default();
    assert!(said.ends_with(" s: the server's limit of requests is used up\n"), "{line}");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let rest = child.wait_with_output().unwrap().stderr;
    assert!(!String::from_utf8_lossy(&rest).contains("waiting"), "{rest:?}");

    // All four are under way when the first is refused: what comes later would be refused, and wait, on its own.
    let came = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        if request.attempt > 1 {
            return ok(request);
        }
        came.fetch_add(1, Ordering::SeqCst);
        until(|| came.load(Ordering::SeqCst) == 4);
        Answer::Http(429, "retry-after: 6\r\n", String::new())
    });
    let ran = run(&mut client(&server, &["--concurrency", "4"]), corpus(4));
    assert_eq!((ran.code, server.requests().len()), (Some(0), 8), "{ran:?}");
    let said = "docs2queries: waiting 6 s: the server asks for that, as it has too much to do\n";
    assert_eq!(ran.stderr.matches("waiting").count(), 1, "{ran:?}");
    assert!(ran.stderr.starts_with(said), "{ran:?}");
}

#[test]
fn the_users_own_pace_is_told_of_once() {
    let server = Server::start(ok);
    let mut child = client(&server, &["--rpm", "10"]).spawn().unwrap();
    feed(&mut child, corpus(9).into_bytes());
    until(|| server.requests().len() == 3);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let stderr = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    assert_eq!(stderr.matches(" s: no more requests a minute by --rpm").count(), 1, "{stderr}");
    assert_eq!(stderr.matches("waiting").count(), 1, "{stderr}");
}

#[test]
fn a_quota_of_a_day_is_refused_with_its_time() {
    let tomorrow = now() as u64 + 40_000;
    for (headers, body) in [
        ("retry-after: 40000\r\n".to_owned(), String::new()),
        (format!("retry-after: {tomorrow}\r\n"), String::new()),
        (format!("retry-after: {}\r\n", rfc_3339(40_000)), String::new()),
        (format!("x-ratelimit-remaining: 0\r\nx-ratelimit-reset: {tomorrow}000\r\n"), String::new()),
        (String::new(), "Rate limit of 50 per 86400s exceeded. Please wait 40000 seconds before retrying.".into()),
        (String::new(), json!({"error": {"message": "tokens per day: try again in 11h6m40s."}}).to_string()),
    ] {
        let headers = leaked(headers);
        let server = Server::start(move |_| Answer::Http(429, headers, body.clone()));
        let ran = run(&mut client(&server, &["--on-error", "skip", "--concurrency", "1"]), corpus(3));
        assert_eq!((ran.code, server.requests().len()), (Some(2), 1), "{ran:?}");
        assert!(ran.stderr.contains("it asks for a pause of 11 h ") && ran.stderr.contains(" GMT)"), "{ran:?}");
        assert!(ran.stderr.contains("hint: that is too long to wait for: with --journal"), "{ran:?}");
    }
}

#[test]
fn the_servers_word_on_retries_is_heeded() {
    let server = Server::start(|request| match request.document() {
        "text 2" => Answer::Http(503, "x-should-retry: false\r\n", "never".into()),
        _ => ok(request),
    });
    let ran = run(&mut client(&server, &["--on-error", "skip", "--concurrency", "1"]), corpus(3));
    assert_eq!((ran.code, ran.ids().len(), server.asked("text 2")), (Some(1), 4, 1), "{ran:?}");
    let server = Server::start(|request| match request.attempt {
        1 => Answer::Http(400, "x-should-retry: true\r\nretry-after-ms: 10\r\n", "not yet".into()),
        _ => ok(request),
    });
    let ran = run(&mut client(&server, &[]), corpus(1));
    assert_eq!((ran.code, server.requests().len()), (Some(0), 2), "{ran:?}");
}
