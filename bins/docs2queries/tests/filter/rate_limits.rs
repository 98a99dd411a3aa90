//! How fast requests are sent, and what servers say about their limits. The tests check what must never happen too
//! early, and what must not happen at all, so that they pass on a slow machine too.

use std::io::{BufRead as _, BufReader};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::server::{Answer, Server, completion, good, ok};
use crate::support::{Ran, ask, client, corpus, feed, until};

/// Seconds between the arrivals of successive requests.
fn gaps(server: &Server) -> Vec<f64> {
    let mut times: Vec<_> = server.requests().iter().map(|request| request.time).collect();
    times.sort();
    times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect()
}

#[test]
fn requests_a_minute_are_spread() {
    let server = Server::start(ok);
    let ran = ask(&server, &["--rpm", "1200", "--concurrency", "64"], 21);
    assert_eq!((ran.code, ran.ids().len()), (Some(0), 42), "{ran:?}");
    let sum: f64 = gaps(&server).iter().sum();
    assert!(sum > 0.9, "20 gaps of 50 ms: {sum}");
}

#[test]
fn tokens_a_minute_are_spread() {
    let server = Server::start(ok);
    // A reply takes 120 tokens, and 60000 a minute are 1000 a second.
    let ran = ask(&server, &["--tpm", "60000", "--concurrency", "64"], 11);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let sum: f64 = gaps(&server).iter().sum();
    assert!(sum > 1.0, "10 gaps of at least 120 ms: {sum}");
}

#[test]
fn one_refusal_slows_all_requests_down() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            return Answer::Http(429, "retry-after: 1.5\r\n", String::new());
        }
        // The others are still in flight when the refusal arrives.
        sleep(Duration::from_millis(300));
        ok(request)
    });
    let ran = ask(&server, &["--concurrency", "4", "-v"], 12);
    assert_eq!((ran.code, ran.ids().len()), (Some(0), 24), "{ran:?}");
    assert_eq!(server.requests().len(), 13);
    let gaps = gaps(&server);
    let pause = gaps.iter().position(|gap| *gap > 1.0);
    assert!(pause.is_some_and(|after| after < 4), "nothing is sent after the four in flight: {gaps:?}");
    ran.says("server overloaded; limiting to 2 concurrent requests");
}

#[test]
fn the_servers_limit_is_followed() {
    let headers = "x-ratelimit-limit-requests: 10\r\nx-ratelimit-remaining-requests: 0\r\n\
        x-ratelimit-reset-requests: 5s\r\n";
    let server = Server::start(move |request| Answer::Http(200, headers, good(request)));
    let ran = ask(&server, &["--concurrency", "1"], 4);
    assert_eq!((ran.code, server.requests().len()), (Some(0), 4), "{ran:?}");
    // Ten in five seconds.
    assert!(gaps(&server).iter().all(|gap| *gap > 0.45), "{:?}", gaps(&server));
}

