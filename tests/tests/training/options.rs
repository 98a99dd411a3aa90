//! Promises that every training keeps, tested with every flag of mnrl-train: a flag without a row here fails.
//!
//! Each is a promise about many steps. A network that always computes with the weights of its first step has the right
//! first loss and the right first gradient.

use std::collections::{BTreeMap, BTreeSet};

use embtune_tests::{Folder, Signal};

use crate::losses;
use crate::scored;
use crate::weights::tensors_of;

/// Which weights a training changes.
#[derive(Debug, Clone, Copy)]
enum Moves {
    /// All of them.
    All,
    /// All but those whose names begin with one of these.
    Not(&'static [&'static str]),
    /// Those whose names end with one of these.
    Only(&'static [&'static str]),
}

/// The effect of a flag on a training.
#[derive(Debug, Clone, Copy)]
enum Effect {
    /// It changes the training; these flags show it.
    Trains(&'static str, Moves),
    /// The same, but the saved weights are not those of the last step.
    Mixes(&'static str),
    /// It does not affect the computation, or it is in the command line of all rows.
    None,
}

use Effect::{Mixes, None as Nothing, Trains};

const DEV: &str = "--dev-queries dev/queries.jsonl --dev-corpus corpus.jsonl --dev-qrels dev/qrels.tsv";
const EMBEDDINGS: Moves = Moves::Not(&["embeddings."]);
const FIRST_LAYER: Moves = Moves::Not(&["embeddings.", "encoder.layer.0."]);
const ADAPTED: Moves = Moves::Only(&["query.weight", "intermediate.dense.weight"]);

/// Every flag, with the command-line flags that show its effect.
const FLAGS: &[(&str, &[Effect])] = &[
    // Flags in the command line of all rows, and those for files, messages and processes.
    ("--model", &[Trains("", Moves::All)]),
    ("--learning-rate", &[Nothing]),
    ("--epochs", &[Nothing]),
    ("--out", &[Nothing]),
    ("--overwrite", &[Nothing]),
    ("--device", &[Nothing]),
    ("--ort-library", &[Nothing]),
    ("--offline", &[Nothing]),
    ("--checkpoint-every", &[Nothing]),
    ("--checkpoint-dir", &[Nothing]),
    ("--keep", &[Nothing]),
    ("--resume", &[Nothing]),
    ("--tensorboard", &[Nothing]),
    ("--plan", &[Nothing]),
    ("--dist-timeout", &[Nothing]),
    ("--quiet", &[Nothing]),
    ("--verbose", &[Nothing]),
    ("--log-format", &[Nothing]),
    ("--help", &[Nothing]),
    ("--version", &[Nothing]),
    // Data.
    ("--weights", &[Trains("--weights 0.5", Moves::All)]),
    ("--batch-from", &[Trains("--batch-from mixed", Moves::All)]),
    ("--no-duplicates", &[Trains("--no-duplicates", Moves::All)]),
    ("--no-mask", &[Trains("--no-mask", Moves::All)]),
    // Training.
    ("--batch-size", &[Trains("--batch-size 24", Moves::All)]),
    (
        "--gradient-accumulation",
        &[
            Trains("--gradient-accumulation 3", Moves::All),
            Trains("--gradient-accumulation 2 --precision bf16", Moves::All),
        ],
    ),
    ("--dropout", &[Trains("--dropout 0.2", Moves::All)]),
    ("--seed", &[Trains("--seed 7", Moves::All)]),
    // Loss.
    (
        "--loss",
        &[
            Trains("--loss symmetric", Moves::All),
            Trains("--loss triplet", Moves::All),
            Trains("--loss contrastive", Moves::All),
            Trains("--loss cosent", Moves::All),
            Trains("--loss margin-mse", Moves::All),
            Trains("--loss gist", Moves::All),
        ],
    ),
    ("--scale", &[Trains("--scale 5", Moves::All), Trains("--loss gist --scale 10", Moves::All)]),
    ("--similarity", &[Trains("--similarity dot --scale 0.1", Moves::All)]),
    ("--directions", &[Trains("--directions q2d,d2q,q2q,d2d", Moves::All)]),
    ("--margin", &[Trains("--loss triplet --margin 1", Moves::All)]),
    ("--distance", &[Trains("--loss triplet --distance cosine --margin 0.5", Moves::All)]),
    ("--margin-strategy", &[Trains("--loss gist --margin-strategy relative --margin 0.1", Moves::All)]),
    (
        "--matryoshka",
        &[
            Trains("--matryoshka 32,16", Moves::All),
            Trains("--matryoshka 32,8 --precision bf16 --lora r=4,targets=query,intermediate.dense", ADAPTED),
        ],
    ),
    // Optimizer.
    ("--schedule", &[Trains("--schedule cosine", Moves::All), Trains("--schedule linear", Moves::All)]),
    ("--warmup-steps", &[Trains("--warmup-steps 3", Moves::All)]),
    ("--warmup-ratio", &[Trains("--warmup-ratio 0.2", Moves::All)]),
    ("--weight-decay", &[Trains("--weight-decay 0.1", Moves::All)]),
    ("--max-grad-norm", &[Trains("--max-grad-norm 0.1", Moves::All), Trains("--max-grad-norm 0", Moves::All)]),
    ("--layer-decay", &[Trains("--layer-decay 0.5", Moves::All), Trains("--layer-decay 0", FIRST_LAYER)]),
    (
        "--freeze",
        &[
            Trains("--freeze embeddings", EMBEDDINGS),
            Trains("--freeze layers:1", FIRST_LAYER),
            Trains("--freeze layers:1 --precision bf16", FIRST_LAYER),
        ],
    ),
    (
        "--lora",
        &[
            Trains("--lora r=4,targets=query,intermediate.dense", ADAPTED),
            Trains("--lora r=4,targets=query,intermediate.dense --precision bf16", ADAPTED),
            Trains("--lora r=4,targets=query,intermediate.dense --memory 1K --batch-tokens 256", ADAPTED),
        ],
    ),
    ("--ema", &[Mixes("--ema 0.7"), Mixes("--ema 0.7 --precision bf16")]),
    ("--merge-base", &[Mixes("--merge-base 0.3")]),
    // Dev set. The best of several models is saved, which need not be the last.
    ("--dev-queries", &[Mixes(DEV)]),
    ("--dev-corpus", &[Nothing]),
    ("--dev-qrels", &[Nothing]),
    ("--eval-every", &[Nothing]),
    ("--metric", &[Nothing]),
    ("--patience", &[Nothing]),
    // Engine.
    ("--precision", &[Trains("--precision bf16", Moves::All)]),
    ("--batch-tokens", &[Trains("--batch-tokens 128", Moves::All)]),
    ("--memory", &[Trains("--memory 1K", Moves::All), Trains("--memory 1K --precision bf16", Moves::All)]),
    ("--threads", &[Trains("--threads 1", Moves::All)]),
];

/// The rows with an effect on the computation.
fn rows() -> impl Iterator<Item = (&'static str, Option<Moves>)> {
    FLAGS.iter().flat_map(|(_, effects)| *effects).filter_map(|effect| match *effect {
        Trains(flags, moves) => Some((flags, Some(moves))),
        Mixes(flags) => Some((flags, None)),
        Nothing => None,
    })
}

/// A folder with a model, pairs that suit every loss, and a dev set.
fn folder() -> Folder {
    let folder = scored();
    folder.run("pairs2shards --model BASE --holdout 0.3 --holdout-dir dev pairs.jsonl -o rest.safetensors").done();
    folder
}

/// A training's command line, with defaults for what `flags` does not have.
fn command(model: &str, out: &str, flags: &str) -> String {
    let mut line = format!("mnrl-train --device cpu --model {model} --out {out} {flags} train.safetensors");
    let usual = [
        ("--epochs", "3"),
        ("--batch-size", "16"),
        ("--learning-rate", "1e-3"),
        ("--schedule", "constant"),
        ("--threads", "2"),
    ];
    for (flag, value) in usual {
        if !flags.contains(flag) {
            line = format!("{line} {flag} {value}");
        }
    }
    if flags.contains("--warmup") { line } else { format!("{line} --warmup-steps 0") }
}

fn weights(folder: &Folder, model: &str) -> BTreeMap<String, Vec<f32>> {
    tensors_of(folder, &format!("{model}/model.safetensors")).into_iter().collect()
}

/// Names of the tensors that are not the base model's, and of all tensors.
fn changed(folder: &Folder, model: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (base, tuned) = (weights(folder, "BASE"), weights(folder, model));
    let changed = tuned.iter().filter(|(name, values)| base[*name] != **values).map(|(name, _)| name.clone());
    (changed.collect(), base.into_keys().collect())
}

fn mean(steps: &[(u64, f64)]) -> f64 {
    steps.iter().map(|(_, loss)| loss).sum::<f64>() / steps.len() as f64
}

#[test]
fn every_flag_has_a_row() {
    let help = Folder::new().run("mnrl-train --help").stdout();
    // Other lines mention flags, too, but do not begin with one.
    let is_flag = |line: &&str| line.starts_with("      --") || line.starts_with("  -") && line.contains(", --");
    let names = help.lines().filter(is_flag).filter_map(|line| {
        let start = line.find("--")?;
        Some(line[start..].split([' ', '.', '=', '[']).next()?.to_owned())
    });
    let known: BTreeSet<_> = FLAGS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let found: BTreeSet<_> = names.collect();
    assert!(found.len() > 40, "{found:?}");
    assert_eq!(found.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "flags without a row");
    assert_eq!(known.difference(&found).collect::<Vec<_>>(), Vec::<&String>::new(), "rows without a flag");
}

#[test]
fn a_training_learns_and_moves_what_it_should() {
    let folder = folder();
    for (flags, moves) in rows() {
        let ran = folder.run(&command("BASE", "TUNED", &format!("--overwrite {flags}"))).done();
        let steps = losses(&ran.stdout());
        let part = steps.len() / 3;
        let (first, last) = (mean(&steps[..part]), mean(&steps[steps.len() - part..]));
        assert!(last < first, "{flags}: the mean loss is {first} at first and {last} in the end\n{ran}");
        let (changed, all) = changed(&folder, "TUNED");
        let expected = all.into_iter().filter(|name| match moves.unwrap_or(Moves::All) {
            _ if name.starts_with("pooler.") => false,
            Moves::All => true,
            Moves::Not(parts) => !parts.iter().any(|part| name.starts_with(part)),
            Moves::Only(parts) => parts.iter().any(|part| name.ends_with(part)),
        });
        assert_eq!(changed, expected.collect(), "{flags}: what has changed");
    }
}

#[test]
fn without_a_learning_rate_nothing_moves() {
    let folder = folder();
    let base = weights(&folder, "BASE");
    for (flags, _) in rows() {
        let flags = format!("--learning-rate 0 --epochs 1 --overwrite {flags}");
        folder.run(&command("BASE", "TUNED", &flags)).done();
        for (name, values) in weights(&folder, "TUNED") {
            // Two shares of one value need not add up to it exactly.
            let slack = if flags.contains("--merge-base") { 1e-6 } else { 0.0 };
            let moved = values.iter().zip(&base[&name]).any(|(a, b)| (a - b).abs() > slack * b.abs());
            assert!(!moved, "{flags}: {name} has changed");
        }
    }
}

/// A resumed process builds its network from the weights in a checkpoint, so anything else that a network keeps of
/// earlier steps would show.
#[test]
fn a_step_is_that_of_a_new_network_with_the_same_weights() {
    let folder = folder();
    for (flags, _) in rows() {
        let whole = folder.run(&command("BASE", "WHOLE", &format!("--overwrite {flags}"))).done();
        let flags = format!("--overwrite --checkpoint-every 1000 {flags}");
        let mut running = folder.run(&command("BASE", "RESUMED", &flags)).start();
        running.take_lines(4);
        running.signal(Signal::INT);
        let _ = running.end().with_code(130);
        let resumed = folder.run(&command("BASE", "RESUMED", &format!("--resume {flags}"))).done();
        let (whole, resumed) = (losses(&whole.stdout()), losses(&resumed.stdout()));
        assert!(!resumed.is_empty() && resumed.len() < whole.len() && whole.ends_with(&resumed), "{flags}: losses");
        let file = |model: &str| folder.bytes(&format!("{model}/model.safetensors"));
        assert!(file("WHOLE") == file("RESUMED"), "{flags}: other weights");
    }
}

/// The loss of the next step would be the loss of the saved weights: with all pairs in each batch and without
/// dropout, a training with one more step shows it.
#[test]
fn the_saved_model_is_the_network_that_was_trained() {
    let folder = folder();
    for (flags, moves) in rows() {
        if moves.is_none() || flags.contains("--dropout") || flags.contains("--batch-size") {
            continue;
        }
        // With these, six steps are not the first six of seven, or a batch cannot have all pairs.
        if ["--schedule", "--warmup", "--weights", "--no-duplicates"].iter().any(|flag| flags.contains(flag)) {
            continue;
        }
        let flags = format!("--batch-size 1000 --dropout 0 --overwrite {flags}");
        folder.run(&command("BASE", "SIX", &format!("--epochs 6 {flags}"))).done();
        let seven = folder.run(&command("BASE", "SEVEN", &format!("--epochs 7 {flags}"))).done();
        let expected = losses(&seven.stdout())[6].1;
        let without_lora: Vec<_> = flags.split(' ').collect();
        let lora = without_lora.iter().position(|word| *word == "--lora");
        let rest =
            without_lora.iter().enumerate().filter(|(at, _)| lora.is_none_or(|lora| *at != lora && *at != lora + 1));
        let flags = rest.map(|(_, word)| *word).collect::<Vec<_>>().join(" ");
        let next = folder.run(&command("SIX", "NEXT", &format!("--epochs 1 --learning-rate 0 {flags}"))).done();
        let found = losses(&next.stdout())[0].1;
        // In bf16, a merged change is rounded together with the weights.
        let slack = if flags.contains("bf16") { 1e-2 } else { 1e-5 };
        assert!((found - expected).abs() <= slack * expected, "{flags}: {found}, expected {expected}");
    }
}
