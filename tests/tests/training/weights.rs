//! Which weights change, and which are saved.

use embtune_tensors::TensorFile;
use embtune_tests::Folder;

use crate::{start, train};

/// The tensors of a model, by name.
fn tensors(folder: &Folder, model: &str) -> Vec<(String, Vec<f32>)> {
    tensors_of(folder, &format!("{model}/model.safetensors"))
}

/// The tensors of floats in a file, as f32, by name. A checkpoint also has others.
pub(crate) fn tensors_of(folder: &Folder, file: &str) -> Vec<(String, Vec<f32>)> {
    let file = TensorFile::open(&folder.path(file)).unwrap();
    let values = |name: &String| file.require(name).unwrap().to_f32().ok().map(|values| values.into_owned());
    file.names().into_iter().filter_map(|name| Some((name.clone(), values(&name)?))).collect()
}

/// Names of the tensors that have changed.
fn changed(folder: &Folder, model: &str) -> Vec<String> {
    let base = tensors(folder, "BASE");
    let tuned = tensors(folder, model);
    assert_eq!(base.len(), tuned.len());
    base.into_iter().zip(tuned).filter(|(base, tuned)| base != tuned).map(|(base, _)| base.0).collect()
}

#[test]
fn lora_changes_its_targets_and_leaves_an_adapter() {
    let folder = start();
    train(&folder, "TUNED", "--lora r=4,targets=query,intermediate.dense").done();
    let changed = changed(&folder, "TUNED");
    assert!(!changed.is_empty());
    for name in changed {
        assert!(name.ends_with("query.weight") || name.ends_with("intermediate.dense.weight"), "{name}");
    }
    let config: serde_json::Value = serde_json::from_str(&folder.read("TUNED/adapter/adapter_config.json")).unwrap();
    assert_eq!((&config["peft_type"], &config["r"], &config["lora_alpha"]), (&"LORA".into(), &4.into(), &8.into()));
    let adapter = folder.bytes("TUNED/adapter/adapter_model.safetensors");
    let name = b"base_model.model.encoder.layer.0.attention.self.query.lora_A.weight";
    assert!(adapter.windows(name.len()).any(|window| window == name));
    let refusal = train(&folder, "NONE", "--lora r=4,targets=qurey").refusal();
    assert!(refusal.contains("no linear layer is called \"qurey\""), "{refusal}");
}

#[test]
fn frozen_parts_stay() {
    let folder = start();
    train(&folder, "TUNED", "--freeze layers:1").done();
    let changed = changed(&folder, "TUNED");
    assert!(!changed.is_empty());
    for name in changed {
        assert!(!name.starts_with("embeddings.") && !name.starts_with("encoder.layer.0."), "{name}");
    }
}

#[test]
fn the_base_model_is_mixed_in() {
    let folder = start();
    train(&folder, "TUNED", "").done();
    train(&folder, "MIXED", "--merge-base 0.25").done();
    let (base, tuned, mixed) = (tensors(&folder, "BASE"), tensors(&folder, "TUNED"), tensors(&folder, "MIXED"));
    assert_eq!((base.len(), tuned.len()), (mixed.len(), mixed.len()));
    for ((base, tuned), mixed) in base.iter().zip(&tuned).zip(&mixed) {
        for ((base, tuned), mixed) in base.1.iter().zip(&tuned.1).zip(&mixed.1) {
            assert!((0.25 * base + 0.75 * tuned - mixed).abs() < 1e-6, "{base} and {tuned} gave {mixed}");
        }
    }
    let refusal = train(&folder, "NONE", "--merge-base auto").refusal();
    assert!(refusal.contains("--merge-base auto needs a dev set"), "{refusal}");
}

#[test]
fn memory_does_not_change_a_byte() {
    let folder = start();
    let flags = "--batch-tokens 256 --precision bf16 --ema 0.9";
    train(&folder, "LARGE", &format!("{flags} --memory 1G")).done();
    train(&folder, "SMALL", &format!("{flags} --memory 1K")).done();
    assert!(folder.bytes("LARGE/model.safetensors") == folder.bytes("SMALL/model.safetensors"), "other weights");
}

#[test]
fn a_set_may_be_many_shards() {
    let folder = start();
    folder.run("pairs2shards --model BASE --document-max-length 64 --out SHARDS --shard-pairs 40 pairs.jsonl").done();
    folder.run("pairs2shards --model BASE --document-max-length 64 pairs.jsonl -o whole.safetensors").done();
    let train = |out: &str, set: &str| {
        let flags = "--device cpu --threads 2 --model BASE --epochs 1 --batch-size 16 --warmup-steps 2";
        folder.run(&format!("mnrl-train {flags} --out {out} {set}"))
    };
    for (out, set) in [("WHOLE", "whole.safetensors"), ("FOLDER", "SHARDS"), ("PATTERN", "SHARDS/train-*.safetensors")]
    {
        train(out, set).done();
        assert!(folder.bytes(&format!("{out}/model.safetensors")) == folder.bytes("WHOLE/model.safetensors"), "{out}");
    }
    assert!(folder.listing().contains(&"SHARDS/train-00002.safetensors".to_owned()), "more than two");
    let refusal = train("NONE", "SHARDS/none-*.safetensors").refusal();
    assert!(refusal.starts_with("mnrl-train: SHARDS/none-*.safetensors: no file matches this pattern"), "{refusal}");
}
