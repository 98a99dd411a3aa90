//! File systems without locks, or without a way to put things on disk; and disks that fail.

use crate::filters::{DOCUMENTS, workbench};

const TRAIN: &str =
    "mnrl-train --device cpu --model BASE --epochs 1 --batch-size 2 --warmup-steps 0 --threads 1 train.safetensors";

/// Every operation that some file systems lack.
fn lacking(error: &str) -> String {
    format!(
        "int flock(int fd, int operation) {{ errno = {error}; return -1; }}
         int fsync(int fd) {{ errno = {error}; return -1; }}
         int fdatasync(int fd) {{ errno = {error}; return -1; }}"
    )
}

#[test]
fn without_locks_the_work_is_done_and_it_is_said() {
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
fn a_journal_without_locks_is_used_and_it_is_said() {
    let folder = workbench();
    // Nobody answers; the journal is opened before.
    let line = "docs2queries --llm x --base-url http://127.0.0.1:1/v1 --journal journal --max-retries 0";
    let ran = folder.run_with(&lacking("ENOLCK"), &format!("env OPENAI_API_KEY=k {line}")).stdin(DOCUMENTS).ran();
    let ran = ran.saying("journal: its file system has no locks (No locks available");
    assert!(ran.code != 0 && !ran.stderr().contains("in use"), "{ran}");
}

#[test]
fn a_disk_that_fails_is_no_file_system_that_lacks_something() {
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
