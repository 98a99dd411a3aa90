//! The filters in engines that divide work. The output is compared, byte for byte, with that of one process.

mod engines;
mod page;

use embtune_tests::Folder;
use serde_json::{Value, json};

/// The beginning of all command lines. One thread, because the engines start a process for each core.
pub(crate) const EMBED: &str = "embed --device cpu --threads 1 --model BASE --role document";

/// A folder with a model `BASE`; `records.jsonl`, which has the documents of the handbook and each of their sentences
/// (texts of one token to more than the model's maximum); and `whole.jsonl`, their vectors from one process.
pub(crate) fn start() -> Folder {
    let folder = Folder::with_corpus("tiny-bert");
    let mut records = String::new();
    for line in folder.read("corpus.jsonl").lines() {
        records += &format!("{line}\n");
        let document: Value = serde_json::from_str(line).unwrap();
        let (id, text) = (document["_id"].as_str().unwrap(), document["text"].as_str().unwrap());
        for (number, sentence) in text.split(". ").enumerate() {
            records += &format!("{}\n", json!({"_id": format!("{id}.{number}"), "text": sentence}));
        }
    }
    folder.write("records.jsonl", records);
    folder.run(&format!("{EMBED} -q records.jsonl -o whole.jsonl")).done();
    folder
}

/// Compares JSON Lines with those of one process.
#[track_caller]
pub(crate) fn assert_whole(folder: &Folder, lines: &str) {
    let whole = folder.read("whole.jsonl");
    assert_eq!(lines.lines().count(), whole.lines().count(), "records");
    for (line, expected) in lines.lines().zip(whole.lines()) {
        assert_eq!(line, expected);
    }
}
