//! Signals: the step in hand is finished and saved for one that asks to end; others change nothing.

use embtune_tests::Signal;

use crate::start::{checkpoints, start, train, weights};

#[test]
fn a_signal_saves_the_training() {
    let folder = start();
    train(&folder, "WHOLE", "").done();
    let signals = [(Signal::INT, 130, "INTERRUPTED"), (Signal::TERM, 143, "TERMINATED"), (Signal::HUP, 129, "HUNG_UP")];
    for (signal, code, out) in signals {
        let mut running = train(&folder, out, "--checkpoint-every 1000 -q").start();
        let lines = running.take_lines(7);
        running.signal(signal);
        let ran = running.end().with_code(code);
        assert_eq!(ran.stderr(), "", "-q\n{ran}");
        // The last step that was logged is the one that was saved.
        let steps = lines.lines().count() + ran.stdout().lines().count();
        assert_eq!(checkpoints(&folder, out), [format!("step-{steps:08}.safetensors")], "{ran}");
        assert!(!ran.listing.contains(&format!("{out}/")), "no model yet\n{ran}");
        train(&folder, out, "--checkpoint-every 1000 --resume").done();
        assert!(weights(&folder, out) == weights(&folder, "WHOLE"), "other weights\n{ran}");
    }
}

#[test]
fn a_storm_of_signals_changes_no_weight() {
    let folder = start();
    let line = "mnrl-train --device cpu --threads 1 --model BASE --epochs 12 --batch-size 16 train.safetensors --out";
    folder.run(&format!("{line} QUIET")).done();
    let mut running = folder.run(&format!("{line} STORMY")).start();
    running.take_lines(3);
    running.storm(&[Signal::USR1, Signal::WINCH, Signal::CONT, Signal::USR2], 1000);
    let _ = running.end().with_code(0);
    assert!(weights(&folder, "QUIET") == weights(&folder, "STORMY"));
}

#[test]
fn a_signal_says_what_happens() {
    let folder = start();
    let mut running = train(&folder, "TUNED", "--checkpoint-every 1000").start();
    running.take_lines(3);
    running.signal(Signal::INT);
    let message = running.end().with_code(130).stderr();
    let lines: Vec<_> = message.lines().collect();
    let last = lines.len() - 2;
    assert_eq!(lines[last], "mnrl-train: finishing the step; press again to stop now", "{message}");
    assert!(lines[last + 1].contains("; resume with --resume"), "{message}");
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
