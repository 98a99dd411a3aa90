//! Trainings of 10 and 20 steps against those of sentence-transformers' trainer, because one step may be right and the
//! next one wrong.
//!
//! The figures and the script that made them are in `tests/fixtures/parity/trajectories`.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter, Write as _};

use embtune_tests::{Folder, fixture};
use serde_json::{Value, json};

use crate::distributed;
use crate::weights::tensors_of;

const TRAIN: &str = "mnrl-train --device cpu --threads 1 --model BASE --batch-size 8 --dropout 0 --overwrite";

/// How far a training is, or may be, from the reference's.
#[derive(Debug, Clone, Copy)]
struct Errors {
    /// The relative error of the losses, averaged over all steps.
    loss: f64,
    /// The same for the gradients' norms.
    grad_norm: f64,
    /// The error of the weights' total change, relative to its norm.
    change: f64,
}

impl Display for Errors {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "loss {:.0e}, gradient's norm {:.0e}, weights {:.0e}", self.loss, self.grad_norm, self.change)
    }
}

/// The fp32 figures were computed in float64. Rounding takes the reference itself away from them, so a multiple of its
/// error is allowed, too: a training accumulates differences, and AdamW makes steps of full length of gradients that
/// are only rounding errors.
const FP32: Errors = Errors { loss: 1e-5, grad_norm: 2e-5, change: 1e-4 };
const LORA: Errors = Errors { loss: 1e-4, grad_norm: 1e-4, change: 1e-3 };
/// Where a pre-activation is almost 0, rounding decides whether ReLU passes it. With other micro-batches,
/// DistilBERT's trajectory is as near as the others, or deviates as much at another step.
const RELU: Errors = Errors { loss: 2e-4, grad_norm: 5e-4, change: 2e-3 };
/// In bf16, max pooling may select other elements.
const BF16: Errors = Errors { loss: 2e-2, grad_norm: 5e-2, change: 0.35 };
const TIMES_ROUNDING: f64 = 10.0;

struct Case<'a> {
    figures: &'a Value,
    expected: &'a Value,
    flags: String,
}

/// The families that have a file of their own.
const FAMILIES: [&str; 14] = [
    "tiny-arctic",
    "tiny-camembert",
    "tiny-gemma3",
    "tiny-gte",
    "tiny-gte-multilingual",
    "tiny-modernbert",
    "tiny-modernbert-odd",
    "tiny-nomic",
    "tiny-nomic-moe",
    "tiny-qwen3",
    "tiny-qwen3-bidirectional",
    "tiny-qwen3-sharded",
    "tiny-silu",
    "tiny-t5",
];

fn figures() -> Value {
    read("trajectories")
}

/// The figures of a family, with the pairs that all trainings have in common.
fn figures_of(family: &str) -> Value {
    let mut figures = read(family);
    figures["pairs"] = read("trajectories")["pairs"].take();
    figures
}

fn read(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(&format!("parity/trajectories/{name}.json"))).unwrap()).unwrap()
}

fn cases(figures: &Value) -> impl Iterator<Item = Case<'_>> {
    figures["cases"].as_array().unwrap().iter().map(move |expected| {
        let flags = expected["flags"].as_array().unwrap().iter().map(|flag| flag.as_str().unwrap());
        Case { figures, expected, flags: flags.collect::<Vec<_>>().join(" ") }
    })
}

