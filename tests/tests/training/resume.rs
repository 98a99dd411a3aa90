//! A training that is interrupted and resumed becomes the same model, byte for byte.

use embtune_tests::{Folder, Signal};

use crate::{STEPS, checkpoints, command, losses, start, train, weights};

/// Trains until the log has this many lines, then kills the process.
fn kill_after(lines: usize, folder: &Folder, out: &str, flags: &str) {
    let mut running = train(folder, out, flags).start();
    running.take_lines(lines);
    running.signal(Signal::KILL);
    let ran = running.end().with_code(137);
    assert!(!ran.listing.contains(&format!("{out}/")), "no model yet\n{ran}");
}

#[test]
fn a_training_can_be_killed_at_any_moment() {
    let folder = start();
    let whole = losses(&train(&folder, "WHOLE", "").stdout());
    assert_eq!(whole.len() as u64, STEPS);
    // Before the first checkpoint, at one, after one, in a later epoch.
    for lines in [1, 5, 8, 34] {
        let out = format!("KILLED{lines}");
        kill_after(lines, &folder, &out, "--checkpoint-every 5");
        let ran = train(&folder, &out, "--checkpoint-every 5 --resume").done();
        let resumed = losses(&ran.stdout());
        let first = whole.len() - resumed.len();
        assert!(first.is_multiple_of(5) && first + 5 >= lines, "resumes after step {first}\n{ran}");
        assert!(resumed == whole[first..], "other losses\n{ran}");
        assert!(weights(&folder, &out) == weights(&folder, "WHOLE"), "other weights\n{ran}");
        assert!(!ran.listing.contains(&format!("{out}.checkpoints/")), "checkpoints are left\n{ran}");
    }
}

#[test]
fn a_training_can_be_killed_repeatedly_while_it_saves() {
    let folder = start();
    train(&folder, "WHOLE", "").done();
    // With a checkpoint at every step, most of the time is spent writing them.
    for (number, lines) in [7, 12, 9].into_iter().enumerate() {
        let resume = if number > 0 { "--resume" } else { "" };
        kill_after(lines, &folder, "KILLED", &format!("--checkpoint-every 1 --keep 1 {resume}"));
    }
    train(&folder, "KILLED", "--checkpoint-every 1 --keep 1 --resume").done();
    assert!(weights(&folder, "KILLED") == weights(&folder, "WHOLE"));
}

#[test]
fn a_damaged_checkpoint_costs_only_its_steps() {
    let folder = start();
    train(&folder, "WHOLE", "").done();
    kill_after(22, &folder, "KILLED", "--checkpoint-every 5 --keep 2");
    let files = checkpoints(&folder, "KILLED");
    let steps: Vec<_> = files.iter().filter(|name| name.starts_with("step-")).collect();
    assert_eq!(steps.len(), 2, "{files:?}");
    let newest = format!("KILLED.checkpoints/{}", steps[1]);
    let mut bytes = folder.bytes(&newest);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    folder.write(&newest, bytes);
    let ran = train(&folder, "KILLED", "--checkpoint-every 5 --keep 2 --resume").done();
    let ran = ran.saying(&format!("{newest}: is damaged"));
    assert!(weights(&folder, "KILLED") == weights(&folder, "WHOLE"), "{ran}");
}

