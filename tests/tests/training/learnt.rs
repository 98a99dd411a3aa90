//! A saved model has been trained, with every loss, and a training that learnt nothing is reported.

use embtune_tests::{Folder, Ran};

use crate::dev::DEV;
use crate::scored;
use crate::{losses, start, train, weights};

/// Replaces the pairs by `count` questions with the answers of `answer`.
fn pairs(folder: &Folder, count: usize, answer: impl Fn(usize) -> String) {
    let words = ["hail", "roof", "sand", "mice", "seam", "lift", "cells", "ballast"];
    let pair = |n: usize| format!("{{\"anchor\":\"what {} {n}\",\"positive\":\"{}\"}}\n", words[n % 8], answer(n));
    folder.write("own.jsonl", (0..count).map(pair).collect::<String>());
    folder.run("pairs2shards --model BASE --near-duplicate 1 own.jsonl -o train.safetensors").done();
}

/// The message of a training that fails at its end.
fn failure(folder: &Folder, command: &str) -> String {
    folder.run(command).ran().with_code(2).stderr()
}

/// The number after "final loss".
fn final_loss(ran: &Ran) -> f64 {
    let stderr = ran.stderr();
    let text = stderr.split("final loss ").nth(1).unwrap();
    text.split([':', ',']).next().unwrap().parse().unwrap()
}

#[test]
fn a_training_without_a_negative_is_an_error() {
    let folder = start();
    // Every question has the same answer.
    pairs(&folder, 40, |_| "the same".into());
    for (flags, warnings) in [("--epochs 1", 0), ("--epochs 2", 1), ("--epochs 1 --loss symmetric", 0)] {
        let command = "mnrl-train --device cpu --threads 2 --model BASE --batch-size 16 --warmup-steps 0 --out TUNED";
        let message = failure(&folder, &format!("{command} {flags} train.safetensors"));
        let what = "no step had a negative, so nothing was learnt\nhint: the negatives of a pair are the other pairs";
        assert_eq!(message.matches(what).count(), warnings + 1, "{message}");
        assert!(message.contains("the weights are still the base model's, and are not saved: no step"), "{message}");
        assert!(!folder.listing().contains(&"TUNED/".into()), "{message}");
    }
    // With --no-mask they are negatives.
    train(&folder, "TUNED", "--no-mask").done();
    pairs(&folder, 40, |n| format!("answer {n}"));
    let command = "mnrl-train --device cpu --model BASE --batch-size 1 --warmup-steps 0 --out ONE train.safetensors";
    let message = failure(&folder, command);
    assert!(message.contains("no step had a negative") && message.contains("raise --batch-size"), "{message}");
}

#[test]
fn a_single_last_pair_is_reported_and_does_not_count() {
    let folder = start();
    pairs(&folder, 33, |n| format!("answer {n}"));
    let ran = train(&folder, "TUNED", "").done();
    let all = losses(&ran.stdout());
    assert_eq!(all.iter().filter(|(_, loss)| *loss == 0.0).count(), 6, "one an epoch\n{ran}");
    let ran = ran.saying("6 of 18 batches had nothing to compare, such as a single pair or pairs that are all masked");
    let last: Vec<f64> = all[all.len() - 3..].iter().map(|(_, loss)| *loss).filter(|loss| *loss > 0.0).collect();
    assert_eq!(last.len(), 2);
    assert!((final_loss(&ran) - (last[0] + last[1]) / 2.0).abs() < 1e-4, "{last:?}\n{ran}");
    let card = folder.read("TUNED/README.md");
    assert!(card.contains(&format!("| final loss | {:.4} |", final_loss(&ran))), "{card}");
}

#[test]
fn the_final_loss_is_the_mean_over_the_pairs_of_the_last_epoch() {
    let folder = start();
    pairs(&folder, 40, |n| format!("answer {n}"));
    let ran = train(&folder, "TUNED", "--gradient-accumulation 1").done();
    let losses = losses(&ran.stdout());
    let last: Vec<f64> = losses[losses.len() - 3..].iter().map(|(_, loss)| *loss).collect();
    let expected = (last[0] * 16.0 + last[1] * 16.0 + last[2] * 8.0) / 40.0;
    assert!((final_loss(&ran) - expected).abs() < 1e-4, "{last:?}\n{ran}");
    // It is the same after an interruption.
    let mut running = train(&folder, "BROKEN", "--checkpoint-every 1").start();
    running.take_lines(17);
    running.signal(embtune_tests::Signal::INT);
    let _ = running.end().with_code(130);
    let resumed = train(&folder, "BROKEN", "--resume").done();
    assert_eq!(final_loss(&resumed), final_loss(&ran), "{resumed}");
}

