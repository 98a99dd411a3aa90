//! What a training is not resumed with.

use embtune_tests::{Folder, Signal};

use crate::start::{start, train};

/// A folder with the checkpoints of a training that was interrupted.
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
    // How often it is saved changes nothing.
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
