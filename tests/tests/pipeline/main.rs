//! The whole pipeline with small models, from documents to the report.

mod chain;
mod embed;
mod forms;
mod leaks;
mod sets;
mod types;

use embtune_tests::Folder;
use serde_json::Value;

/// Flags with which a small model learns something from a few hundred pairs.
const TRAINING: &str = "--epochs 6 --batch-size 16 --learning-rate 2e-3 --warmup-steps 4 --threads 1";

/// A folder in which all stages have run.
pub(crate) fn whole(model: &str) -> Folder {
    let folder = Folder::with_corpus(model);
    folder.run("docs2queries --generator extractive -n 5 corpus.jsonl -o pairs.jsonl").done();
    embed(&folder, "BASE", "query", "--field anchor --id anchor_id pairs.jsonl", "anchors.safetensors");
    embed(&folder, "BASE", "document", "corpus.jsonl", "BASE.c.safetensors");
    let mine =
        "mine-negatives --device cpu --queries anchors.safetensors --corpus BASE.c.safetensors --texts corpus.jsonl";
    folder.run(&format!("{mine} -n 2 --holdout 0.2 pairs.jsonl -o mined.jsonl")).done();
    folder.run("pairs2shards --model BASE --document-max-length 64 --holdout 0.2 --holdout-dir heldout mined.jsonl -o train.safetensors").done();
    let train = format!("mnrl-train --device cpu --model BASE --out TUNED {TRAINING} train.safetensors");
    folder.write("log.jsonl", folder.run(&train).stdout());
    embed(&folder, "TUNED", "document", "corpus.jsonl", "TUNED.c.safetensors");
    for model in ["BASE", "TUNED"] {
        embed(&folder, model, "query", "heldout/queries.jsonl", &format!("{model}.q.safetensors"));
    }
    let systems = ["base=BASE.q.safetensors,BASE.c.safetensors", "tuned=TUNED.q.safetensors,TUNED.c.safetensors"];
    let evaluate = format!("ir-eval --device cpu --qrels heldout/qrels.tsv --run {{}}.run {}", systems.join(" "));
    folder.run(&format!("{evaluate} --format tsv -o report.tsv")).done();
    folder
}

fn embed(folder: &Folder, model: &str, role: &str, texts: &str, output: &str) {
    folder.run(&format!("embed --device cpu --model {model} --role {role} {texts} -o {output}")).done();
}

/// The records of JSON Lines.
pub(crate) fn records(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The mean loss of the first and of the last epoch, from a log of six epochs.
pub(crate) fn losses(log: &str) -> (f64, f64) {
    let losses: Vec<f64> = records(log).iter().map(|step| step["loss"].as_f64().unwrap()).collect();
    let steps = losses.len() / 6;
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    (mean(&losses[..steps]), mean(&losses[losses.len() - steps..]))
}
