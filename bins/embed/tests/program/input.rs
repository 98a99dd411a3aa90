//! The input: fields, ids, lines, NUL bytes.

use embtune_tests::Folder;
use serde_json::{Value, json};

use crate::support::{embed, of_file, vectors};

#[test]
fn named_fields_are_joined_in_their_order() {
    let folder = Folder::with_corpus("tiny-bert");
    folder.write("named", r#"{"id":"a","q":"lift cells","none":"","a":"of gullskin","n":7}"#);
    for (flags, text) in [
        ("--field q --field a", "lift cells of gullskin"),
        ("--field a --field q", "of gullskin lift cells"),
        ("--field a --field none --field q", "of gullskin lift cells"),
        ("--field q", "lift cells"),
        ("--field none", ""),
    ] {
        folder.write("whole", json!({"_id": "a", "text": text}).to_string());
        assert_eq!(vectors(&folder, &format!("{flags} named")), vectors(&folder, "whole"), "{flags}");
    }
    // Title and text are fields like any other, and the other fields of a record are kept.
    let corpus = folder.read("corpus.jsonl");
    let titled: Vec<&str> = corpus.lines().filter(|line| line.contains("\"title\"")).collect();
    folder.write("titled", titled.join("\n"));
    assert_eq!(vectors(&folder, "--field title --field text titled"), vectors(&folder, "titled"));
    let out = embed(&folder, "--field q named").stdout();
    assert!(out.starts_with(r#"{"id":"a","q":"lift cells","none":"","a":"of gullskin","n":7,"embedding":["#), "{out}");
}

#[test]
fn the_id_may_be_in_another_field() {
    let folder = Folder::with_corpus("tiny-bert");
    folder.write("pairs", r#"{"anchor":"lift cells","positive":"p","anchor_id":"d1-q1","_id":"old"}"#);
    folder.write("queries", r#"{"_id":"d1-q1","text":"lift cells"}"#);
    assert_eq!(vectors(&folder, "--field anchor --id anchor_id pairs"), vectors(&folder, "queries"));
    let record = embed(&folder, "--field anchor --id anchor_id pairs").records().remove(0);
    assert_eq!((&record["_id"], &record["anchor_id"]), (&json!("d1-q1"), &json!("d1-q1")));
    let message = embed(&folder, "--field anchor --id query_id pairs").refusal();
    assert!(message.contains("pairs:1: no field \"query_id\""), "{message}");
}

#[test]
fn records_without_a_named_field_are_skipped() {
    let folder = Folder::with_corpus("tiny-bert");
    let lines = [
        r#"{"id":1,"body":"lift"}"#,
        r#"{"id":2,"text":"lift"}"#,
        r#"{"id":3,"body":["lift"]}"#,
        r#"{"id":4,"body":null}"#,
        r#"{"body":"lift"}"#,
        r#"{"id":6,"body":"lift"}"#,
    ];
    let ran = embed(&folder, "--field body --on-error skip").stdin(lines.join("\n")).ran().with_code(1);
    let ran = ran.saying("<stdin>:2: no field \"body\"").saying("<stdin>:4: no field \"body\"");
    let ran = ran.saying("<stdin>:3: field \"body\" must be a string, found an array");
    let ran = ran.saying("<stdin>:5: no field \"_id\"").saying("4 records skipped");
    assert_eq!(ran.stdout().lines().count(), 2);
    let message = embed(&folder, "--field body").stdin(lines[1]).refusal();
    assert!(message.contains("embed: <stdin>:1: no field \"body\""), "{message}");
}

#[test]
fn texts_may_end_with_nul() {
    let folder = Folder::with_corpus("tiny-bert");
    let texts = ["lift\ncells\r\n", "", "the night watch"];
    let nul = embed(&folder, "--text -0").stdin(format!("{}\0", texts.join("\0"))).records();
    assert_eq!(nul, embed(&folder, "--text --null").stdin(texts.join("\0")).records());
    assert_eq!(nul.iter().map(|record| record["text"].as_str().unwrap()).collect::<Vec<_>>(), texts);
    let json: Vec<_> = (1..).zip(texts).map(|(id, text)| json!({"id": id, "text": text}).to_string()).collect();
    let json = embed(&folder, "").stdin(json.join("\n")).records();
    for (nul, json) in nul.iter().zip(&json) {
        assert_eq!(nul["embedding"], json["embedding"]);
    }
    let ran = embed(&folder, "--text --null --on-error skip").stdin(b"a\0\xff\0b".as_slice()).ran().with_code(1);
    let ran = ran.saying("<stdin>:2: not UTF-8 at byte 1");
    assert_eq!(ran.stdout().lines().count(), 2);
    // Without the flag, NUL is a character like any other.
    let line = embed(&folder, "--text").stdin("a\0b\n").records();
    assert_eq!((line.len(), &line[0]["text"]), (1, &json!("a\0b")));
}

#[test]
fn leaving_out_the_role_is_a_warning_if_the_model_has_prompts() {
    const WARNING: &str = "the model has prompts for queries and documents, but no --role is given";
    let folder = Folder::with_corpus("tiny-bert");
    let line = "embed --device cpu --model BASE corpus.jsonl";
    let _ = folder.run(line).done().saying(WARNING);
    for flags in ["--role query", "--prompt x", "--role query --prompt x", "-q"] {
        let ran = folder.run(&format!("{line} {flags}")).done();
        assert!(!ran.stderr().contains(WARNING), "{ran}");
    }
    let without = Folder::with_corpus("tiny-dense");
    assert!(!without.run(line).done().stderr().contains(WARNING));
}

const PAIRS: &str = r#"{"anchor":"lift cells","positive":"one","anchor_id":"q1"}
{"anchor":"the night watch","positive":"one","anchor_id":"q2"}
{"anchor":"lift cells","positive":"two","anchor_id":"q1"}
{"anchor":"gullskin","positive":"two","anchor_id":7}
{"anchor":"lift cells","positive":"three","anchor_id":"q1"}
"#;
const QUERIES: &str = "--field anchor --id anchor_id";

#[test]
fn a_query_with_several_positives_is_written_once() {
    let folder = Folder::with_corpus("tiny-bert");
    folder.write("pairs", PAIRS);
    let ran = embed(&folder, &format!("{QUERIES} pairs -o v")).done();
    let _ = ran.saying("2 of 5 records had the id and the text of an earlier one");
    let (found, _) = of_file(&folder, "v");
    assert_eq!(found.ids().collect::<Vec<_>>(), ["q1", "q2", "7"]);
    // JSON Lines have every record, with the same vectors.
    let all = vectors(&folder, &format!("{QUERIES} pairs"));
    assert_eq!(all.len(), 5);
    let rows: Vec<_> = (0..3).map(|row| found.rows_f32(row..row + 1).into_owned()).collect();
    assert_eq!(rows, [all[0].clone(), all[1].clone(), all[3].clone()]);
}

#[test]
fn repeated_records_can_be_resumed_and_cached() {
    let folder = Folder::with_corpus("tiny-bert");
    folder.write("pairs", PAIRS);
    embed(&folder, &format!("{QUERIES} pairs -o plain")).done();
    for flags in ["--resume", "--cache kept", "--cache kept --resume"] {
        embed(&folder, &format!("{QUERIES} {flags} pairs -o v")).done();
        assert!(folder.bytes("v") == folder.bytes("plain"), "{flags}");
    }
    // A shard knows only its own records.
    embed(&folder, &format!("{QUERIES} --shard 1/2 pairs -o v")).done();
    assert_eq!(of_file(&folder, "v").0.ids().collect::<Vec<_>>(), ["q1"]);
}

#[test]
fn numbers_of_any_size_are_ids() {
    let folder = Folder::with_corpus("tiny-bert");
    let [one, two] = ["340282366920938463463374607431768211455", "340282366920938463463374607431768211454"];
    let lines = format!(
        "{{\"_id\":{one},\"text\":\"a\",\"n\":12345678901234567890123,\"x\":[1.10,-18446744073709551617]}}\n\
         {{\"_id\":{two},\"text\":\"b\"}}\n"
    );
    embed(&folder, "-o v").stdin(lines.clone()).done();
    assert_eq!(of_file(&folder, "v").0.ids().collect::<Vec<_>>(), [one, two]);
    let out = embed(&folder, "").stdin(lines.clone()).stdout();
    for (written, read) in out.lines().zip(lines.lines()) {
        assert!(written.starts_with(&format!("{},\"embedding\":[", read.trim_end_matches('}'))), "{written}");
        serde_json::from_str::<Value>(written).unwrap();
    }
}
