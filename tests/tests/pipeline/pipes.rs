//! Filters that are joined by pipes.

use std::fmt::Write as _;

use embtune_tests::Folder;

use crate::flow::{records, start};

/// A training that shows whether two ways lead to the same weights.
const TRAIN: &str = "mnrl-train --device cpu --model BASE --batch-size 16 --epochs 1 --warmup-steps 0";

#[test]
fn pipes_give_what_files_give() {
    let folder = start("tiny-bert");
    let piped = "docs2queries --generator extractive < corpus.jsonl | pairs2shards --model BASE";
    folder.shell(&format!("{piped} | {TRAIN} --threads 2 --out PIPED")).done();
    folder.run("docs2queries --generator extractive corpus.jsonl -o pairs.jsonl").done();
    folder.run("pairs2shards --model BASE pairs.jsonl -o train.safetensors").done();
    folder.run(&format!("{TRAIN} --threads 2 --out FILED train.safetensors")).done();
    assert!(folder.bytes("PIPED/model.safetensors") == folder.bytes("FILED/model.safetensors"), "weights differ");
}

/// The corpus a hundred times, with other words each time, so that its sentences stay different: far more than pipes hold.
fn long_corpus(folder: &Folder) -> String {
    let documents = records(&folder.read("corpus.jsonl"));
    (0..100).fold(String::new(), |mut lines, n| {
        for document in &documents {
            let mut copy = document.clone();
            copy["_id"] = format!("{}-{n}", document["_id"].as_str().unwrap()).into();
            copy["text"] = document["text"].as_str().unwrap().replace(". ", &format!(" on line {n}. ")).into();
            let _ = writeln!(lines, "{copy}");
        }
        lines
    })
}

#[test]
fn a_reader_may_leave_early() {
    let folder = start("tiny-bert");
    folder.write("long.jsonl", long_corpus(&folder));
    folder.run("docs2queries --generator extractive corpus.jsonl -o pairs.jsonl").done();
    folder.shell("for n in {1..100}; do cat pairs.jsonl; done > long.pairs.jsonl").done();
    folder.run("embed --device cpu --model BASE --role document corpus.jsonl -o c.safetensors").done();
    let queries =
        "embed --device cpu --model BASE --role query --field anchor --id anchor_id pairs.jsonl -o q.safetensors";
    folder.run(queries).done();
    for line in [
        "docs2queries --generator extractive long.jsonl | head -n 1",
        "embed --device cpu --model BASE --role document long.jsonl | head -n 1",
        "mine-negatives --device cpu --queries q.safetensors --corpus c.safetensors --texts corpus.jsonl \
         long.pairs.jsonl | head -n 1",
        "docs2queries --generator extractive long.jsonl | pairs2shards --model BASE | head -c 1",
    ] {
        let ran = folder.shell(line).done();
        assert!(!ran.stdout.is_empty(), "{ran}");
        assert!(!ran.stderr().contains("pipe"), "{ran}");
    }
}

#[test]
fn a_training_outlives_the_reader_of_its_log() {
    let folder = start("tiny-bert");
    folder
        .shell(
            "docs2queries --generator extractive corpus.jsonl | pairs2shards --model BASE |
         mnrl-train --device cpu --model BASE --out TUNED --epochs 2 --batch-size 4 --threads 1 | head -n 1 > log.jsonl",
        )
        .done();
    assert_eq!(records(&folder.read("log.jsonl")).len(), 1);
    folder.run("embed --device cpu --model TUNED --role query --text").stdin("hail\n").done();
}
