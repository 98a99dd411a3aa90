//! What is read: fields, lines, NUL bytes.

use serde_json::json;

use crate::model::{embed, vectors, with_model};

#[test]
fn named_fields_are_joined_in_their_order() {
    let folder = with_model("tiny-bert");
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
    // Title and text are fields like any other, and the record passes through.
    let corpus = folder.read("corpus.jsonl");
    let titled: Vec<&str> = corpus.lines().filter(|line| line.contains("\"title\"")).collect();
    folder.write("titled", titled.join("\n"));
    assert_eq!(vectors(&folder, "--field title --field text titled"), vectors(&folder, "titled"));
    let out = embed(&folder, "--field q named").stdout();
    assert!(out.starts_with(r#"{"id":"a","q":"lift cells","none":"","a":"of gullskin","n":7,"embedding":["#), "{out}");
}

#[test]
fn another_field_may_hold_the_id() {
    let folder = with_model("tiny-bert");
    folder.write("pairs", r#"{"anchor":"lift cells","positive":"p","anchor_id":"d1-q1","_id":"old"}"#);
    folder.write("queries", r#"{"_id":"d1-q1","text":"lift cells"}"#);
    assert_eq!(vectors(&folder, "--field anchor --id anchor_id pairs"), vectors(&folder, "queries"));
    let record = embed(&folder, "--field anchor --id anchor_id pairs").records().remove(0);
    assert_eq!((&record["_id"], &record["anchor_id"]), (&json!("d1-q1"), &json!("d1-q1")));
    let message = embed(&folder, "--field anchor --id query_id pairs").refusal();
    assert!(message.contains("pairs:1: no field \"query_id\""), "{message}");
}

#[test]
fn records_without_a_named_field_cost_themselves() {
    let folder = with_model("tiny-bert");
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
    let folder = with_model("tiny-bert");
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
fn a_model_with_prompts_wants_a_role() {
    const WARNING: &str = "the model has prompts for queries and documents, but no --role is given";
    let folder = with_model("tiny-bert");
    let line = "embed --device cpu --model BASE corpus.jsonl";
    let _ = folder.run(line).done().saying(WARNING);
    for flags in ["--role query", "--prompt x", "--role query --prompt x", "-q"] {
        let ran = folder.run(&format!("{line} {flags}")).done();
        assert!(!ran.stderr().contains(WARNING), "{ran}");
    }
    let without = with_model("tiny-dense");
    assert!(!without.run(line).done().stderr().contains(WARNING));
}