#[test]
fn a_full_disk_costs_no_checkpoint() {
    let folder = start();
    train(&folder, "WHOLE", "").done();
    kill_after(12, &folder, "KILLED", "--checkpoint-every 5");
    let before: Vec<_> = checkpoints(&folder, "KILLED").into_iter().filter(|name| !name.starts_with('.')).collect();
    assert!(!before.is_empty());
    // No file may be longer than 16 KiB, so no checkpoint can be written.
    let line = command("KILLED", "--checkpoint-every 5 --resume");
    let ran = folder.shell(&format!("trap '' XFSZ; ulimit -f 16; {line}")).ran().with_code(2);
    let ran = ran.saying("mnrl-train: KILLED.checkpoints/step-").saying("File too large");
    assert_eq!(checkpoints(&folder, "KILLED"), before, "{ran}");
    train(&folder, "KILLED", "--checkpoint-every 5 --resume").done();
    assert!(weights(&folder, "KILLED") == weights(&folder, "WHOLE"));
}

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
    // Other files there are kept.
    folder.write("a/b/notes", "dear diary");
    let ran = train(&folder, "TUNED", "--checkpoint-every 2 --checkpoint-dir a/b --resume").done();
    let left: Vec<_> = ran.listing.iter().filter(|name| name.starts_with("a/")).collect();
    assert_eq!(left, ["a/", "a/b/", "a/b/notes"], "{ran}");
}

/// A folder with the checkpoints of an interrupted training.
fn interrupted() -> Folder {
    let folder = start();
    let mut running = train(&folder, "TUNED", "--checkpoint-every 5").start();
    running.take_lines(6);
    running.signal(Signal::INT);
    let _ = running.end().with_code(130);
    folder
}

#[test]
fn other_settings_are_named_with_both_values() {
    let folder = interrupted();
    for (flags, expected) in [
        ("--weight-decay 0.5", "--weight-decay was 0.0 when the training began, and is 0.5 now"),
        ("--max-grad-norm 2", "--max-grad-norm was 1.0 when the training began, and is 2.0 now"),
        ("--precision bf16", "--precision was \"fp32\" when the training began, and is \"bf16\" now"),
        ("--freeze layers:1", "--freeze was not set when the training began, and is \"layers:1\" now"),
        ("--lora r=2", "--lora was not set when the training began, and is \"r=2,alpha=4,targets=query,value\" now"),
        ("--seed 7", "--seed was 42 when the training began, and is 7 now"),
    ] {
        let message = train(&folder, "TUNED", &format!("--checkpoint-every 5 --resume {flags}")).refusal();
        assert!(message.contains(expected) && message.contains("\nhint: "), "{message}");
    }
    // The frequency of checkpoints may change.
    train(&folder, "TUNED", "--checkpoint-every 50 --keep 1 --resume").done();
}

#[test]
fn other_data_or_another_model_are_refused() {
    let folder = interrupted();
    let pairs = "pairs2shards --model BASE --document-max-length 32 pairs.jsonl -o train.safetensors";
    let before = folder.bytes("train.safetensors");
    folder.run(pairs).done();
    let message = train(&folder, "TUNED", "--checkpoint-every 5 --resume").refusal();
    assert!(message.contains("when the training began, and is"), "{message}");

    folder.write("train.safetensors", before);
    let mut weights = folder.bytes("BASE/model.safetensors");
    *weights.last_mut().unwrap() ^= 1;
    folder.write("BASE/model.safetensors", weights);
    let message = train(&folder, "TUNED", "--checkpoint-every 5 --resume").refusal();
    assert!(message.contains("when the training began, and is"), "{message}");
}

#[test]
fn a_new_training_does_not_remove_what_another_has_saved() {
    let folder = interrupted();
    let message = train(&folder, "TUNED", "--checkpoint-every 5").refusal();
    assert!(message.contains("TUNED.checkpoints: contains checkpoints of an unfinished training"), "{message}");
    assert!(message.contains("\nhint: --resume continues from there"), "{message}");
}

#[test]
fn two_trainings_do_not_share_a_folder() {
    let folder = start();
    let mut running = train(&folder, "TUNED", "--checkpoint-every 1").start();
    running.take_lines(3);
    running.signal(Signal::STOP);
    let message = train(&folder, "TUNED", "--checkpoint-every 1 --resume").refusal();
    assert!(message.contains("TUNED.checkpoints: another training saves its checkpoints here\nhint: "), "{message}");
    running.signal(Signal::KILL);
    let _ = running.end().with_code(137);
    train(&folder, "TUNED", "--checkpoint-every 1 --resume").done();
}
