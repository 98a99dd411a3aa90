//! SIGINT and SIGTERM: the step in hand is finished and saved.

use embtune_tests::Signal;

use crate::start::{checkpoints, start, train, weights};

#[test]
fn a_signal_saves_the_training() {
    let folder = start();
    train(&folder, "WHOLE", "").done();
    for (signal, code, out) in [(Signal::INT, 130, "INTERRUPTED"), (Signal::TERM, 143, "TERMINATED")] {
        let mut running = train(&folder, out, "--checkpoint-every 1000 -q").start();
        let lines = running.take_lines(7);
        running.signal(signal);
        let ran = running.end().with_code(code);
        assert_eq!(ran.stderr(), "", "who sends a signal needs no message\n{ran}");
        // The last step that was logged is the one that was saved.
        let steps = lines.lines().count() + ran.stdout().lines().count();
        assert_eq!(checkpoints(&folder, out), [format!("step-{steps:08}.safetensors")], "{ran}");
        assert!(!ran.listing.contains(&format!("{out}/")), "no model yet\n{ran}");
        train(&folder, out, "--checkpoint-every 1000 --resume").done();
        assert!(weights(&folder, out) == weights(&folder, "WHOLE"), "other weights\n{ran}");
    }
}

#[test]
fn the_newest_checkpoints_are_kept() {
    let folder = start();
    let mut running = train(&folder, "TUNED", "--checkpoint-every 1 --keep 3").start();
    let lines = running.take_lines(9);
    running.signal(Signal::INT);
    let ran = running.end().with_code(130);
    let last = lines.lines().count() + ran.stdout().lines().count();
    let expected: Vec<_> = (last - 2..=last).map(|step| format!("step-{step:08}.safetensors")).collect();
    assert_eq!(checkpoints(&folder, "TUNED"), expected, "{ran}");
}

#[test]
fn checkpoints_go_where_they_are_wanted() {
    let folder = start();
    let mut running = train(&folder, "TUNED", "--checkpoint-every 2 --checkpoint-dir a/b").start();
    running.take_lines(3);
    running.signal(Signal::INT);
    let ran = running.end().with_code(130);
    assert!(ran.listing.iter().any(|name| name.starts_with("a/b/step-")), "{ran}");
    // What somebody else has put there stays.
    folder.write("a/b/notes", "dear diary");
    let ran = train(&folder, "TUNED", "--checkpoint-every 2 --checkpoint-dir a/b --resume").done();
    let left: Vec<_> = ran.listing.iter().filter(|name| name.starts_with("a/")).collect();
    assert_eq!(left, ["a/", "a/b/", "a/b/notes"], "{ran}");
}