impl Case<'_> {
    fn name(&self) -> String {
        format!("{}, {} epochs, {}", self.expected["model"], self.expected["epochs"], self.flags)
    }

    fn tolerance(&self) -> Errors {
        if self.flags.contains("bf16") {
            return BF16;
        }
        let least = match () {
            () if self.flags.contains("--lora") => LORA,
            () if ["tiny-distilbert", "tiny-t5"].contains(&self.expected["model"].as_str().unwrap()) => RELU,
            () => FP32,
        };
        let [loss, grad_norm, change] = floats(&self.expected["rounding"])[..] else { panic!("{}", self.name()) };
        Errors {
            loss: least.loss.max(TIMES_ROUNDING * loss),
            grad_norm: least.grad_norm.max(TIMES_ROUNDING * grad_norm),
            change: least.change.max(TIMES_ROUNDING * change),
        }
    }

    /// A folder with the model, and a shard of the pairs with the columns that the loss reads.
    fn prepare(&self) -> Folder {
        let folder = Folder::new();
        folder.copy_fixture(&format!("parity/{}", self.expected["model"].as_str().unwrap()), "BASE");
        let columns = &self.expected["columns"];
        let negatives = columns["negatives"].as_u64().unwrap_or(0) as usize;
        let (mut pairs, mut queries, mut documents) = (String::new(), String::new(), String::new());
        for (number, pair) in self.figures["pairs"].as_array().unwrap().iter().enumerate() {
            let chosen = &pair["negatives"].as_array().unwrap()[..negatives];
            let ids: Vec<_> = (0..negatives).map(|index| format!("n{number}-{index}")).collect();
            let (anchor_id, positive_id) = (format!("a{number}"), format!("p{number}"));
            let mut record = json!({
                "anchor": pair["anchor"], "anchor_id": anchor_id, "positive": pair["positive"],
                "positive_id": positive_id, "negatives": chosen, "negative_ids": ids,
            });
            match columns["scores"].as_str() {
                None => {}
                Some("labels") => record["label"] = pair["label"].clone(),
                Some("one") => record["score"] = pair["scores"][0].clone(),
                Some(_) => record["scores"] = pair["scores"].clone(),
            }
            writeln!(pairs, "{record}").unwrap();
            writeln!(queries, "{}", json!({"_id": anchor_id, "text": pair["anchor"]})).unwrap();
            writeln!(documents, "{}", json!({"_id": positive_id, "text": pair["positive"]})).unwrap();
            for (id, text) in ids.iter().zip(chosen) {
                writeln!(documents, "{}", json!({"_id": id, "text": text})).unwrap();
            }
        }
        folder.write("pairs.jsonl", pairs);
        let mut guide = "";
        if columns["guide"] == true {
            folder.write("queries.jsonl", queries);
            folder.write("documents.jsonl", documents);
            for name in ["queries", "documents"] {
                let files = format!("{name}.jsonl -o {name}.safetensors");
                folder.run(&format!("embed --device cpu --threads 1 --model BASE --prompt= {files}")).done();
            }
            guide = "--guide-queries queries.safetensors --guide-corpus documents.safetensors";
        }
        let prompts = "--query-prompt= --document-prompt=";
        let flags = format!("--near-duplicate 1 {prompts} {guide}");
        folder.run(&format!("pairs2shards --model BASE {flags} pairs.jsonl -o train.safetensors")).done();
        folder
    }

    /// The training's flags, except --out.
    fn flags(&self) -> String {
        let mut flags = self.flags.clone();
        let epochs = &self.expected["epochs"];
        for (flag, default) in [("--warmup", "--warmup-steps 0"), ("--schedule", "--schedule constant")] {
            if !flags.contains(flag) {
                write!(flags, " {default}").unwrap();
            }
        }
        // The reference masks nothing, and two losses have no negatives that could be masked.
        let mask = if ["cosent", "margin-mse"].iter().any(|loss| flags.contains(loss)) { "" } else { "--no-mask" };
        format!("--epochs {epochs} --learning-rate {} {mask} {flags}", self.figures["rate"])
    }

    /// Compares a training that wrote `log` and `out` with the reference; an error is a line about the differences.
    fn check(&self, folder: &Folder, log: &str, out: &str) -> Result<(), String> {
        let records: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mean = |key: &str, name: &str| {
            let expected = floats(&self.expected[key]);
            // The reference does not compute the norm when nothing is clipped.
            assert!(expected.len() == records.len() || key == "grad_norms" && expected.is_empty(), "{}", self.name());
            let found = records.iter().map(|record| record[name].as_f64().unwrap());
            let errors: f64 = found.zip(expected).map(|(a, b)| (a - b).abs() / b.abs().max(1e-2)).sum();
            errors / records.len() as f64
        };
        let (loss, grad_norm) = (mean("losses", "loss"), mean("grad_norms", "grad_norm"));
        let found = Errors { loss, grad_norm, change: self.distance(folder, out) };
        let allowed = self.tolerance();
        let is_near = loss <= allowed.loss && grad_norm <= allowed.grad_norm && found.change <= allowed.change;
        if is_near { Ok(()) } else { Err(format!("{found} ({allowed}), {}", self.name())) }
    }

    /// The distance of the saved weights from the reference's, relative to the change of the reference's.
    fn distance(&self, folder: &Folder, out: &str) -> f64 {
        let before = weights(folder, "BASE");
        let after = weights(folder, out);
        let (mut difference, mut length) = (0.0, 0.0);
        for (name, expected) in self.expected["weights"].as_object().unwrap() {
            if is_bias_of_keys(name) {
                continue;
            }
            let [norm, products @ ..] = &floats(expected)[..] else { panic!("{expected}") };
            for (seed, product) in (1..).zip(products) {
                let (before, after) = (&before[name], &after[name]);
                assert_eq!(before.len(), after.len());
                // Stacked biases are those of queries, keys and values.
                let third = before.len() / 3;
                let is_stacked = ["Wqkv.bias", "qkv_proj.bias"].iter().any(|end| name.ends_with(end));
                let of_keys = if is_stacked { third..2 * third } else { 0..0 };
                let change = |place: usize| match of_keys.contains(&place) {
                    true => 0.0,
                    false => sign(place as u64, seed) * f64::from(after[place] - before[place]),
                };
                let found: f64 = (0..before.len()).map(change).sum();
                difference += (found - product).powi(2) / products.len() as f64;
            }
            length += norm.powi(2);
        }
        for (name, before) in &before {
            let is_expected = self.expected["weights"].get(name).is_some() || is_bias_of_keys(name);
            assert!(is_expected || after[name] == *before, "{}: {name} must not change", self.name());
        }
        assert!(length > 0.0, "{}: the reference has changed", self.name());
        (difference / length).sqrt()
    }
}

