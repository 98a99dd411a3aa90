//! Queries that are dropped.

use std::fs;

use serde_json::json;

use crate::server::{Answer, Server, completion};
use crate::support::{ask, client, run, scratch};

const TEXT: &str = "The tenant shall pay the rent on the first day of each month without any deduction. The landlord \
    repairs the roof and the outer walls of the house within two weeks of a notice.";

/// Runs two documents, and the same queries for both.
fn ran(args: &[&str]) -> crate::support::Ran {
    let server = Server::start(|_| {
        let queries = json!({"queries": [
            "When does the tenant have to pay for the house?",
            " ... ",
            "When does the tenant have to pay for the houses?",
            "The tenant shall pay the rent on the first day of each month",
            "What does this document say about the rent?",
            "Wann muss der Mieter die Miete für das Haus an den Vermieter bezahlen?",
            "rent due",
        ]});
        Answer::Http(200, "", completion(&queries.to_string()))
    });
    let input =
        format!("{}\n{}\n", json!({"_id": "a", "text": TEXT}), json!({"_id": "b", "text": format!("{TEXT} B.")}));
    run(&mut client(&server, &[&["-n", "10"], args].concat()), input)
}

#[test]
fn bad_queries_are_dropped_and_counted() {
    let ran = ran(&["-v"]);
    assert_eq!((ran.code, ran.ids()), (Some(0), vec!["a-q1".into(), "a-q2".into()]), "{ran:?}");
    assert!(
        ran.stderr.contains(
            "queries dropped: 2 empty, 4 duplicate, 2 copied from the document, 2 about \"this document\", \
             2 in another language\n"
        ),
        "{ran:?}"
    );
    ran.says("document a: dropped, in another language: Wann muss");
    ran.says("documents: 2, pairs: 2");
}

#[test]
fn reasons_can_be_chosen() {
    assert_eq!(ran(&["--drop=none"]).ids().len(), 14);
    let ran = ran(&["--drop=copied,empty"]);
    assert_eq!(ran.ids().len(), 10);
    ran.says("queries dropped: 2 empty, 2 copied from the document\n");
}

#[test]
fn the_requested_language_counts() {
    let ran = ran(&["--language", "de", "--drop=language"]);
    let anchors: Vec<_> = ran.pairs().iter().map(|pair| pair["anchor"].as_str().unwrap().to_owned()).collect();
    assert!(anchors.iter().any(|anchor| anchor.starts_with("Wann")), "{anchors:?}");
    assert!(anchors.iter().any(|anchor| anchor == "rent due"), "too short to tell: {anchors:?}");
    assert!(!anchors.iter().any(|anchor| anchor.starts_with("The tenant shall")), "{anchors:?}");
}

#[test]
fn queries_of_the_examples_are_dropped() {
    let (_directory, path) = scratch("examples.jsonl");
    fs::write(&path, "{\"anchor\": \"Who repairs the roof?\", \"positive\": \"A text.\"}\n").unwrap();
    let server = Server::start(|_| Answer::Http(200, "", completion(r#"["who repairs  the ROOF", "rent due"]"#)));
    let args = ["-n", "5", "--examples", path.to_str().unwrap()];
    let kept = ask(&server, &args, 1);
    assert_eq!((kept.code, kept.ids().len()), (Some(0), 1), "{kept:?}");
    kept.says("queries dropped: 1 of an example\n");
    let all = ask(&server, &[&args[..], &["--drop=duplicate"]].concat(), 1);
    assert_eq!(all.ids().len(), 2, "{all:?}");
}

#[test]
fn queries_that_a_reply_lost_are_counted() {
    let server = Server::start(|_| {
        let reply = json!({"choices": [{"index": 0, "finish_reason": "length", "message": {"role": "assistant",
            "content": "{\"queries\": [\"rent due\", \"roof repair\", \"when does the ten"}}]});
        Answer::Http(200, "", reply.to_string())
    });
    let ran = ask(&server, &["-v", "-n", "1"], 1);
    assert_eq!((ran.code, ran.ids().len()), (Some(0), 1), "{ran:?}");
    ran.says("queries dropped: 1 cut off, 1 beyond the number asked for\n");
    ran.says("document d1: dropped, cut off: 1\n");
}
