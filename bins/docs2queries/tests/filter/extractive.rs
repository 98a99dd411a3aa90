//! The extractive generator.

use std::fmt::Write as _;

use serde_json::json;

use crate::support::{filter, run, scratch};

/// Documents without a sentence in common.
fn corpus(count: usize) -> Vec<String> {
    (0..count)
        .map(|n| {
            let text = (0..6).fold(String::new(), |mut text, k| {
                let _ = write!(text, "Sentence {k} of document {n} speaks of subject{n}part{k} at length. ");
                text
            });
            format!("{}\n", json!({"_id": format!("d{n}"), "title": format!("Title {n}"), "text": text, "group": "g"}))
        })
        .collect()
}

fn extract(args: &[&str], input: &str) -> String {
    let ran = run(filter(&["--generator", "extractive"]).args(args), input);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.stdout
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let input = corpus(50).concat();
    let first = extract(&[], &input);
    assert_eq!(first.lines().count(), 250);
    assert_eq!(extract(&["--seed", "42"], &input), first);
    assert_ne!(extract(&["--seed", "43"], &input), first);
}

#[test]
fn the_order_of_the_documents_changes_their_order_only() {
    let mut documents = corpus(50);
    let mut forward: Vec<String> = extract(&[], &documents.concat()).lines().map(str::to_owned).collect();
    documents.reverse();
    let mut backward: Vec<String> = extract(&[], &documents.concat()).lines().map(str::to_owned).collect();
    assert_ne!(forward, backward);
    forward.sort();
    backward.sort();
    assert_eq!(forward, backward);
}

#[test]
fn pairs_have_all_fields() {
    let input = corpus(3).concat();
    let (_directory, path) = scratch("corpus.jsonl");
    std::fs::write(&path, &input).unwrap();
    let ran = run(&mut filter(&["--generator", "extractive", "-n", "4", path.to_str().unwrap()]), "");
    ran.says("documents: 3, pairs: 12\n");
    assert_eq!(ran.ids()[..5], ["d0-q1", "d0-q2", "d0-q3", "d0-q4", "d1-q1"]);
    for pair in ran.pairs() {
        assert_eq!(pair["group"], "g");
        assert_eq!(pair.as_object().unwrap().len(), 5);
        assert!(!pair["positive"].as_str().unwrap().trim().is_empty());
    }
    assert_eq!(ran.pairs()[0]["anchor"], "Title 0");
    assert!(!ran.pairs()[0]["positive"].as_str().unwrap().contains("Title"));
    assert!(ran.pairs()[1]["positive"].as_str().unwrap().starts_with("Title 0 "));
}