/// The gradient of a key's bias is a rounding error, which AdamW turns into steps of full length.
fn is_bias_of_keys(name: &str) -> bool {
    ["key.bias", "attn.k.bias", "k_lin.bias"].iter().any(|end| name.ends_with(end))
}

/// All tensors of a model; those of a Dense have its folder as prefix.
fn weights(folder: &Folder, model: &str) -> BTreeMap<String, Vec<f32>> {
    let files = folder.listing();
    if files.iter().any(|file| file.starts_with(model) && file.ends_with("pytorch_model.bin")) {
        // A training that changes nothing writes the same weights as safetensors.
        folder.run(&format!("{TRAIN} --out STILL --learning-rate 0 --epochs 1 train.safetensors")).done();
        return weights(folder, "STILL");
    }
    let mut found = BTreeMap::new();
    for file in files {
        let Some(path) = file.strip_prefix(&format!("{model}/")) else { continue };
        let stem = path.rsplit_once('/').map_or(String::new(), |(module, _)| format!("{module}."));
        let is_shard = path.starts_with("model-") && path.ends_with(".safetensors");
        if is_shard || path.ends_with("model.safetensors") && !path.contains("adapter") {
            let name = |name: String| format!("{stem}{}", without_prefix(&name));
            found.extend(tensors_of(folder, &file).into_iter().map(|(stored, values)| (name(stored), values)));
        }
    }
    found
}

/// The figures have names without the prefixes of checkpoints.
fn without_prefix(name: &str) -> &str {
    ["model.", "new.", "roberta."].iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

/// 1 or -1, from splitmix64 as in `make.py`.
fn sign(place: u64, seed: u64) -> f64 {
    let z = place.wrapping_add(seed << 32).wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    if (z ^ (z >> 31)) & 1 == 1 { 1.0 } else { -1.0 }
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn assert_none(far: impl Iterator<Item = String>) {
    let far: Vec<_> = far.collect();
    assert!(far.is_empty(), "too far from the reference:\n{}", far.join("\n"));
}

#[test]
fn every_step_is_that_of_the_reference() {
    let figures = figures();
    assert!(cases(&figures).count() >= 70);
    let far = cases(&figures).filter_map(|case| {
        let folder = case.prepare();
        let ran = folder.run(&format!("{TRAIN} --out TUNED {} train.safetensors", case.flags())).done();
        case.check(&folder, &ran.stdout(), "TUNED").err()
    });
    assert_none(far);
}

#[test]
fn every_family_takes_the_steps_of_the_reference() {
    let all: Vec<Value> = FAMILIES.into_iter().map(figures_of).collect();
    assert!(all.iter().flat_map(cases).count() >= 50);
    let far = all.iter().flat_map(cases).filter_map(|case| {
        let folder = case.prepare();
        let ran = folder.run(&format!("{TRAIN} --out TUNED {} train.safetensors", case.flags())).done();
        case.check(&folder, &ran.stdout(), "TUNED").err()
    });
    assert_none(far);
}

#[test]
fn several_processes_take_the_steps_of_the_reference() {
    let figures = figures();
    let chosen = ["", "--precision bf16", "--gradient-accumulation 2", "--matryoshka 32,16,8", "--lora"];
    let far = chosen.into_iter().filter_map(|flags| {
        let case = cases(&figures)
            .filter(|case| case.expected["model"] == "tiny-bert")
            .find(|case| if flags == "--lora" { case.flags.starts_with(flags) } else { case.flags == flags });
        let case = case.unwrap_or_else(|| panic!("no case has the flags {flags}"));
        let folder = case.prepare();
        let port = distributed::free_port();
        let processes = [0, 1].map(|rank| {
            let place = format!("RANK={rank} WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT={port}");
            folder.run(&format!("env {place} {TRAIN} --out TUNED {} train.safetensors", case.flags())).start()
        });
        let [first, _] = processes.map(|process| process.end().with_code(0));
        case.check(&folder, &first.stdout(), "TUNED").err()
    });
    assert_none(far);
}

#[test]
fn lora_begins_with_the_same_matrices() {
    let figures = figures();
    let case = cases(&figures).find(|case| case.flags.starts_with("--lora")).unwrap();
    let folder = case.prepare();
    let lora = figures["lora"].as_str().unwrap();
    folder.run(&format!("{TRAIN} --out ADAPTED --learning-rate 0 --lora {lora} --epochs 1 train.safetensors")).done();
    let adapter: BTreeMap<_, _> =
        tensors_of(&folder, "ADAPTED/adapter/adapter_model.safetensors").into_iter().collect();
    let expected = figures["adapter"].as_object().unwrap();
    assert!(!expected.is_empty());
    for (name, expected) in expected {
        for (found, expected) in adapter[&format!("base_model.model.{name}")].iter().zip(floats(expected)) {
            assert!((f64::from(*found) - expected).abs() < 1e-7, "{name}: {found}, expected {expected}");
        }
    }
}
