//! A lost process ends all others, and no work is lost.

use std::time::Instant;

use embtune_tensors::TensorFile;
use embtune_tests::{Folder, Running, Signal};

use crate::distributed::{TRAIN, free_port, start, start_one};
use crate::scored;

/// Two processes in the middle of a long training that saves a checkpoint at every step.
fn running(folder: &Folder, flags: &str) -> (Running, Running) {
    let mut processes = start(folder, 2, "TUNED", &format!("--epochs 100 --checkpoint-every 1 {flags}"));
    processes[0].take_lines(4);
    let second = processes.pop().unwrap();
    (processes.pop().unwrap(), second)
}

/// The training can be resumed from its last checkpoint.
fn assert_resumable(folder: &Folder) {
    let (first, second) = running(folder, "--resume");
    first.signal(Signal::INT);
    second.signal(Signal::INT);
    let _ = first.end().with_code(130).saying("mnrl-train: resuming after step ");
    let _ = second.end().with_code(130);
}

#[test]
fn a_process_that_is_killed_is_named() {
    let folder = scored();
    let (first, second) = running(&folder, "");
    second.signal(Signal::KILL);
    let _ = second.end().with_code(137);
    let ran =
        first.end().with_code(2).saying("mnrl-train: rank 0: rank 1 stopped responding: it was killed or cut off");
    let _ = ran.saying("\nhint: --resume continues from the last checkpoint");
    assert_resumable(&folder);
}

#[test]
fn a_killed_first_process_is_named() {
    let folder = scored();
    let (first, second) = running(&folder, "");
    first.signal(Signal::KILL);
    let _ = first.end().with_code(137);
    let _ = second.end().with_code(2).saying("mnrl-train: rank 1: rank 0 stopped responding: it was killed or cut off");
    assert_resumable(&folder);
}

#[test]
fn a_process_that_hangs_is_waited_for_until_the_timeout() {
    let folder = scored();
    for lost in [1, 0] {
        let (first, second) = running(&folder, "--resume --dist-timeout 2");
        let (lost_one, other) = if lost == 1 { (second, first) } else { (first, second) };
        let began = Instant::now();
        lost_one.signal(Signal::STOP);
        let says = format!("mnrl-train: rank {}: rank {lost} stopped responding", 1 - lost);
        let _ = other.end().with_code(2).saying(&says);
        assert!(began.elapsed().as_secs_f64() >= 2.0, "the first operation that waits takes so long");
        lost_one.signal(Signal::KILL);
        let _ = lost_one.end().with_code(137);
    }
    assert_resumable(&folder);
}

#[test]
fn a_process_that_does_not_join_is_named() {
    let folder = scored();
    let port = free_port();
    let alone = start_one(&folder, 0, 3, port, "--out TUNED --dist-timeout 2");
    let second = start_one(&folder, 1, 3, port, "--out TUNED --dist-timeout 2");
    let ran = alone.end().with_code(2).saying("mnrl-train: rank 0: ");
    let _ = ran.saying("timed out after 2 s waiting for rank 2 (--dist-timeout)");
    let _ = second.end().with_code(2);
    let message = start_one(&folder, 1, 2, port, "--out TUNED --dist-timeout 1").end().with_code(2).stderr();
    let expected =
        format!("mnrl-train: rank 1: timed out after 1 s waiting for 127.0.0.1:{port} (MASTER_ADDR, MASTER_PORT)");
    assert!(message.starts_with(&expected), "{message}");
}

