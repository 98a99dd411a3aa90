//! A training that is killed and resumed becomes the same model, byte by byte.

use embtune_tests::{Folder, Signal};

use crate::start::{STEPS, checkpoints, command, losses, start, train, weights};

/// Trains until the metrics have so many lines, then kills the process.
fn kill_after(lines: usize, folder: &Folder, out: &str, flags: &str) {
    let mut running = train(folder, out, flags).start();
    running.take_lines(lines);
    running.signal(Signal::KILL);
    let ran = running.end().with_code(137);
    assert!(!ran.listing.contains(&format!("{out}/")), "no model yet\n{ran}");
}

#[test]
fn at_any_moment() {
    let folder = start();
    let whole = losses(&train(&folder, "WHOLE", "").stdout());
    assert_eq!(whole.len() as u64, STEPS);
    // Before the first checkpoint, at one, behind one, in a later epoch.
    for lines in [1, 5, 8, 34] {
        let out = format!("KILLED{lines}");
        kill_after(lines, &folder, &out, "--checkpoint-every 5");
        let ran = train(&folder, &out, "--checkpoint-every 5 --resume").done();
        let resumed = losses(&ran.stdout());
        let first = whole.len() - resumed.len();
        assert!(first.is_multiple_of(5) && first + 5 >= lines, "goes on behind step {first}\n{ran}");
        assert!(resumed == whole[first..], "other losses\n{ran}");
        assert!(weights(&folder, &out) == weights(&folder, "WHOLE"), "other weights\n{ran}");
        assert!(!ran.listing.contains(&format!("{out}.checkpoints/")), "checkpoints are left\n{ran}");
    }
}

#[test]
fn again_and_again_while_it_saves() {
    let folder = start();
    train(&folder, "WHOLE", "").done();
    // A checkpoint at every step: most of the time is spent in writing them.
    for (number, lines) in [7, 12, 9].into_iter().enumerate() {
        let resume = if number > 0 { "--resume" } else { "" };
        kill_after(lines, &folder, "KILLED", &format!("--checkpoint-every 1 --keep 1 {resume}"));
    }
    train(&folder, "KILLED", "--checkpoint-every 1 --keep 1 --resume").done();
    assert!(weights(&folder, "KILLED") == weights(&folder, "WHOLE"));
}

#[test]
fn and_a_damaged_checkpoint_costs_only_its_steps() {
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
fn and_a_full_disk_costs_nothing() {
    let folder = start();
    train(&folder, "WHOLE", "").done();
    kill_after(12, &folder, "KILLED", "--checkpoint-every 5");
    let before: Vec<_> = checkpoints(&folder, "KILLED").into_iter().filter(|name| !name.starts_with('.')).collect();
    assert!(!before.is_empty());
    // No file may be longer than 16 KiB, so none of the checkpoints can be written.
    let line = command("KILLED", "--checkpoint-every 5 --resume");
    let ran = folder.shell(&format!("trap '' XFSZ; ulimit -f 16; {line}")).ran().with_code(2);
    let ran = ran.saying("mnrl-train: KILLED.checkpoints/step-").saying("File too large");
    assert_eq!(checkpoints(&folder, "KILLED"), before, "{ran}");
    train(&folder, "KILLED", "--checkpoint-every 5 --resume").done();
    assert!(weights(&folder, "KILLED") == weights(&folder, "WHOLE"));
}
