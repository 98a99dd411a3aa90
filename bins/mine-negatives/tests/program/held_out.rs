//! Documents of the evaluation never become negatives.

use embtune_records::HoldoutSplit;
use serde_json::{Value, json};

use crate::{MINE, pair, plane};

fn ids(record: &Value) -> Vec<&str> {
    record["negative_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect()
}

#[test]
fn a_held_out_document_is_not_a_negative() {
    let folder = plane();
    for seed in 0..20 {
        let split = HoldoutSplit { share: 0.4, seed };
        let own = (0..10).map(|n| format!("d{n}")).find(|id| !split.holds_out(id)).unwrap();
        folder.write("pairs.jsonl", pair("q0", &own));
        let record = folder.run(&format!("{MINE} -n 9 --holdout 0.4 --seed {seed} pairs.jsonl")).records().remove(0);
        let expected: Vec<String> =
            (0..10).map(|n| format!("d{n}")).filter(|id| *id != own && !split.holds_out(id)).collect();
        assert_eq!(ids(&record), expected, "seed {seed}");
        let held_out = record["dropped"].as_array().unwrap().iter().filter(|one| one["reason"] == "held_out").count();
        assert_eq!(held_out, 9 - expected.len());
    }
}

#[test]
fn groups_are_held_out_as_a_whole() {
    let folder = plane();
    let group =
        (0..).map(|n| format!("g{n}")).find(|group| HoldoutSplit { share: 0.5, seed: 42 }.holds_out(group)).unwrap();
    let kept =
        (0..).map(|n| format!("k{n}")).find(|group| !HoldoutSplit { share: 0.5, seed: 42 }.holds_out(group)).unwrap();
    let document = |n: u8| {
        let group = if n.is_multiple_of(2) { &kept } else { &group };
        format!(
            "{{\"_id\":\"d{n}\",\"text\":\"text {n}\",\"group\":\"{group}{}\"}}\n",
            if n == 0 { "-own" } else { "" }
        )
    };
    folder.write("corpus.jsonl", (0..10).map(document).collect::<String>());
    folder.write("pairs.jsonl", pair("q0", "d0").replace("}\n", &format!(",\"group\":\"{kept}-own\"}}\n")));
    assert!(
        !HoldoutSplit { share: 0.5, seed: 42 }.holds_out(&format!("{kept}-own")),
        "a held-out pair gets no negatives"
    );
    let record = folder.run(&format!("{MINE} -n 9 --holdout 0.5 pairs.jsonl")).records().remove(0);
    assert_eq!(ids(&record), ["d2", "d4", "d6", "d8"]);
    assert_eq!(record["negative_groups"], json!([kept, kept, kept, kept]));
}

#[test]
fn a_pair_of_a_held_out_document_comes_out_as_it_was() {
    let folder = plane();
    let own = (0..10).map(|n| format!("d{n}")).find(|id| HoldoutSplit { share: 0.4, seed: 42 }.holds_out(id)).unwrap();
    folder.write("pairs.jsonl", pair("q90", &own));
    let ran = folder
        .run("mine-negatives --queries q --corpus c --texts corpus.jsonl --holdout 0.4 --keep-rank 1 --exact-ranks pairs.jsonl")
        .done();
    let record = &ran.json();
    assert_eq!((ids(record), &record["dropped"]), (vec![], &json!([])));
    let rank = 10 - own[1..].parse::<u64>().unwrap();
    assert_eq!((&record["positive_rank"], record.get("negatives")), (&json!(rank), None));
    assert!(ran.stderr().contains("1 pair, 0 negatives, 1 pair held out, without negatives"), "{ran}");
}

#[test]
fn a_list_excludes_documents_and_groups() {
    let folder = plane();
    let document = |n: u8| {
        let group = if n > 6 { ",\"group\":\"book\"" } else { "" };
        format!("{{\"_id\":\"d{n}\",\"text\":\"text {n}\"{group}}}\n")
    };
    folder.write("corpus.jsonl", (0..10).map(document).collect::<String>());
    folder.write("list", "d1\r\n\n  d3 \nbook\nno such document\n");
    let record = folder.run(&format!("{MINE} -n 9 --exclude-documents list pairs.jsonl")).records().remove(0);
    assert_eq!(ids(&record), ["d2", "d4", "d5", "d6"]);
    let message = folder.run(&format!("{MINE} --exclude-documents none pairs.jsonl")).refusal();
    assert!(message.contains("none: No such file"), "{message}");
}

#[test]
fn a_pair_without_a_group_gets_that_of_its_document() {
    let folder = plane();
    let document = |n: u8| format!("{{\"_id\":\"d{n}\",\"text\":\"text {n}\",\"group\":{}}}\n", n / 2);
    folder.write("corpus.jsonl", (0..10).map(document).collect::<String>());
    let record = folder.run(&format!("{MINE} -n 2 pairs.jsonl")).records().remove(0);
    assert_eq!((&record["group"], ids(&record)), (&json!("0"), vec!["d2", "d3"]));
    assert_eq!(record["negative_groups"], json!(["1", "1"]));
}
