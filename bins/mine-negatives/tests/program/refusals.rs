//! Inputs that are refused, with their messages.

use embtune_tests::Folder;

use crate::{MINE, at, pair, plane};

#[track_caller]
fn assert_says(message: &str, expected: &str) {
    assert!(message.starts_with("mine-negatives: ") && message.contains(expected), "{message}");
}

/// The message about a file of pairs whose second line is this.
fn about_record(line: &str) -> String {
    let folder = plane();
    folder.write("bad", format!("{}{line}\n{}", pair("q0", "d0"), pair("q14", "d1")));
    let skipped = folder.run(&format!("{MINE} --on-error skip bad")).ran().with_code(1);
    assert_eq!(skipped.stdout().lines().count(), 2, "{skipped}");
    folder.run(&format!("{MINE} bad")).refusal()
}

#[test]
fn pairs_without_vectors() {
    let embed = "embed --model DIR --role query --field anchor --id anchor_id pairs.jsonl";
    let message = about_record(r#"{"anchor":"a","positive":"p","positive_id":"d0"}"#);
    assert_says(&message, "bad:2: no field \"anchor_id\"");
    assert_says(&message, embed);
    let message = about_record(r#"{"anchor":"a","positive":"p","anchor_id":"q0"}"#);
    assert_says(&message, "bad:2: no field \"positive_id\"");
    let message = about_record(&pair("q7", "d0"));
    assert_says(&message, "bad:2: no vector of query \"q7\" in q\n");
    assert_says(&message, embed);
    assert_says(&about_record(&pair("q0", "x")), "bad:2: no vector of document \"x\" in c\n");
}

#[test]
fn lines_that_are_not_pairs_are_refused() {
    assert_says(&about_record("{"), "bad:2: not JSON");
    assert_says(&about_record("[]"), "bad:2: expected a JSON object");
    assert_says(&about_record(r#"{"anchor":1,"positive":"p"}"#), "bad:2: field \"anchor\" must be a string");
    let folder = plane();
    std::fs::write(folder.path("latin1"), b"{\"anchor\":\"\xe4\"}\n").unwrap();
    assert_says(&folder.run(&format!("{MINE} latin1")).refusal(), "latin1:1: not UTF-8");
    folder.write("long", pair("q0", &"d".repeat(3000)));
    assert_says(&folder.run(&format!("{MINE} --max-record-bytes 2K long")).refusal(), "long:1: longer than 2048 bytes");
    assert_says(&folder.run(&format!("{MINE} none")).refusal(), "none: No such file");
}

#[test]
fn texts_that_are_not_the_corpus() {
    let folder = plane();
    let texts = folder.read("corpus.jsonl");
    let (first, rest) = texts.split_once('\n').unwrap();
    folder.write("corpus.jsonl", rest);
    let message = folder.run(&format!("{MINE} pairs.jsonl")).refusal();
    assert_says(&message, "corpus.jsonl: lacks 1 of the 10 documents of c (first: \"d0\")");
    folder.write("corpus.jsonl", format!("{texts}{first}\n"));
    assert_says(&folder.run(&format!("{MINE} pairs.jsonl")).refusal(), "corpus.jsonl:11: duplicate document \"d0\"");
    folder.write("corpus.jsonl", format!("{texts}{{\"_id\":\"more\",\"text\":\"not embedded\"}}\n"));
    assert_eq!(folder.run(&format!("{MINE} pairs.jsonl")).records().len(), 1);
}

#[test]
fn vectors() {
    let folder = plane();
    let run = |folder: &Folder, queries: &str, corpus: &str| {
        folder
            .run(&format!("mine-negatives -q --queries {queries} --corpus {corpus} --texts corpus.jsonl pairs.jsonl"))
            .refusal()
    };
    assert_says(&run(&folder, "c", "q"), "c: its vectors were made with --role document");
    folder.write_vectors("wide", "query", &[("q0", &[1.0, 0.0, 0.0])]);
    assert_says(&run(&folder, "wide", "c"), "wide has vectors of 3 elements, c of 2");
    folder.write_vectors_of("tuned", "tuned", "query", &[("q0", &at(0.0))]);
    assert_says(&run(&folder, "tuned", "c"), "tuned and c were made by different models");
    folder.write_vectors("nan", "query", &[("q0", &[f32::NAN, 0.0])]);
    assert_says(&run(&folder, "nan", "c"), "nan: the vector of \"q0\" holds NaN or infinity");
    folder.write_vectors("inf", "document", &[("d0", &at(0.0)), ("d1", &[f32::INFINITY, 0.0])]);
    assert_says(&run(&folder, "q", "inf"), "inf: the vector of \"d1\" holds NaN or infinity");
    let whole = std::fs::read(folder.path("c")).unwrap();
    std::fs::write(folder.path("cut"), &whole[..whole.len() - 1]).unwrap();
    assert_says(&run(&folder, "q", "cut"), "cut: ");
}

#[test]
fn flags_that_cannot_be_met() {
    let message = plane().run(&format!("{MINE} -n 5 --range-max 4 pairs.jsonl")).refusal();
    assert_says(&message, "the range from 0 to 4 cannot hold 5 negatives\nhint: ");
    for flags in ["-n 0", "--max-score NaN", "--similarity euclidean"] {
        plane().run(&format!("{MINE} {flags} pairs.jsonl")).refusal();
    }
}
