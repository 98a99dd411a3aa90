//! Long runs of embed.

mod cache;
mod resume;
mod streaming;

use std::fmt::Write as _;

use embtune_tests::{Folder, Run};

/// The beginning of all command lines.
pub(crate) const EMBED: &str = "embed --device cpu --model BASE --role document";

/// A folder with a model, and `records.jsonl` with this many records.
pub(crate) fn start(records: usize) -> Folder {
    let folder = Folder::new();
    folder.copy_fixture("parity/tiny-bert", "BASE");
    folder.write("records.jsonl", (0..records).map(record).collect::<String>());
    folder
}

/// A line with a long id and a text of one to twelve words.
pub(crate) fn record(number: usize) -> String {
    const WORDS: [&str; 7] = ["sand", "ballast", "hail", "gullskin", "cells", "noon", "soap"];
    let mut text = format!("number {number}");
    for word in 0..7 * number % 11 {
        let _ = write!(text, " {}", WORDS[(number + word) % WORDS.len()]);
    }
    format!("{{\"_id\":\"record-with-a-long-name-{number:08}\",\"text\":\"{text}\"}}\n")
}

/// `embed` on `records.jsonl`.
pub(crate) fn embed(folder: &Folder, flags: &str) -> Run {
    folder.run(&format!("{EMBED} {flags} records.jsonl"))
}

/// Compares the vectors of JSON Lines; windows of other sizes may change their last bits.
#[track_caller]
pub(crate) fn assert_near(left: &str, right: &str) {
    let vectors = |lines: &str| -> Vec<Vec<f64>> {
        let vector = |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["embedding"].clone();
        lines.lines().map(|line| serde_json::from_value(vector(line)).unwrap()).collect()
    };
    let (left, right) = (vectors(left), vectors(right));
    assert_eq!(left.len(), right.len());
    for (x, y) in left.iter().flatten().zip(right.iter().flatten()) {
        assert!((x - y).abs() <= 1e-6 * y.abs().max(1.0), "{x} and {y}");
    }
}
