//! Outputs appear complete or not at all: full and failing disks, file systems without locks, readers that leave.

use std::fs;

use crate::filters::{ALL, DOCUMENTS, PAIRS, of_records, reading_anything, with_output, workbench};

#[test]
fn a_full_disk_is_an_error() {
    let folder = workbench();
    let before = folder.listing();
    for filter in reading_anything() {
        let ran = filter.run(&folder, "").to_full_disk().ran().with_code(2);
        let ran = ran.saying("<stdout>: No space left");
        // Hours of training are worth more than the log.
        if filter.name == "mnrl-train" {
            assert!(ran.listing.contains(&"TUNED/model.onnx".to_owned()), "{ran}");
            folder.remove("TUNED");
            continue;
        }
        assert_eq!(ran.listing, before, "leftovers\n{ran}");
        if !filter.output.is_empty() {
            let message = filter.run(&folder, "-o /dev/full").refusal();
            assert!(message.contains(&format!("{}: /dev/full: No space left", filter.name)), "{message}");
        }
    }
}

#[test]
fn a_reader_that_leaves_is_not_an_error() {
    let folder = workbench();
    for filter in ALL {
        let ran = filter.run(&folder, "-q").to_closed_pipe().ran().with_code(0);
        assert_eq!(ran.stderr(), "", "{ran}");
    }
    // Hours of training are worth more than the log.
    assert!(folder.path("TUNED/model.safetensors").exists());
}

#[test]
fn a_named_output_is_what_stdout_is() {
    let folder = workbench();
    for filter in with_output() {
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
    for filter in with_output() {
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

const TRAIN: &str =
    "mnrl-train --device cpu --model BASE --epochs 1 --batch-size 2 --warmup-steps 0 --threads 1 train.safetensors";

/// The operations that some file systems lack.
fn lacking(error: &str) -> String {
    format!(
        "int flock(int fd, int operation) {{ errno = {error}; return -1; }}
         int fsync(int fd) {{ errno = {error}; return -1; }}
         int fdatasync(int fd) {{ errno = {error}; return -1; }}"
    )
}

#[test]
fn missing_locks_are_reported_and_the_work_is_done() {
    for (error, words) in
        [("ENOLCK", "No locks available"), ("ENOSYS", "Function not implemented"), ("EOPNOTSUPP", "not supported")]
    {
        let folder = workbench();
        let lacking = lacking(error);
        let embed = "embed --device cpu --model BASE --role document corpus.jsonl --resume -o out";
        let ran =
            folder.run_with(&lacking, embed).done().saying("out.part: its file system has no locks").saying(words);
        assert!(folder.path("out").exists() && !folder.path(".out.part").exists(), "{ran}");
        let ran = folder.run_with(&lacking, &format!("{TRAIN} --out TUNED --checkpoint-every 1")).done();
        let ran = ran.saying("TUNED.checkpoints: its file system has no locks");
        assert_eq!(ran.stderr().matches("has no locks").count(), 1, "{ran}");
        assert!(folder.path("TUNED/model.onnx").exists() && !folder.path("TUNED.checkpoints").exists(), "{ran}");
        folder
            .run_with(&lacking, "pairs2shards --model BASE --shard-pairs 2 --out shards")
            .stdin(crate::filters::PAIRS)
            .done();
        assert!(folder.path("shards/train-00001.safetensors").exists());
    }
}

#[test]
fn a_journal_without_locks_is_reported_and_used() {
    let folder = workbench();
    // No server answers, but the journal is opened first.
    let line = "docs2queries --llm x --base-url http://127.0.0.1:1/v1 --journal journal --max-retries 0";
    let ran = folder.run_with(&lacking("ENOLCK"), &format!("env OPENAI_API_KEY=k {line}")).stdin(DOCUMENTS).ran();
    let ran = ran.saying("journal: its file system has no locks (No locks available");
    assert!(ran.code != 0 && !ran.stderr().contains("in use"), "{ran}");
}

#[test]
fn a_failing_disk_is_not_mistaken_for_a_file_system_without_a_feature() {
    let folder = workbench();
    let failing = lacking("EIO");
    let embed = "embed --device cpu --model BASE --role document corpus.jsonl -o out";
    let ran = folder.run_with(&failing, embed).ran().with_code(2).saying("embed: out: Input/output error");
    assert!(!folder.path("out").exists(), "{ran}");
    let ran = folder.run_with(&failing, &format!("{TRAIN} --out TUNED")).ran().with_code(2);
    let ran = ran.saying("mnrl-train: TUNED: Input/output error").saying("the finished directory is kept as ");
    assert!(!folder.path("TUNED").exists() && ran.listing.iter().any(|name| name.starts_with("TUNED.new.")), "{ran}");
}

#[test]
fn a_log_that_is_lost_costs_no_training_but_the_exit_code() {
    let folder = workbench();
    let line = format!("{TRAIN} --out TUNED");
    let ran = folder.run(&line).to_full_disk().ran().with_code(2);
    let ran = ran.saying("warning: <stdout>: No space left on device").saying("the training continues");
    let ran = ran.saying("TUNED is saved, but its log is incomplete: <stdout>: No space left on device");
    assert!(folder.path("TUNED/model.onnx").exists() && !folder.path("TUNED.checkpoints").exists(), "{ran}");
    assert_eq!(ran.stderr().matches("warning").count(), 1, "{ran}");

    folder.remove("TUNED");
    folder.write("board", "");
    let message = folder.run(&format!("{line} --tensorboard board")).refusal();
    assert!(message.contains("mnrl-train: board"), "{message}");
}
