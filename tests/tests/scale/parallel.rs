//! GNU parallel: `--pipe` cuts stdin into blocks of records, `-k` puts the outputs in order.

use embtune_tests::{Folder, Ran};
use serde_json::Value;

use crate::corpus::{EMBED, assert_whole, start};

/// Runs a script in which `parallel` is GNU parallel.
#[track_caller]
pub(crate) fn run(folder: &Folder, script: &str) -> Ran {
    let version = folder.run("bash -c").arg("parallel --version || true").ran();
    assert!(
        version.stdout().starts_with("GNU parallel"),
        "GNU parallel is missing: install it (on Debian: apt-get install parallel)\n{version}"
    );
    // It warns when it has no home.
    folder.shell(&format!("export HOME=${{HOME:-$PWD}}\n{script}")).ran()
}

#[test]
fn blocks_give_the_vectors_of_the_whole() {
    let folder = start();
    for blocks in ["--pipe -N 7", "--pipe --block 3k", "--pipepart -a records.jsonl --block 5k"] {
        let ran = run(&folder, &format!("parallel {blocks} -k -j 2 {EMBED} -q < records.jsonl")).with_code(0);
        assert_whole(&folder, &ran.stdout());
        assert_eq!(ran.stderr(), "", "{ran}");
    }
}

#[test]
fn a_bad_record_is_named_and_counted() {
    let folder = start();
    let records = folder.read("records.jsonl");
    let bad: String = records.lines().take(19).chain(["nonsense"]).map(|line| format!("{line}\n")).collect();
    folder.write("records.jsonl", bad);
    // GNU parallel's exit code is the number of jobs that failed; the others have written their records.
    let whole: String = folder.read("whole.jsonl").lines().take(19).map(|line| format!("{line}\n")).collect();
    for (flags, kept) in [("", 15), ("--on-error skip", 19)] {
        let ran = run(&folder, &format!("parallel --pipe -N 5 -k {EMBED} -q {flags} < records.jsonl")).with_code(1);
        let expected: Vec<&str> = whole.lines().take(kept).collect();
        assert_eq!(ran.stdout().lines().collect::<Vec<_>>(), expected, "{ran}");
        assert_eq!(ran.stderr().contains("embed: <stdin>:5: not JSON"), flags.is_empty(), "{ran}");
    }
    // The first failure can end all, with its own exit code; what waits to be put in order is not shown then.
    let ran = run(&folder, &format!("parallel --halt now,fail=1 --pipe -N 5 -k {EMBED} -q < records.jsonl"));
    let _ = ran.with_code(2).saying("parallel: This job failed:");
}

#[test]
fn shards_that_several_processes_wrote_train_the_same_weights() {
    const TRAIN: &str =
        "mnrl-train -q --device cpu --threads 1 --model BASE --epochs 1 --warmup-steps 2 --batch-size 16";
    let folder = start();
    folder.run("docs2queries --generator extractive -n 3 corpus.jsonl -o pairs.jsonl").done();
    folder.run("pairs2shards -q --model BASE pairs.jsonl -o whole.safetensors").done();
    folder.run(&format!("{TRAIN} --out WHOLE whole.safetensors")).done();
    let parts = "mkdir shards; parallel --pipe -N 50 pairs2shards -q --model BASE -o shards/train-{#}.safetensors < pairs.jsonl";
    let _ = run(&folder, parts).with_code(0);
    assert!(folder.path("shards/train-3.safetensors").exists(), "{:?}", folder.listing());
    folder.run(&format!("{TRAIN} --out PARTS shards")).done();
    assert!(folder.bytes("PARTS/model.safetensors") == folder.bytes("WHOLE/model.safetensors"), "weights differ");
}

#[test]
fn what_needs_the_whole_input_says_so() {
    // The extractive generator weighs terms by the whole corpus: its page says that it cannot be divided, and here is why.
    let folder = start();
    let whole = folder.run("docs2queries -q --generator extractive -n 3 corpus.jsonl").stdout();
    let parts = "parallel --pipe -N 10 -k docs2queries -q --generator extractive -n 3 < corpus.jsonl";
    let parts = run(&folder, parts).with_code(0).stdout();
    let documents = |lines: &str| -> Vec<String> {
        let id = |line| serde_json::from_str::<Value>(line).unwrap()["positive_id"].as_str().unwrap().to_owned();
        lines.lines().map(id).collect()
    };
    assert_eq!(documents(&parts), documents(&whole));
    assert_ne!(parts, whole);
}
