//! Long trainings with mnrl-train: no work is lost, and no bad weights are saved.

mod dev;
mod distributed;
mod learnt;
mod lost;
mod options;
mod prompts;
mod resume;
mod trajectories;
mod weights;

use embtune_tests::{Folder, Run};
use serde_json::Value;

/// The number of steps: six epochs of ten, which take a second or two.
pub(crate) const STEPS: u64 = 60;
const TRAIN: &str = "mnrl-train --device cpu --threads 2 --model BASE --epochs 6 --batch-size 16";

/// A folder with a model, training pairs, a held-out split and the documents.
pub(crate) fn start() -> Folder {
    let folder = Folder::with_corpus("tiny-bert");
    folder.run("docs2queries --generator extractive -n 5 corpus.jsonl -o pairs.jsonl").done();
    folder.run("pairs2shards --model BASE --document-max-length 64 --holdout 0.2 --holdout-dir heldout pairs.jsonl -o train.safetensors").done();
    folder
}

/// The command line of the training, with additional flags.
pub(crate) fn command(out: &str, flags: &str) -> String {
    let rate = if flags.contains("--learning-rate") { "" } else { "--learning-rate 2e-3 --warmup-steps 4" };
    format!("{TRAIN} {rate} --out {out} {flags} train.safetensors")
}

/// The training, with additional flags.
pub(crate) fn train(folder: &Folder, out: &str, flags: &str) -> Run {
    folder.run(&command(out, flags))
}

/// The weights that were saved.
pub(crate) fn weights(folder: &Folder, out: &str) -> Vec<u8> {
    folder.bytes(&format!("{out}/model.safetensors"))
}

/// The names of the files in the checkpoints' folder of a training.
pub(crate) fn checkpoints(folder: &Folder, out: &str) -> Vec<String> {
    let folder_name = format!("{out}.checkpoints/");
    let names = folder.listing().into_iter().filter_map(|name| Some(name.strip_prefix(&folder_name)?.to_owned()));
    names.filter(|name| !name.is_empty()).collect()
}

/// Number and loss of each step in the log.
pub(crate) fn losses(log: &str) -> Vec<(u64, f64)> {
    let records = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter_map(|record| Some((record["step"].as_u64()?, record["loss"].as_f64()?))).collect()
}

/// A folder with pairs that have two negatives and scores from `mine-negatives`, and a shard of them with a guide's
/// vectors.
pub(crate) fn scored() -> Folder {
    let folder = Folder::with_corpus("tiny-bert");
    folder.run("docs2queries --generator extractive -n 3 corpus.jsonl -o pairs.jsonl").done();
    for (texts, role, out) in
        [("--field anchor --id anchor_id pairs.jsonl", "query", "q"), ("corpus.jsonl", "document", "c")]
    {
        folder.run(&format!("embed --device cpu --model BASE --role {role} {texts} -o {out}.safetensors")).done();
    }
    let files = "--queries q.safetensors --corpus c.safetensors";
    folder
        .run(&format!("mine-negatives --device cpu {files} --texts corpus.jsonl -n 2 pairs.jsonl -o hard.jsonl"))
        .done();
    let guide = "--guide-queries q.safetensors --guide-corpus c.safetensors";
    folder
        .run(&format!("pairs2shards --model BASE --document-max-length 48 {guide} hard.jsonl -o train.safetensors"))
        .done();
    folder
}