#[test]
fn weights_that_did_not_move_are_an_error() {
    let folder = start();
    let command = "mnrl-train --device cpu --threads 2 --model BASE --out TUNED --batch-size 16 --epochs 1";
    for (flags, expected) in [
        ("--learning-rate 1e-40 --warmup-steps 0", "10 steps did not change a weight\nhint: raise --learning-rate"),
        ("--learning-rate 1e-40 --warmup-steps 0 --lora r=4", "10 steps did not change a weight"),
        (
            "--batch-size 1000 --warmup-steps 9",
            "the learning rate was 0 in all of the training (1 step)\nhint: lower --warmup-steps",
        ),
    ] {
        let command =
            if flags.contains("--batch-size") { command.replace("--batch-size 16", "") } else { command.into() };
        let message = failure(&folder, &format!("{command} {flags} train.safetensors"));
        assert!(message.contains("the weights are still the base model's, and are not saved: "), "{message}");
        assert!(message.contains(expected), "{message}");
        assert!(!folder.listing().iter().any(|name| name.contains("TUNED")), "{message}");
    }
    // The learning rate is explicitly 0, which is reported.
    let ran = train(&folder, "TUNED", "--learning-rate 0").done();
    let ran = ran.saying("--learning-rate is 0: the saved model has the base model's weights");
    assert!(weights(&folder, "TUNED") == weights(&folder, "BASE"), "{ran}");
}

#[test]
fn a_base_model_that_stays_the_best_is_saved_and_named() {
    let folder = start();
    // Each document is its own query, so nothing can be gained.
    let texts: String = ["hail", "sand", "a lift of many cells"]
        .iter()
        .enumerate()
        .map(|(id, text)| format!("{{\"_id\":\"{id}\",\"text\":\"{}\"}}\n", format!("{text} ").repeat(10)))
        .collect();
    folder.write("dev.jsonl", texts);
    folder.write("dev.tsv", "0\t0\t1\n1\t1\t1\n2\t2\t1\n");
    let dev = "--dev-queries dev.jsonl --dev-corpus dev.jsonl --dev-qrels dev.tsv";
    let ran = train(&folder, "TUNED", dev).done();
    let ran = ran.saying("no evaluation was better than the base model's ndcg@10 1.0000");
    assert!(ran.stderr().contains(": the saved model has the base model's weights\nhint: "), "{ran}");
    assert!(weights(&folder, "TUNED") == weights(&folder, "BASE"), "{ran}");
}

#[test]
fn a_last_step_that_spoils_the_weights_saves_nothing() {
    let folder = start();
    let command = "mnrl-train --device cpu --model BASE --out TUNED --batch-size 1000 --epochs 1 --warmup-steps 0";
    let message = failure(&folder, &format!("{command} --weight-decay 1e300 train.safetensors"));
    assert!(
        message.contains("holds NaN or infinity: the training has diverged, nothing is saved\nhint: "),
        "{message}"
    );
    assert!(!folder.listing().iter().any(|name| name.contains("TUNED")), "{message}");
}

#[test]
fn senseless_flags_are_refused() {
    let folder = start();
    for (flags, expected) in [
        ("--layer-decay 1.5", "expected a number from 0 to 1"),
        ("--layer-decay=-0.1", "expected a number from 0 to 1"),
        ("--lora r=4,r=8", "r is given twice"),
        ("--lora r=18446744073709551615", "is not a number from 1 to"),
        ("--threads 4294967296", "expected a number from 1 to 1024"),
        ("--dropout 1.5", "expected a number from 0 to less than 1"),
        ("--ema NaN", "expected a number from 0 to less than 1"),
        ("--learning-rate=inf", "expected a number that is not negative"),
    ] {
        let message = folder.run(&format!("mnrl-train --model BASE --out TUNED {flags} train.safetensors")).refusal();
        assert!(message.contains(expected), "{flags}: {message}");
    }
}

#[test]
fn a_norm_of_0_clips_nothing() {
    let folder = start();
    for (out, norm) in [("NONE", "0"), ("HUGE", "1e30"), ("ONE", "1")] {
        train(&folder, out, &format!("--max-grad-norm {norm}")).done();
    }
    assert!(weights(&folder, "NONE") == weights(&folder, "HUGE"), "0 clips nothing");
    assert!(weights(&folder, "NONE") != weights(&folder, "ONE"), "1 does");
    assert!(folder.read("NONE/README.md").contains("gradient not clipped"));
    assert!(folder.read("ONE/README.md").contains("gradient norm at most 1"));
    for norm in ["-1", "NaN", "inf"] {
        let message = train(&folder, "BAD", &format!("--max-grad-norm={norm}")).refusal();
        assert!(message.contains("--max-grad-norm"), "{message}");
    }
}

#[test]
fn invalid_dropout_is_refused() {
    let folder = start();
    let config = folder.read("BASE/config.json");
    for key in ["hidden_dropout_prob", "attention_probs_dropout_prob"] {
        let before = format!("\"{key}\": 0.1");
        assert!(config.contains(&before), "{config}");
        for share in ["1.5", "-0.5", "1e300", "1"] {
            folder.write("BASE/config.json", config.replace(&before, &format!("\"{key}\": {share}")));
            let message = train(&folder, "TUNED", "").refusal();
            let expected = format!("mnrl-train: BASE/config.json: {key} is ");
            assert!(message.starts_with(&expected), "{message}");
            assert!(message.contains(", expected a number from 0 to less than 1\nhint: correct it"), "{message}");
            // The saved model would get the same file, which sentence-transformers refuses.
            assert!(train(&folder, "TUNED", "--dropout 0.1").refusal().starts_with(&expected));
        }
    }
}