#[test]
fn a_slow_answer_does_not_hold_up_others() {
    let others = Arc::new(AtomicUsize::new(0));
    let server = Server::start({
        let others = Arc::clone(&others);
        move |request| {
            if request.document() == "text 1" {
                // Answered when all the others have arrived, or when they seem to wait for it.
                (0..3000)
                    .take_while(|_| others.load(Ordering::SeqCst) < 7)
                    .for_each(|_| sleep(Duration::from_millis(10)));
                return Answer::Http(200, "", completion(&format!("[\"{} came\"]", others.load(Ordering::SeqCst))));
            }
            others.fetch_add(1, Ordering::SeqCst);
            ok(request)
        }
    });
    let ran = ask(&server, &["--concurrency", "2"], 8);
    assert_eq!((ran.code, &ran.pairs()[0]["anchor"]), (Some(0), &"7 came".into()), "{ran:?}");
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// Runs three documents, one after the other, against a server that answers with these headers.
fn with_headers(headers: String) -> (Ran, Duration) {
    let headers = leaked(headers);
    let server = Server::start(move |request| Answer::Http(200, headers, good(request)));
    let start = Instant::now();
    let ran = ask(&server, &["--concurrency", "1"], 3);
    assert_eq!((ran.code, server.requests().len()), (Some(0), 3), "{headers}: {ran:?}");
    (ran, start.elapsed())
}

/// Runs a document against a server that refuses it once, with headers and a body of that moment; returns the time
/// until it was asked about again.
fn refused_once(refusal: fn() -> (String, String)) -> (Ran, Duration) {
    let server = Server::start(move |request| match request.attempt {
        1 => {
            let (headers, body) = refusal();
            Answer::Http(429, leaked(headers), body)
        }
        _ => ok(request),
    });
    let ran = ask(&server, &[], 1);
    let requests = server.requests();
    assert_eq!((ran.code, requests.len()), (Some(0), 2), "{ran:?}");
    (ran, requests[1].time - requests[0].time)
}

#[test]
fn no_notation_of_a_reset_is_mistaken_for_another() {
    // Everything is available again in a second; if the reset is implausible, the limit counts as 60 a minute. A time
    // that is mistaken for a number of seconds would be waited for until long after the test has timed out.
    let soon = now() as u64 + 1;
    for reset in [
        soon.to_string(),
        (soon * 1000).to_string(),
        "1s".into(),
        // A time in the past, one of tomorrow, and none.
        "1700000000".into(),
        (soon + 86_400).to_string(),
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
fn a_pause_may_be_requested_in_any_form() {
    fn second() -> u64 {
        now() as u64 + 2
    }
    fn error(fields: serde_json::Value) -> String {
        json!({"error": fields}).to_string()
    }
    let cases: [fn() -> (String, String); 5] = [
        || (format!("retry-after: {}\r\n", second()), String::new()),
        || ("retry-after-ms: 1100\r\nretry-after: 3000\r\n".into(), String::new()),
        || (String::new(), error(json!({"message": "Limit 3, Used 3. Please try again in 1.1s. Visit"}))),
        || (String::new(), format!("[{}]", error(json!({"code": 429, "details": [{"retryDelay": "1.5s"}]})))),
        || ("x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 1100ms\r\n".into(), String::new()),
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
fn a_long_wait_is_reported_once() {
    // Two a minute: the second request waits for half a minute, and this test only for the message.
    let headers =
        "x-ratelimit-limit-requests: 10\r\nx-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 5m\r\n";
    let server = Server::start(move |request| Answer::Http(200, headers, good(request)));
    let mut child = client(&server, &["--concurrency", "1"]).spawn().unwrap();
    feed(&mut child, corpus(5).into_bytes());
    let mut line = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    let said = line.strip_prefix("docs2queries: waiting ").unwrap_or_default();
    assert!(said.ends_with(" s: the server's limit on requests is used up\n"), "{line}");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let rest = child.wait_with_output().unwrap().stderr;
    assert!(!String::from_utf8_lossy(&rest).contains("waiting"), "{rest:?}");

    // All four are in flight when the first is refused. Later ones would be refused, and wait, separately.
    let came = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        if request.attempt > 1 {
            return ok(request);
        }
        came.fetch_add(1, Ordering::SeqCst);
        until(|| came.load(Ordering::SeqCst) == 4);
        Answer::Http(429, "retry-after: 6\r\n", String::new())
    });
    let ran = ask(&server, &["--concurrency", "4"], 4);
    assert_eq!((ran.code, server.requests().len()), (Some(0), 8), "{ran:?}");
    let said = "docs2queries: server overloaded; waiting 6 s, as it asks\n";
    assert_eq!(ran.stderr.matches("waiting").count(), 1, "{ran:?}");
    assert!(ran.stderr.starts_with(said), "{ran:?}");
}

#[test]
fn the_users_own_limit_is_reported_once() {
    let server = Server::start(ok);
    let mut child = client(&server, &["--rpm", "10"]).spawn().unwrap();
    feed(&mut child, corpus(9).into_bytes());
    until(|| server.requests().len() == 3);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let stderr = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    assert_eq!(stderr.matches(" s: --rpm spreads requests over the minute").count(), 1, "{stderr}");
    assert_eq!(stderr.matches("waiting").count(), 1, "{stderr}");
}

#[test]
fn a_daily_quota_ends_the_run() {
    let tomorrow = now() as u64 + 40_000;
    for (headers, body) in [
        (format!("retry-after: {tomorrow}\r\n"), String::new()),
        (String::new(), json!({"error": {"message": "tokens per day: try again in 11h6m40s."}}).to_string()),
    ] {
        let headers = leaked(headers);
        let server = Server::start(move |_| Answer::Http(429, headers, body.clone()));
        let ran = ask(&server, &["--on-error", "skip", "--concurrency", "1"], 3);
        assert_eq!((ran.code, server.requests().len()), (Some(2), 1), "{ran:?}");
        assert!(ran.stderr.contains("it asks for a pause of 11 h ") && ran.stderr.contains(" GMT)"), "{ran:?}");
        ran.says("hint: that is too long to wait; with --journal");
    }
}

#[test]
fn the_servers_advice_on_retries_is_followed() {
    let server = Server::start(|request| match request.document() {
        "text 2" => Answer::Http(503, "x-should-retry: false\r\n", "never".into()),
        _ => ok(request),
    });
    let ran = ask(&server, &["--on-error", "skip", "--concurrency", "1"], 3);
    assert_eq!((ran.code, ran.ids().len(), server.asked("text 2")), (Some(1), 4, 1), "{ran:?}");
    let server = Server::start(|request| match request.attempt {
        1 => Answer::Http(400, "x-should-retry: true\r\nretry-after-ms: 10\r\n", "not yet".into()),
        _ => ok(request),
    });
    let ran = ask(&server, &[], 1);
    assert_eq!((ran.code, server.requests().len()), (Some(0), 2), "{ran:?}");
}
