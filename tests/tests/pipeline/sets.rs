//! Training on several sets.

use embtune_tests::Folder;
use serde_json::Value;

use crate::records;

const TRAIN: &str = "mnrl-train --device cpu --threads 1 --model BASE --batch-size 8 --warmup-steps 0 --overwrite";

/// A folder with two sets of pairs: `a.jsonl`, several queries for each document, and `b.jsonl`.
fn two_sets() -> Folder {
    let folder = Folder::with_corpus("tiny-bert");
    folder.run("docs2queries --generator extractive -n 5 corpus.jsonl -o pairs.jsonl").done();
    let pairs = folder.read("pairs.jsonl");
    let lines: Vec<&str> = pairs.split_inclusive('\n').collect();
    folder.write("a.jsonl", lines[..60].concat());
    folder.write("b.jsonl", lines[60..85].concat());
    for set in ["a", "b"] {
        folder.run(&format!("pairs2shards --model BASE {set}.jsonl -o {set}.safetensors")).done();
    }
    folder
}

/// The log of a training.
fn train(folder: &Folder, flags: &str) -> Vec<Value> {
    records(&folder.run(&format!("{TRAIN} --out TUNED {flags}")).stdout())
}

/// The weights after a training.
fn weights(folder: &Folder, flags: &str) -> Vec<u8> {
    train(folder, flags);
    folder.bytes("TUNED/model.safetensors")
}

#[test]
fn each_set_ends_with_its_own_smaller_batch() {
    let folder = two_sets();
    let steps = |flags: &str| train(&folder, &format!("--epochs 1 {flags}")).len();
    assert_eq!(steps("a.safetensors b.safetensors"), 8 + 4);
    assert_eq!(steps("--batch-from mixed a.safetensors b.safetensors"), 11);
    assert_eq!(steps("--weights 0.5,2 a.safetensors b.safetensors"), 4 + 7);
    assert_eq!(steps("--weights 0.5 a.safetensors"), 4);
    let log = train(&folder, "--epochs 3 --weights 0.1 b.safetensors");
    assert_eq!(log.iter().map(|step| step["epoch"].as_f64().unwrap()).collect::<Vec<_>>(), [1.0, 2.0, 3.0]);
}

#[test]
fn a_directory_of_shards_is_one_set() {
    let folder = two_sets();
    folder.run("pairs2shards --model BASE a.jsonl --out shards --shard-pairs 25").done();
    folder.write("shards/notes.txt", "train on these");
    let one = weights(&folder, "--epochs 1 a.safetensors");
    assert!(weights(&folder, "--epochs 1 shards") == one, "weights differ");
    let files = "shards/train-00000.safetensors shards/train-00001.safetensors shards/train-00002.safetensors";
    assert!(weights(&folder, &format!("--epochs 1 {files}")) != one, "three sets");
}

#[test]
fn a_prompt_is_trained_as_if_it_were_written_out() {
    let folder = two_sets();
    // The same texts with the prompts written out, and without the model's own prompts.
    let written_out = folder.read("a.jsonl").replace("{\"anchor\":\"", "{\"anchor\":\"which line: ");
    folder.write("written.jsonl", written_out.replace("\"positive\":\"", "\"positive\":\"line: "));
    let none = "--query-prompt= --document-prompt=";
    folder.run(&format!("pairs2shards --model BASE {none} written.jsonl -o written.safetensors")).done();
    let mut prompted = folder.run("pairs2shards --model BASE a.jsonl -o prompted.safetensors");
    for flag in ["--query-prompt=which line: ", "--document-prompt=line: "] {
        prompted = prompted.arg(flag);
    }
    prompted.done();
    let trained = |set: &str| weights(&folder, &format!("--epochs 1 {set}.safetensors"));
    let prompted = trained("prompted");
    assert!(prompted == trained("written"), "weights differ");
    assert!(prompted != trained("a"), "the model's own prompt is another");
}

#[test]
fn batches_without_duplicates_have_nothing_to_mask() {
    let folder = two_sets();
    let masked = |flags: &str| -> u64 {
        let log = train(&folder, &format!("--epochs 2 {flags} a.safetensors b.safetensors"));
        log.iter().map(|step| step["masked"].as_u64().unwrap()).sum()
    };
    assert!(masked("") > 0, "pairs share documents");
    assert_eq!(masked("--no-duplicates"), 0);
    assert_eq!(masked("--no-duplicates --batch-from mixed --weights 1.5,0.5"), 0);
}

#[test]
fn the_order_depends_on_the_seed_only() {
    let folder = two_sets();
    let flags = "--epochs 2 --weights 1,0.5 --no-duplicates a.safetensors b.safetensors";
    for from in ["one-set", "mixed"] {
        let first = weights(&folder, &format!("--batch-from {from} {flags}"));
        assert!(first == weights(&folder, &format!("--batch-from {from} {flags}")), "{from}: weights differ");
        assert!(first != weights(&folder, &format!("--batch-from {from} --seed 7 {flags}")), "{from}: another seed");
    }
}

#[test]
fn sets_that_cannot_be_trained_on_are_refused() {
    let folder = two_sets();
    folder.run("pairs2shards --model BASE a.jsonl --out shards --shard-pairs 25").done();
    folder.write("shards/train-00001.safetensors", "nonsense");
    std::fs::create_dir(folder.path("empty")).unwrap();
    folder.run("pairs2shards --model BASE -o none.safetensors").done();
    for (flags, expected) in [
        ("--weights 1 a.safetensors b.safetensors", "mnrl-train: --weights: 1 weight for 2 sets"),
        ("--weights 1,x a.safetensors b.safetensors", "expected a number above 0, at most 1000"),
        ("--epochs 1 --weights 0.001 a.safetensors", "mnrl-train: --weights leave no pair to train on"),
        ("shards", "mnrl-train: shards/train-00001.safetensors: not a valid safetensors file"),
        (
            "empty",
            "mnrl-train: empty: no shards in this directory (train-*.safetensors)\nhint: pairs2shards --out empty",
        ),
        ("a.safetensors none.safetensors", "mnrl-train: none.safetensors: no training pairs"),
    ] {
        let message = folder.run(&format!("{TRAIN} --out NEW {flags}")).refusal();
        assert!(message.contains(expected), "{message}");
    }
}
