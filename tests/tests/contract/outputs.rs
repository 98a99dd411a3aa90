//! Full disks, readers that leave, and named outputs, which appear whole or not at all.

use std::fs;

use crate::filters::{ALL, Input, PAIRS, of_records, workbench};

#[test]
fn a_full_disk_is_an_error() {
    let folder = workbench();
    let before = folder.listing();
    for filter in ALL.into_iter().filter(|filter| filter.input != Input::Nothing) {
        let ran = filter.run(&folder, "").to_full_disk().ran().with_code(2);
        let ran = ran.saying("<stdout>: No space left");
        // Hours of training are worth more than their log.
        if filter.name == "mnrl-train" {
            assert!(ran.listing.contains(&"TUNED/model.onnx".to_owned()), "{ran}");
            folder.remove("TUNED");
            continue;
        }
        assert_eq!(ran.listing, before, "nothing is left behind\n{ran}");
        if !filter.output.is_empty() {
            let message = filter.run(&folder, "-o /dev/full").refusal();
            assert!(message.contains(&format!("{}: /dev/full: No space left", filter.name)), "{message}");
        }
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let folder = workbench();
    for filter in ALL {
        let ran = filter.run(&folder, "-q").to_closed_pipe().ran().with_code(0);
        assert_eq!(ran.stderr(), "", "{ran}");
    }
    // Hours of training are worth more than their log.
    assert!(folder.path("TUNED/model.safetensors").exists());
}

#[test]
fn a_named_output_is_what_stdout_is() {
    let folder = workbench();
    for filter in ALL.into_iter().filter(|filter| !filter.output.is_empty()) {
        let format = if filter.name == "embed" { "--format safetensors" } else { "" };
        let stdout = filter.run(&folder, format).done().stdout;
        let ran = filter.run(&folder, &format!("{format} {}", filter.output)).done();
        assert!(ran.stdout.is_empty(), "{ran}");
        assert_eq!(folder.bytes("out"), stdout, "{ran}");
    }
}

#[test]
fn a_failure_leaves_an_older_output_alone() {
    let folder = workbench();
    folder.write("out", "old");
    for filter in of_records() {
        filter.empty(&folder, filter.output).stdin("{\n").refusal();
        assert_eq!(folder.read("out"), "old", "{}", filter.name);
    }
}

#[test]
fn an_output_cannot_be_a_folder_or_in_none() {
    let folder = workbench();
    for filter in ALL.into_iter().filter(|filter| !filter.output.is_empty()) {
        let message = filter.run(&folder, "-o BASE").refusal();
        assert!(message.contains("BASE: is a directory"), "{message}");
        let message = filter.run(&folder, "-o none/out").refusal();
        assert!(message.contains("none/out: cannot write next to it: No such file"), "{message}");
    }
}

#[test]
fn a_model_that_is_there_is_kept_unless_asked() {
    let folder = workbench();
    let train = "mnrl-train --device cpu --model BASE --epochs 1 --out";
    let read = || folder.bytes("train.safetensors");
    folder.copy_fixture("parity/tiny-bert", "TUNED");
    let message = folder.run(&format!("{train} TUNED")).stdin(read()).refusal();
    assert!(message.contains("TUNED: exists already\nhint: --overwrite replaces it"), "{message}");

    fs::create_dir(folder.path("notes")).unwrap();
    folder.write("notes/diary", "dear diary");
    let message = folder.run(&format!("{train} notes --overwrite")).stdin(read()).refusal();
    assert!(message.contains("notes: exists and is not a model directory"), "{message}");

    let before = folder.bytes("TUNED/model.safetensors");
    let ran = folder.run(&format!("{train} TUNED --overwrite --warmup-steps 0")).stdin(read()).done();
    assert!(!ran.listing.iter().any(|name| name.contains(".tmp")), "{ran}");
    assert!(folder.bytes("TUNED/model.safetensors") != before, "the old weights are still there");
}

#[test]
fn shards_of_a_failed_run_do_not_appear() {
    let folder = workbench();
    let pairs = PAIRS.to_owned() + "{\n";
    let message = folder.run("pairs2shards --model BASE --out shards --shard-pairs 1").stdin(pairs.clone()).refusal();
    assert!(message.contains("<stdin>:4: not JSON"), "{message}");
    fs::create_dir(folder.path("heldout")).unwrap();
    folder.run("pairs2shards --model BASE -o out --holdout 0.5 --holdout-dir heldout").stdin(pairs).refusal();
}

#[test]
fn shards_do_not_mix_with_older_ones() {
    let folder = workbench();
    let line = "pairs2shards --model BASE --out shards --shard-pairs 1";
    let ran = folder.run(line).stdin(PAIRS).done();
    let shards: Vec<_> = ran.listing.iter().filter(|name| name.starts_with("shards/")).collect();
    assert_eq!(shards.len(), 1 + 3, "the folder and its shards\n{ran}");
    let message = folder.run(line).stdin(PAIRS).refusal();
    assert!(message.contains("pairs2shards: shards: exists already\nhint: "), "{message}");
}
