//! Weights that are not one file: shards, and adapters that are merged.

use std::fs;
use std::path::{Path, PathBuf};

use embtune_encode::Encoder;
use embtune_model::{AnyModelDir, ModelDir, ModelError, save};
use embtune_onnx::portable_encoder;
use embtune_tensors::TensorFile;
use embtune_tests::{Folder, fixture};
use serde_json::{Value, json};

use crate::support::{cosine, options, texts, vector};

/// The vectors of texts, without a prompt.
fn vectors(folder: &Path, texts: &[String]) -> Vec<Vec<f32>> {
    let model = AnyModelDir::open_any(folder).unwrap();
    let mut encoder = Encoder::load(&model, &options(&model)).unwrap();
    let dim = encoder.dim();
    encoder.encode(texts).unwrap().vectors.chunks_exact(dim).map(<[f32]>::to_vec).collect()
}

#[test]
fn shards_give_the_same_vectors() {
    for name in ["tiny-bert", "tiny-modernbert", "tiny-qwen3"] {
        let folder = Folder::new();
        folder.copy_fixture(&format!("parity/{name}"), "MODEL");
        let lines = ["The tide turns twice a day.".to_owned(), "harbour".to_owned()];
        let expected = vectors(&folder.path("MODEL"), &lines);
        let [first, second, _] = folder.shard_weights("MODEL");
        assert_eq!(vectors(&folder.path("MODEL"), &lines), expected, "{name}");
        // Links that lead to several folders, as in a cache.
        for (place, file) in [("a", &first), ("b", &second)] {
            fs::create_dir(folder.path(place)).unwrap();
            let (from, to) = (folder.path("MODEL").join(file), folder.path(place).join("blob"));
            fs::rename(&from, &to).unwrap();
            std::os::unix::fs::symlink(to, from).unwrap();
        }
        assert_eq!(vectors(&folder.path("MODEL"), &lines), expected, "{name}");
        let onnx = portable_encoder(&ModelDir::open(&folder.path("MODEL")).unwrap()).unwrap();
        let has = |name: &str| onnx.windows(name.len()).any(|window| window == name.as_bytes());
        assert!(has(&first) && has(&second) && !has("model.safetensors"), "{name}");
    }
}

/// A copy of a fixture of adapters and of its base.
fn adapter(name: &str, base: &str) -> Folder {
    let folder = Folder::new();
    folder.copy_fixture(&format!("parity/{base}"), "BASE");
    folder.copy_fixture(&format!("parity/adapters/{name}"), "ADAPTER");
    set(&folder, "base_model_name_or_path", json!(folder.path("BASE")));
    folder
}

fn set(folder: &Folder, key: &str, value: Value) {
    let mut config: Value = serde_json::from_str(&folder.read("ADAPTER/adapter_config.json")).unwrap();
    config[key] = value;
    folder.write("ADAPTER/adapter_config.json", config.to_string());
}

fn figures() -> Value {
    serde_json::from_slice(&fs::read(fixture("parity/adapters/adapters.json")).unwrap()).unwrap()
}

#[test]
fn merged_adapters_have_the_weights_and_vectors_of_peft() {
    let figures = figures();
    let texts = texts(&figures);
    for case in figures["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let folder = adapter(name, case["base"].as_str().unwrap());
        for shards in [false, true] {
            if shards {
                folder.shard_weights("BASE");
            }
            let model = ModelDir::open(&folder.path("ADAPTER")).unwrap();
            let weights = model.weights().unwrap();
            let merged = TensorFile::open(&fixture(&format!("parity/adapters/{name}.merged.safetensors"))).unwrap();
            let mut changed = 0;
            for parameter in model.parameters() {
                let stored = [parameter.name.clone(), format!("model.{}", parameter.name)];
                let found = weights.require(&parameter.name).unwrap().to_f32().unwrap();
                let Some(expected) = stored.iter().find_map(|name| merged.get(name)) else { continue };
                for (x, y) in found.iter().zip(expected.to_f32().unwrap().iter()) {
                    assert!((x - y).abs() <= 1e-6 * (1.0 + y.abs()), "{name}: {}: {x} {y}", parameter.name);
                }
                changed += 1;
            }
            assert_eq!(changed, merged.names().len(), "{name}");
            for (found, expected) in
                vectors(&folder.path("ADAPTER"), &texts).iter().zip(case["vectors"].as_array().unwrap())
            {
                let cosine = cosine(found, &vector(expected));
                assert!(1.0 - cosine < 1e-9, "{name}: {cosine}");
            }
        }
    }
}

