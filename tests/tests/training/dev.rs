//! The dev set: the best model is saved.

use embtune_tests::{Folder, Signal};
use serde_json::Value;

use crate::{losses, start, train, weights};

pub(crate) const DEV: &str =
    "--dev-queries heldout/queries.jsonl --dev-corpus corpus.jsonl --dev-qrels heldout/qrels.tsv";

/// The figures of a metric in the log, with their steps.
pub(crate) fn figures(log: &str, metric: &str) -> Vec<(u64, f64)> {
    let records = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter_map(|record| Some((record["step"].as_u64()?, record.get(metric)?.as_f64()?))).collect()
}

/// A model's metric, measured with `embed` and `ir-eval`.
pub(crate) fn measured(folder: &Folder, model: &str, metric: &str) -> f64 {
    for (role, texts, out) in [("query", "heldout/queries.jsonl", "q"), ("document", "corpus.jsonl", "c")] {
        folder.run(&format!("embed --device cpu --model {model} --role {role} {texts} -o {out}.safetensors")).done();
    }
    let evaluate = "ir-eval --device cpu --qrels heldout/qrels.tsv s=q.safetensors,c.safetensors --format json";
    let report = folder.run(&format!("{evaluate} --metrics {metric}")).json();
    report["systems"][0]["metrics"][metric].as_f64().unwrap()
}

#[test]
fn the_best_model_is_saved_and_its_figure_is_that_of_ir_eval() {
    let folder = start();
    for metric in ["ndcg@10", "recall@3"] {
        let ran = train(&folder, "TUNED", &format!("{DEV} --eval-every 7 --metric {metric} --overwrite")).done();
        let figures = figures(&ran.stdout(), metric);
        assert!(figures.len() >= 8 && figures.iter().any(|(step, _)| *step == 7), "every 7 of 60 steps\n{ran}");
        let best = figures.iter().map(|(_, figure)| *figure).fold(0.0, f64::max);
        let found = measured(&folder, "TUNED", metric);
        assert!((found - best).abs() < 1e-6, "{metric}: {found}, best of {figures:?}");
    }
}

#[test]
fn a_resumed_training_saves_the_same_best_model() {
    let folder = start();
    let flags = format!("{DEV} --eval-every 6 --checkpoint-every 5");
    let whole = train(&folder, "WHOLE", &flags).stdout();
    let mut running = train(&folder, "KILLED", &flags).start();
    running.take_lines(26);
    running.signal(Signal::KILL);
    let _ = running.end().with_code(137);
    let other = flags.replace("heldout/qrels.tsv", "one.tsv");
    let judgments = String::from_utf8(folder.bytes("heldout/qrels.tsv")).unwrap();
    folder.write("one.tsv", judgments.lines().take(2).map(|line| format!("{line}\n")).collect::<String>());
    let message = train(&folder, "KILLED", &format!("{other} --resume")).refusal();
    assert!(message.contains("the dev set was \""), "scores of two sets cannot be compared: {message}");
    let resumed = train(&folder, "KILLED", &format!("{flags} --resume")).stdout();
    let (whole, resumed) = (figures(&whole, "ndcg@10"), figures(&resumed, "ndcg@10"));
    assert!(!resumed.is_empty() && whole.ends_with(&resumed), "{whole:?}, {resumed:?}");
    assert!(weights(&folder, "KILLED") == weights(&folder, "WHOLE"), "other weights");
}

#[test]
fn patience_ends_a_training_that_gets_no_better() {
    let folder = start();
    // With a learning rate of 0 every figure is the same.
    let ran = train(&folder, "TUNED", &format!("{DEV} --learning-rate 0 --eval-every 10 --patience 2")).done();
    let steps = losses(&ran.stdout()).len();
    assert!(steps == 20 || steps == 30, "{steps} steps, with or without a figure before the first\n{ran}");
}

#[test]
fn a_wrong_metric_and_a_wrong_file_are_refused_at_the_start() {
    let folder = start();
    let message = train(&folder, "TUNED", &format!("{DEV} --metric ndgc@10")).refusal();
    assert!(message.contains("unknown metric \"ndgc\"; similar: ndcg; available: ndcg, ndcg-exp, recall"), "{message}");
    let swapped = "--dev-queries corpus.jsonl --dev-corpus heldout/queries.jsonl --dev-qrels heldout/qrels.tsv";
    let message = train(&folder, "TUNED", swapped).refusal();
    assert!(message.contains("corpus.jsonl: contains no query of heldout/qrels.tsv"), "{message}");
    let message = train(&folder, "TUNED", "--dev-queries heldout/queries.jsonl").refusal();
    assert!(message.contains("--dev-corpus") && message.contains("--dev-qrels"), "{message}");
}

#[test]
fn tensorboard_gets_what_the_log_has() {
    let folder = start();
    let ran = train(&folder, "TUNED", &format!("{DEV} --tensorboard events")).done();
    let files: Vec<_> = ran.listing.iter().filter(|name| name.starts_with("events/events.out.tfevents.")).collect();
    let [file] = &files[..] else { panic!("{ran}") };
    let bytes = folder.bytes(file);
    let count = |tag: &str| bytes.windows(tag.len()).filter(|window| *window == tag.as_bytes()).count();
    for tag in ["train/loss", "train/learning_rate", "train/grad_norm", "train/tokens_per_sec"] {
        assert_eq!(count(tag), losses(&ran.stdout()).len(), "{tag}\n{ran}");
    }
    assert_eq!(count("eval/ndcg@10"), figures(&ran.stdout(), "ndcg@10").len(), "{ran}");
}

/// Its vector is zero, as in embed, and not the mean of nothing, NaN, which would look like a diverged training.
#[test]
fn a_text_without_tokens_is_not_a_divergence() {
    let folder = start();
    folder.remove_special_tokens("BASE");
    let prompts = "--query-prompt= --document-prompt=";
    folder.run(&format!("pairs2shards --model BASE {prompts} pairs.jsonl -o train.safetensors")).done();
    folder.write("corpus.jsonl", folder.read("corpus.jsonl") + "{\"_id\":\"empty\",\"text\":\"\\u200b\"}\n");
    let ran = train(&folder, "TUNED", &format!("{DEV} --overwrite")).done();
    let ran = ran.saying("dev set: 1 of 41 texts of corpus.jsonl has no token; a vector of zeros matches nothing");
    let figure = figures(&ran.stdout(), "ndcg@10").iter().map(|(_, figure)| *figure).fold(0.0, f64::max);
    assert!((measured(&folder, "TUNED", "ndcg@10") - figure).abs() < 1e-6, "{ran}");
    let line = "embed --device cpu --model TUNED --role document corpus.jsonl -o c.safetensors";
    let _ = folder.run(line).done().saying("1 of 41 texts has no token; a vector of zeros matches nothing");
}