#[test]
fn a_missing_onnx_runtime_is_reported() {
    let folder = start();
    let command = crate::command("TUNED", DEV);
    for library in ["/nowhere/libonnxruntime.so", "train.safetensors"] {
        let ran = folder.run(&format!("env ORT_DYLIB_PATH={library} {command} --overwrite")).done();
        let what = "the saved model was verified with libtorch instead of ONNX Runtime, which embed uses: ";
        let ran = ran.saying(what).saying(library);
        assert!(ran.stderr().contains(": saved TUNED"), "{ran}");
    }
    let ran = train(&folder, "SAME", DEV).done();
    assert!(!ran.stderr().contains("with libtorch"), "{ran}");
    assert!(weights(&folder, "SAME") == weights(&folder, "TUNED"));
    let ran = train(&folder, "TOLD", &format!("{DEV} -v")).done();
    let _ = ran.saying("TOLD: opened again, it has ndcg@10 0.");
}

#[test]
fn weights_that_cannot_be_saved_are_kept_in_a_checkpoint() {
    let folder = scored();
    let command = "mnrl-train --device cpu --threads 1 --model BASE --batch-size 16 --warmup-steps 2 --epochs 1";
    folder.run(&format!("{command} --out WHOLE train.safetensors")).done();
    // The name becomes occupied while the training runs.
    let mut running = folder.run(&format!("{command} --out TUNED train.safetensors")).start();
    running.take_lines(1);
    std::fs::create_dir(folder.path("TUNED")).unwrap();
    folder.write("TUNED/precious", "x");
    let ran = running.end().with_code(2).saying("TUNED: exists and is not a model directory; it is left alone");
    let _ = ran.saying("the trained weights are kept in TUNED.checkpoints: --resume tries again to save them");
    std::fs::remove_dir_all(folder.path("TUNED")).unwrap();
    let ran = folder.run(&format!("{command} --out TUNED --resume train.safetensors")).done();
    assert!(losses(&ran.stdout()).is_empty(), "not a step again\n{ran}");
    assert!(weights(&folder, "TUNED") == weights(&folder, "WHOLE"), "other weights");
    assert!(!folder.listing().iter().any(|name| name.contains("checkpoints")), "{ran}");
}

#[test]
fn labels_that_the_loss_does_not_read_are_reported() {
    let folder = start();
    let pair = |n: usize| format!("{{\"anchor\":\"what {n}\",\"positive\":\"answer {n}\",\"label\":{}}}\n", n % 2);
    folder.write("own.jsonl", (0..40).map(pair).collect::<String>());
    folder.run("pairs2shards --model BASE --near-duplicate 1 own.jsonl -o train.safetensors").done();
    let warning = "20 pairs have the label 0, which --loss mnrl does not read: their positives are trained as answers";
    let _ = train(&folder, "TUNED", "").done().saying(warning);
    let ran = train(&folder, "TUNED", "--overwrite --loss contrastive").done();
    assert!(!ran.stderr().contains("label 0"), "{ran}");
}

#[test]
fn a_training_that_diverges_saves_nothing() {
    let folder = start();
    let before = folder.listing();
    let ran = train(&folder, "TUNED", "--learning-rate 1e30 --warmup-steps 0").ran().with_code(2);
    assert_eq!(ran.listing, before, "{ran}");
    let message = ran.stderr();
    assert!(message.contains("mnrl-train: step ") && message.contains("hint: lower --learning-rate"), "{ran}");
    assert!(!ran.stdout().contains("NaN") && !ran.stdout().contains("null"), "the log has numbers only\n{ran}");
}

#[test]
fn every_loss_trains() {
    let folder = scored();
    for loss in [
        "mnrl",
        "mnrl --directions q2d,d2q,q2q,d2d",
        "mnrl --matryoshka 32,16",
        "symmetric",
        "triplet --margin 1",
        "contrastive",
        "cosent",
        "margin-mse",
        "gist --matryoshka 32,8",
    ] {
        let flags = "--epochs 4 --batch-size 16 --learning-rate 1e-3 --warmup-steps 2 --no-duplicates";
        let command = "mnrl-train --device cpu --threads 2 --model BASE --out TUNED --overwrite";
        let ran = folder.run(&format!("{command} {flags} --loss {loss} train.safetensors")).done();
        let steps = losses(&ran.stdout());
        let mean = |part: &[(u64, f64)]| part.iter().map(|(_, loss)| loss).sum::<f64>() / part.len() as f64;
        let quarter = steps.len() / 4;
        let (first, last) = (mean(&steps[..quarter]), mean(&steps[steps.len() - quarter..]));
        assert!(last < first, "{loss}: the mean loss of the first epoch is {first}, of the last {last}\n{ran}");
    }
}
