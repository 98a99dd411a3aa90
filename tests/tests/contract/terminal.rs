//! What a terminal is shown: nothing that steers it comes from files, names or ids. Files are exact.

use std::fs;

use crate::filters::{ALL, workbench};

/// Clears the screen, in two ways, and turns the line around.
const HOSTILE: &str = "x\u{1b}[2J\u{9b}2J\u{202e}東京";
const SHOWN: &str = "x\\u001b[2J\\u009b2J\\u202e東京";

fn is_harmless(text: &str) -> bool {
    text.chars().all(|c| c == '\n' || !c.is_control() && !('\u{202a}'..='\u{202e}').contains(&c))
}

#[test]
fn names_of_files_are_harmless_in_messages() {
    let folder = workbench();
    let name = format!("{HOSTILE}\nembed: all is well\r.jsonl");
    fs::write(folder.path(&name), "{\n").unwrap();
    for (format, shown) in [("text", "\\r.jsonl:1: "), ("json", "\\\\r.jsonl:1: ")] {
        let line = format!("embed --device cpu --model BASE --log-format {format}");
        let ran = folder.run(&line).arg(&name).ran().with_code(2);
        let message = ran.stderr();
        assert!(is_harmless(&message) && message.contains("東京") && message.contains(shown), "{ran}");
        assert!(message.lines().all(|line| !line.starts_with("embed: all is well")), "{ran}");
    }
    // Arguments that clap complains about.
    for filter in ALL {
        let ran = folder.run(filter.name).arg(format!("--no{HOSTILE}")).ran().with_code(2);
        assert!(is_harmless(&ran.stderr()) && ran.stderr().contains("2J\\u202e東京"), "{ran}");
    }
}

#[test]
fn ids_are_harmless_in_messages() {
    let folder = workbench();
    let record = |text: &str| serde_json::json!({"_id": "d\u{202e}1", "text": text}).to_string() + "\n";
    let twice = record("a") + &record("b");
    let line = "embed --device cpu --model BASE --role document --format safetensors -o out";
    let ran = folder.run(line).stdin(twice).ran().with_code(2);
    assert!(is_harmless(&ran.stderr()) && ran.stderr().contains("d\\u202e1"), "{ran}");
}

#[test]
fn a_report_is_harmless_on_a_terminal_and_exact_in_a_file() {
    let folder = workbench();
    folder.write("qrels", crate::filters::JUDGMENTS);
    let query = |id: &str| serde_json::json!({"_id": id, "text": format!("which sand {HOSTILE}")}).to_string();
    folder.write("queries", ["q1", "q2", "q3"].map(query).join("\n") + "\n");
    folder.write_vectors("worse", "query", &[("q1", &[0.0, 1.0]), ("q2", &[1.0, 0.0]), ("q3", &[1.0, 1.0])]);
    let line = "ir-eval --device cpu --qrels qrels --queries queries --diagnose base=q,c tuned=worse,c";
    let (ran, seen) = folder.run(line).on_terminal();
    assert!(
        is_harmless(&seen.replace("\r\n", "\n")) && seen.contains(SHOWN) && seen.contains("ndcg@10"),
        "{seen}\n{ran}"
    );
    assert!(folder.run(line).stdout().contains(HOSTILE), "a pipe is no terminal");
    folder.run(&format!("{line} -o report")).done();
    assert!(folder.read("report").contains(HOSTILE));
}

#[test]
fn json_on_a_terminal_is_the_same_json() {
    let folder = workbench();
    let text = format!("River sand is the only {HOSTILE} ballast. It is sieved twice before noon.");
    let record = serde_json::json!({"_id": "d1", "text": text}).to_string() + "\n";
    let line = "embed --device cpu --model BASE --role document";
    let (ran, seen) = folder.run(line).stdin(record.clone()).on_terminal();
    assert!(is_harmless(&seen.replace("\r\n", "\n")), "{seen:?}\n{ran}");
    let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen, folder.run(line).stdin(record).json());
    assert_eq!(seen["text"], text);
}