#[test]
fn other_flags_and_other_data_are_refused() {
    let folder = scored();
    let port = free_port();
    let processes = [start_one(&folder, 0, 2, port, "--out A"), start_one(&folder, 1, 2, port, "--out A --seed 7")];
    let [first, second] = processes.map(|process| process.end().with_code(2));
    let _ = second
        .saying("mnrl-train: rank 1: --seed is 7 here, but 42 in rank 0\nhint: start all processes with the same");
    let _ = first.saying("mnrl-train: rank 0: rank 1 was started with different flags or data\nhint: ");
    // One process reads the token ids; its error reaches all others, as any error does.
    let mut bytes = folder.bytes("train.safetensors");
    let shard = TensorFile::open(&folder.path("train.safetensors")).unwrap();
    let ids = shard.offset("positive.input_ids").unwrap();
    let end = ids + 4 * shard.get("positive.input_ids").unwrap().len();
    bytes[end - 4..end].copy_from_slice(&u32::MAX.to_le_bytes());
    folder.write("damaged.safetensors", bytes);
    let port = free_port();
    let processes = [0, 1].map(|rank| start_one(&folder, rank, 2, port, "--out A damaged.safetensors"));
    let [first, second] = processes.map(|process| process.end().with_code(2));
    let damage = "damaged.safetensors: token id 4294967295, but the vocabulary has";
    let _ = second.saying(&format!("mnrl-train: rank 1: {damage}"));
    let _ = first.saying(&format!("mnrl-train: rank 0: rank 1 ended: {damage}"));
    let port = free_port();
    let missing = "--out A --dev-queries NONE --dev-corpus NONE --dev-qrels NONE";
    let processes = [start_one(&folder, 0, 2, port, missing), start_one(&folder, 1, 2, port, missing)];
    let [first, second] = processes.map(|process| process.end().with_code(2));
    let first = first.saying("mnrl-train: rank 0: NONE: No such file or directory");
    let second = second.saying("mnrl-train: rank 1: rank 0 ended: NONE: No such file or directory");
    assert!(first.stdout.is_empty() && second.stdout.is_empty() && !second.listing.contains(&"A/".to_owned()));
}

#[test]
fn an_incomplete_process_group_is_refused() {
    let folder = scored();
    let refusal = |place: &str, flags: &str| {
        folder
            .run(&format!("env {place} mnrl-train --model BASE --out A {flags} train.safetensors"))
            .ran()
            .with_code(2)
            .stderr()
    };
    let place = |rank: usize, size: usize| format!("RANK={rank} WORLD_SIZE={size} MASTER_ADDR=127.0.0.1 MASTER_PORT=1");
    for (message, expected) in [
        (refusal("RANK=0 WORLD_SIZE=2", ""), "mnrl-train: WORLD_SIZE is 2, but MASTER_ADDR is not set\nhint: "),
        (refusal(&place(2, 2), ""), "mnrl-train: RANK is 2, but WORLD_SIZE is 2: ranks are counted from 0\n"),
        (
            refusal(&place(0, 4), "--batch-size 3"),
            "mnrl-train: --batch-size is 3, but WORLD_SIZE is 4: there is not a pair for each process\nhint: ",
        ),
    ] {
        assert!(message.starts_with(expected), "{message}");
    }
}

/// Each process checks only a part of its copy, but draws rows from all of it.
#[test]
fn a_damaged_copy_is_named_with_its_file() {
    let folder = scored();
    let whole = folder.bytes("train.safetensors");
    let shard = TensorFile::open(&folder.path("train.safetensors")).unwrap();
    // The first rows are in the part that rank 0 checks, in its copy.
    let mut bytes = whole.clone();
    let ids = shard.offset("positive.input_ids").unwrap();
    bytes[ids..ids + 400].fill(0xee);
    folder.write("copy.safetensors", bytes);
    // These two bytes are infinity in f16.
    let mut bytes = whole.clone();
    let guide = shard.offset("anchor.guide").unwrap();
    bytes[guide..guide + 2].copy_from_slice(&[0x00, 0x7c]);
    folder.write("guide.safetensors", bytes);
    for (copy, flags, expected) in
        [("copy", "", "in row"), ("guide", "--loss gist", "\"anchor.guide\" holds NaN or infinity in row 0")]
    {
        let port = free_port();
        let run = |rank: usize, shard: &str| {
            let place = format!("RANK={rank} WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT={port}");
            let command = format!("env {place} {TRAIN} --epochs 3 --out TUNED {flags} {shard}.safetensors");
            folder.run(&command).start()
        };
        let (first, second) = (run(0, "train"), run(1, copy));
        let ran = second.end().with_code(2).saying(&format!("mnrl-train: rank 1: {copy}.safetensors: "));
        let ran = ran.saying(expected);
        assert!(!ran.stderr().contains("index out of range"), "{ran}");
        // The error of one process is reported by all.
        let _ = first.end().with_code(2).saying(&format!("{copy}.safetensors: "));
    }
    let message = folder.run(&format!("{TRAIN} --out TUNED copy.safetensors")).refusal();
    assert!(message.contains("copy.safetensors: token id 4008636142, but the vocabulary has "), "{message}");
}