#[test]
fn an_adapter_is_saved_as_a_whole_model() {
    for (name, base) in [("query-value", "tiny-bert"), ("whole", "tiny-dense")] {
        let folder = adapter(name, base);
        let lines = ["The tide turns twice a day.".to_owned()];
        let expected = vectors(&folder.path("ADAPTER"), &lines);
        let model = ModelDir::open(&folder.path("ADAPTER")).unwrap();
        let before = [&model, &ModelDir::open(&folder.path("BASE")).unwrap()].map(|model| model.fingerprint().unwrap());
        assert_ne!(before[0], before[1], "it is not its base");
        let nothing = |_: &Path| Ok::<_, ModelError>(());
        save(&model, &Default::default(), &folder.path("SAVED"), false, nothing).unwrap();
        assert!(!folder.path("SAVED/adapter_config.json").exists());
        assert_eq!(vectors(&folder.path("SAVED"), &lines), expected);

        let error = portable_encoder(&model).err().unwrap().to_string();
        assert!(error.contains("ADAPTER: is an adapter, whose merged weights are in no file beside it"), "{error}");
        set(&folder, "lora_alpha", json!(3));
        assert_ne!(ModelDir::open(&folder.path("ADAPTER")).unwrap().fingerprint().unwrap(), before[0]);
    }
}

#[test]
fn merged_weights_are_removed_with_their_model() {
    let folder = adapter("query-value", "tiny-bert");
    let model = ModelDir::open(&folder.path("ADAPTER")).unwrap();
    let files = |model: &ModelDir| model.weights().unwrap().files().map(PathBuf::from).collect::<Vec<_>>();
    let merged = files(&model).pop().unwrap();
    assert!(merged.exists() && !merged.starts_with(folder.root()));
    assert_eq!(files(&model.clone()).pop().unwrap(), merged, "merged once");
    drop(model);
    assert!(!merged.exists());
}

#[test]
fn what_an_adapter_cannot_be_is_named() {
    let error = |change: &dyn Fn(&Folder)| {
        let folder = adapter("query-value", "tiny-bert");
        change(&folder);
        let opened = ModelDir::open(&folder.path("ADAPTER")).and_then(|model| model.weights().map(drop));
        opened.err().map_or("read".into(), |error| error.to_string())
    };
    for (key, value, expected) in [
        ("peft_type", json!("IA3"), "peft_type \"IA3\" is not supported (supported: LORA)"),
        ("use_dora", json!(true), "use_dora true is not supported\nhint: merge it"),
        ("bias", json!("all"), "bias \"all\" is not supported"),
        ("fan_in_fan_out", json!(true), "fan_in_fan_out true is not supported"),
        ("modules_to_save", json!(["pooler"]), "modules_to_save [\"pooler\"] is not supported"),
        ("init_lora_weights", json!("pissa"), "init_lora_weights \"pissa\" is not supported"),
        ("colour", json!(1), "colour 1 is not supported"),
        ("lora_alpha", json!(null), "has no lora_alpha"),
        ("base_model_name_or_path", json!(null), "has no base_model_name_or_path"),
        ("base_model_name_or_path", json!("no/where"), "\"no/where\" is neither a directory nor in the Hugging Face"),
        ("alpha_pattern", json!({"layer.[01]": 3}), "\"layer.[01]\": 3 of alpha_pattern is not supported"),
    ] {
        let error = error(&|folder| set(folder, key, value.clone()));
        assert!(error.contains(&format!("adapter_config.json: {expected}")) || error.contains(expected), "{error}");
    }
    let model = "ADAPTER/adapter_model.safetensors";
    let missing = error(&|folder| fs::remove_file(folder.path(model)).unwrap());
    assert!(missing.contains("adapter_model.safetensors: No such file, and no adapter_model.bin"), "{missing}");
    for (from, to, expected) in [
        ("lora_A", "lora_X", "self.query.lora_X.weight\" is not supported (supported: base_model.model.LAYER.lora_A"),
        ("self.query", "self.quory", "it changes \"encoder.layer.0.attention.self.quory\", which is not a linear"),
        ("query.lora_A", "value.lora_C", "is not supported"),
    ] {
        let error = error(&|folder| {
            let text = folder.bytes(model);
            // The header is JSON of the same length.
            let mut changed = text.clone();
            for at in 0..text.len() - from.len() {
                if text[at..].starts_with(from.as_bytes()) {
                    changed[at..at + from.len()].copy_from_slice(to.as_bytes());
                }
            }
            folder.write(model, changed);
        });
        assert!(error.contains(expected), "{error}");
    }
    let nested = error(&|folder| {
        folder.copy_fixture("parity/adapters/query-value", "OTHER");
        set(folder, "base_model_name_or_path", json!(folder.path("OTHER")));
    });
    assert!(nested.ends_with("is an adapter itself"), "{nested}");
}
