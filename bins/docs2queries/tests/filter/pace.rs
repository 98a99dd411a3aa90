//! How fast requests go out. The tests look at what never happens too early; nothing is late by the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;

use crate::server::{Answer, Server, completion, good, ok};
use crate::support::{client, corpus, run};

/// Seconds between the arrival of one request and the next.
fn gaps(server: &Server) -> Vec<f64> {
    let mut times: Vec<_> = server.requests().iter().map(|request| request.time).collect();
    times.sort();
    times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect()
}

#[test]
fn requests_a_minute_are_spread() {
    let server = Server::start(ok);
    let ran = run(&mut client(&server, &["--rpm", "1200", "--concurrency", "64"]), corpus(21));
    assert_eq!((ran.code, ran.ids().len()), (Some(0), 42), "{ran:?}");
    let sum: f64 = gaps(&server).iter().sum();
    assert!(sum > 0.9, "20 gaps of 50 ms: {sum}");
}

#[test]
fn tokens_a_minute_are_spread() {
    let server = Server::start(ok);
    // A reply says that it took 120 tokens; 6000 a minute are 100 a second.
    let ran = run(&mut client(&server, &["--tpm", "60000", "--concurrency", "64"]), corpus(11));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let sum: f64 = gaps(&server).iter().sum();
    assert!(sum > 1.0, "10 gaps of at least 120 ms: {sum}");
}

#[test]
fn one_refusal_slows_everyone_down() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            return Answer::Http(429, "retry-after: 1.5\r\n", String::new());
        }
        // The others are still under way when the refusal is heard.
        sleep(Duration::from_millis(300));
        ok(request)
    });
    let ran = run(&mut client(&server, &["--concurrency", "4", "-v"]), corpus(12));
    assert_eq!((ran.code, ran.ids().len()), (Some(0), 24), "{ran:?}");
    assert_eq!(server.requests().len(), 13);
    let gaps = gaps(&server);
    let pause = gaps.iter().position(|gap| *gap > 1.0);
    assert!(pause.is_some_and(|after| after < 4), "after the four in flight, nobody asks: {gaps:?}");
    assert!(ran.stderr.contains("the server has too much to do: 2 requests at once from now on"), "{ran:?}");
}

#[test]
fn the_servers_own_count_is_followed() {
    let headers = "x-ratelimit-limit-requests: 10\r\nx-ratelimit-remaining-requests: 0\r\n\
        x-ratelimit-reset-requests: 5s\r\n";
    let server = Server::start(move |request| Answer::Http(200, headers, good(request)));
    let ran = run(&mut client(&server, &["--concurrency", "1"]), corpus(4));
    assert_eq!((ran.code, server.requests().len()), (Some(0), 4), "{ran:?}");
    // Ten in five seconds.
    assert!(gaps(&server).iter().all(|gap| *gap > 0.45), "{:?}", gaps(&server));
}

#[test]
fn a_slow_answer_keeps_nobody_else_waiting() {
    let others = Arc::new(AtomicUsize::new(0));
    let server = Server::start({
        let others = Arc::clone(&others);
        move |request| {
            if request.document() == "text 1" {
                // Answered when all the others have come, or when they seem to wait for it.
                (0..3000)
                    .take_while(|_| others.load(Ordering::SeqCst) < 7)
                    .for_each(|_| sleep(Duration::from_millis(10)));
                return Answer::Http(200, "", completion(&format!("[\"{} came\"]", others.load(Ordering::SeqCst))));
            }
            others.fetch_add(1, Ordering::SeqCst);
            ok(request)
        }
    });
    let ran = run(&mut client(&server, &["--concurrency", "2"]), corpus(8));
    assert_eq!((ran.code, &ran.pairs()[0]["anchor"]), (Some(0), &"7 came".into()), "{ran:?}");
}
