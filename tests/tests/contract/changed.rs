//! Mapped files that another program changes while they are read.

use std::fs::{self, File};

use embtune_tests::{Folder, Running};

use crate::filters::{PAIRS, workbench};

/// More than a pipe holds: when it has been read, the program is past its start and has mapped its vectors.
const MORE_THAN_A_PIPE: usize = 1 << 20;

/// Filters that map `c` before they read pairs.
const LINES: [&str; 2] = [
    "mine-negatives --device cpu --queries q --corpus c --texts corpus.jsonl -o out",
    "pairs2shards --model BASE --guide-queries q --guide-corpus c -o out",
];

/// The running filter, waiting for pairs.
fn waiting(folder: &Folder, line: &str) -> Running {
    let mut running = folder.run(line).start();
    running.feed(&[b'\n'; MORE_THAN_A_PIPE]);
    running
}

fn finish(mut running: Running) -> embtune_tests::Ran {
    running.feed(PAIRS.as_bytes());
    running.close_stdin();
    running.end()
}

#[test]
fn a_mapped_file_that_is_cut_short_is_named() {
    for line in LINES {
        for (flags, expected) in
            [("", "c: was cut short while it was being read"), ("--log-format json", "\"msg\":\"c: was cut short")]
        {
            let folder = workbench();
            let running = waiting(&folder, &format!("{line} {flags}"));
            let whole = folder.bytes("c");
            File::options().write(true).open(folder.path("c")).unwrap().set_len(0).unwrap();
            let ran = finish(running).with_code(2).saying(expected);
            assert!(!folder.path("out").exists(), "{ran}");
            folder.write("c", whole);
            // The next run removes its leftovers.
            let ran = folder.run(line).stdin(PAIRS).done();
            assert!(!ran.listing.iter().any(|name| name.contains(".out.")), "{ran}");
        }
    }
}

#[test]
fn a_mapped_file_that_is_written_into_is_named() {
    for line in LINES {
        let folder = workbench();
        let running = waiting(&folder, line);
        File::options().write(true).open(folder.path("c")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        let ran = finish(running).with_code(2).saying("c: was changed while it was being read");
        assert!(!ran.listing.iter().any(|name| name.contains("out")), "{ran}");
    }
}

#[test]
fn a_mapped_file_that_is_replaced_is_read_to_its_end() {
    for line in LINES {
        let folder = workbench();
        let running = waiting(&folder, line);
        folder.write("new", "something else");
        fs::rename(folder.path("new"), folder.path("c")).unwrap();
        let _ = finish(running).with_code(0);
    }
}

/// A dlopen that acts when ONNX Runtime is about to be loaded: the vectors are mapped by then, but not searched.
fn before_the_search(act: &str) -> String {
    format!(
        "void *dlopen(const char *name, int flags) {{
             void *(*next)(const char *, int) = dlsym(RTLD_NEXT, \"dlopen\");
             if (name && strstr(name, \"onnxruntime\")) {{ {act} }}
             return next(name, flags);
         }}"
    )
}

#[test]
fn vectors_that_change_while_they_are_measured_are_named() {
    let line = "ir-eval --device cpu --qrels - s=q,c -o report";
    for (act, expected) in [
        ("if (truncate(\"c\", 0)) _exit(99);", "ir-eval: c: was cut short while it was being read"),
        ("struct timespec t[2] = {{1, 0}, {1, 0}}; utimensat(AT_FDCWD, \"c\", t, 0);", "ir-eval: c: was changed while"),
    ] {
        let folder = workbench();
        let ran = folder.run_with(&before_the_search(act), line).stdin(crate::filters::JUDGMENTS).ran().with_code(2);
        let ran = ran.saying(expected);
        assert!(!folder.path("report").exists(), "{ran}");
    }
}

#[test]
fn a_shard_that_changes_during_the_training_is_named() {
    let line = "mnrl-train --device cpu --model BASE --out TUNED --threads 1 --batch-size 2 -q --epochs";
    let open = |folder: &Folder| File::options().write(true).open(folder.path("train.safetensors")).unwrap();
    let folder = workbench();
    let mut running = folder.run(&format!("{line} 1000000 train.safetensors")).start();
    running.wait_for_output();
    open(&folder).set_len(0).unwrap();
    // Either the next row or the end of the epoch notices it first.
    let ran = running.end().with_code(2).saying("mnrl-train: train.safetensors: was c");
    let _ = ran.saying("while it was being read");

    let folder = workbench();
    let mut running = folder.run(&format!("{line} 1000000 train.safetensors")).start();
    running.wait_for_output();
    open(&folder).set_modified(std::time::UNIX_EPOCH).unwrap();
    let ran = running.end().with_code(2).saying("train.safetensors: was changed while it was being read");
    assert!(!folder.path("TUNED").exists(), "{ran}");
}

/// Everything that is read is checked, even offsets that were valid before.
#[test]
fn a_shard_of_noise_is_not_an_internal_error() {
    let line = "mnrl-train --device cpu --model BASE --out TUNED --threads 1 --batch-size 2 -q --epochs 1000000 train.safetensors";
    for byte in [0x00, 0x7f, 0xff] {
        let folder = workbench();
        let mut running = folder.run(line).start();
        running.wait_for_output();
        let noise = vec![byte; folder.bytes("train.safetensors").len()];
        let file = File::options().write(true).open(folder.path("train.safetensors")).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &noise, 0).unwrap();
        let ran = running.end().with_code(2);
        assert!(ran.stderr().contains("train.safetensors: "), "{ran}");
    }
}
