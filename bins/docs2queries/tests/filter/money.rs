//! Caps on the cost of a run, and the reports of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::server::{Answer, Server, good, good_of, ok};
use crate::support::{Ran, ask, client, corpus, filter, replies, run, scratch};

/// A reply takes 100 + 20 tokens, which is $0.00014 at these prices.
const PRICES: [&str; 4] = ["--price-in", "1", "--price-out", "2"];

/// The tokens that the server has charged for.
fn tokens_served(server: &Server) -> u64 {
    120 * server.requests().len() as u64
}

fn capped(server: &Server, args: &[&str], documents: usize) -> Ran {
    let args = [&["--max-completion-tokens", "50", "--concurrency", "8"], args].concat();
    run(&mut client(server, &args), corpus(documents))
}

#[test]
fn a_cap_on_tokens_holds_however_many_are_in_flight() {
    let server = Server::start(|request| {
        std::thread::sleep(Duration::from_millis(20));
        ok(request)
    });
    let ran = capped(&server, &["--max-tokens", "40000"], 400);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(tokens_served(&server) <= 40_000, "{}", tokens_served(&server));
    // Reservations that turn out too high are spent on other requests, except for the most that one request can cost.
    assert!(tokens_served(&server) > 36_000, "{}", tokens_served(&server));
    let asked = server.requests().len();
    assert_eq!(ran.pairs().len(), 2 * asked, "every reply that was paid for is written");
    assert!(
        ran.stderr
            .contains(&format!("passages left out because a cap is reached: {}\nhint: raise --max-usd", 400 - asked)),
        "{}",
        ran.stderr
    );
}

#[test]
fn requests_beyond_the_cap_do_not_wait_for_the_rate_limit() {
    let server = Server::start(ok);
    // At one request in ten seconds, five thousand would take half a day.
    let ran = capped(&server, &["--max-tokens", "1", "--rpm", "6"], 5000);
    assert_eq!((ran.code, server.requests().len()), (Some(1), 0), "{ran:?}");
    ran.says("passages left out because a cap is reached: 5000");
}

#[test]
fn a_cap_in_dollars_holds_over_all_runs_of_a_journal() {
    let (_directory, path) = scratch("journal");
    let server = Server::start(ok);
    let with_cap = |usd: &str| {
        let args = [&["--journal", path.to_str().unwrap(), "--max-usd", usd], &PRICES[..]].concat();
        capped(&server, &args, 100)
    };
    let first = with_cap("0.01");
    assert_eq!(first.code, Some(1), "{first:?}");
    let asked = server.requests().len();
    // 71 requests would cost $0.00994, and the most of a request is a few thousandths.
    assert!((40..=71).contains(&asked), "{asked}");
    let again = with_cap("0.01");
    assert_eq!((again.code, &again.stdout), (Some(1), &first.stdout), "{again:?}");
    assert_eq!(server.requests().len(), asked, "the same command has the same cap");
    let more = with_cap("0.05");
    assert_eq!((more.code, more.ids().len()), (Some(0), 200), "{more:?}");
    assert_eq!(server.requests().len(), 100, "and nothing is paid twice");
    let line = &replies(&path)[0];
    assert_eq!((line["usd"].as_f64(), line["tokens"].to_string()), (Some(0.00014), "[100,20]".into()));
}

#[test]
fn a_cap_requires_a_price_and_a_limit() {
    let server = Server::start(ok);
    let ran = capped(&server, &["--max-usd", "1"], 1);
    assert!(
        ran.code == Some(2) && ran.stderr.contains("the price of test-model at this server is not known"),
        "{ran:?}"
    );
    ran.says("hint: --price-in and --price-out");
    let ran = ask(&server, &["--max-tokens", "1000"], 1);
    assert!(ran.code == Some(2) && ran.stderr.contains("hint: --max-completion-tokens"), "{ran:?}");
    let ran = ask(&server, &["--price-in", "1"], 1);
    assert!(ran.code == Some(2) && ran.stderr.contains("go together"), "{ran:?}");
    assert!(server.requests().is_empty());
}

#[test]
fn replies_without_usage_count_as_reserved() {
    let server = Server::start(|request| {
        let mut reply: Value = serde_json::from_str(&good(request)).unwrap();
        reply.as_object_mut().unwrap().remove("usage");
        Answer::Http(200, "", reply.to_string())
    });
    let ran = capped(&server, &["--max-tokens", "40000"], 100);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let bytes: usize = server.requests().iter().map(|request| request.text.len() + 50).sum();
    assert!((30_000..=40_000).contains(&bytes), "{bytes}");
}

#[test]
fn broken_connections_count_and_refusals_do_not() {
    let run_with = |first: fn() -> Answer| {
        let count = Arc::new(AtomicU64::new(0));
        let server =
            Server::start(move |request| if count.fetch_add(1, Ordering::SeqCst) < 3 { first() } else { ok(request) });
        let args = ["--max-tokens", "1000000", "--max-completion-tokens", "50", "--concurrency", "1"];
        let ran = ask(&server, &args, 2);
        assert_eq!((ran.code, server.requests().len()), (Some(0), 5), "{ran:?}");
        let counted = ran.stderr.split("tokens in: ").nth(1).and_then(|rest| rest.split(',').next()?.parse().ok());
        (counted.unwrap(), server.requests().iter().map(|request| request.text.len() as u64).collect::<Vec<_>>())
    };
    let (counted, _): (u64, _) = run_with(|| Answer::Http(500, "retry-after: 0\r\n", String::new()));
    assert_eq!(counted, 200);
    let (counted, bytes): (u64, _) = run_with(|| Answer::Reset);
    // A byte is a token at most; the reservation counts the longer of the limit's two names.
    let names = "max_completion_tokens".len() - "max_tokens".len();
    assert_eq!(counted, 200 + bytes[..3].iter().map(|bytes| bytes + names as u64).sum::<u64>());
}

#[test]
fn a_dry_run_sends_nothing() {
    let (_directory, path) = scratch("journal");
    let journal = ["--journal", path.to_str().unwrap()];
    let server = Server::start(ok);
    ask(&server, &[&journal[..], &["-n", "2"], &PRICES].concat(), 3);
    assert_eq!((server.requests().len(), replies(&path).len()), (3, 3));
    let args = [&["--dry-run", "-n", "2", "--max-completion-tokens", "50"], &PRICES[..]].concat();
    let ran = ask(&server, &args, 5);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let value = |ran: &Ran, name: &str| {
        let line = ran.stdout.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {ran:?}"));
        line[name.len()..].trim().to_owned()
    };
    assert_eq!([value(&ran, "documents"), value(&ran, "passages"), value(&ran, "requests")], ["5", "5", "5"]);
    assert_eq!(value(&ran, "tokens out"), "about 250, at most 250");
    let ran = ask(&server, &[&journal[..], &["--dry-run", "-n", "2"], &PRICES].concat(), 5);
    assert_eq!([value(&ran, "in the journal"), value(&ran, "requests")], ["3", "2"], "{ran:?}");
    assert_eq!(value(&ran, "spent before"), "360 tokens, $0.0004");
    assert!(value(&ran, "tokens out").ends_with("no limit without --max-completion-tokens"));
    assert_eq!(server.requests().len(), 3);
    // OpenAI's prices are known, and no key is needed to look.
    let ran = run(&mut filter(&["--llm", "gpt-4o-mini", "--dry-run"]), corpus(1000));
    assert!(value(&ran, "cost").starts_with("about $0."), "{ran:?}");
    assert!(value(&ask(&server, &["--dry-run"], 1), "cost").starts_with("unknown"));
}

#[test]
fn reasoning_beside_the_completion_counts() {
    let usage = json!({
        "prompt_tokens": 20, "completion_tokens": 424, "total_tokens": 1016,
        "completion_tokens_details": {"reasoning_tokens": 572},
    });
    let reply = with_usage(usage);
    let server = Server::start(move |_| Answer::Http(200, "", reply.clone()));
    let ran = ask(&server, &["--price-in", "1", "--price-out", "10"], 1);
    ran.says("tokens in: 20, tokens out: 996, cost: $0.0100\n");
    // A cap includes it: three replies of 1016 tokens fit, beside the most of one request.
    let args = ["--max-tokens", "6000", "--max-completion-tokens", "1000", "--concurrency", "1"];
    let ran = ask(&server, &args, 9);
    let asked = server.requests().len() as u64 - 1;
    assert!(ran.code == Some(1) && asked * 1016 <= 6000 && asked > 1, "{asked}: {ran:?}");
}

#[test]
fn usage_has_many_names_and_may_count_nothing() {
    for (usage, said) in [
        (json!({"input_tokens": 100, "output_tokens": 20}), "tokens in: 100, tokens out: 20\n"),
        (json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}), "replies without usage: 1\n"),
    ] {
        let reply = with_usage(usage.clone());
        let server = Server::start(move |_| Answer::Http(200, "", reply.clone()));
        let ran = ask(&server, &[], 1);
        assert!(ran.code == Some(0) && ran.stderr.contains(said), "{usage}: {ran:?}");
    }
}

/// A reply with these token counts.
fn with_usage(usage: Value) -> String {
    let mut reply: Value = serde_json::from_str(&good_of("text 1")).unwrap();
    reply["usage"] = usage;
    reply.to_string()
}

#[test]
fn regional_prices_are_known_and_other_servers_prices_are_not() {
    let cost = |url: &str, llm: &str| {
        let ran = run(&mut filter(&["--llm", llm, "--base-url", url, "--dry-run", "-n", "3"]), corpus(1000));
        let line = ran.stdout.lines().find(|line| line.starts_with("cost")).unwrap_or_else(|| panic!("{ran:?}"));
        line["cost".len()..].trim().to_owned()
    };
    let of = |text: String| text.split(['$', ',']).nth(1).unwrap().parse::<f64>().unwrap();
    let (world, region) = ("https://api.openai.com/v1/", "https://eu.api.openai.com/v1");
    assert_eq!(cost(world, "gpt-4o-mini"), cost(region, "gpt-4o-mini"));
    let (there, here) = (of(cost(world, "gpt-5.4")), of(cost(region, "gpt-5.4")));
    assert!((here / there - 1.1).abs() < 0.01, "{there} {here}");
    for url in ["https://name.openai.azure.com/openai/v1", "https://models.github.ai/inference", "http://h/v1"] {
        assert!(cost(url, "gpt-4o-mini").starts_with("unknown"), "{url}");
    }
}
