//! Saving a copy of the base with new weights, in the legacy layout.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use embtune_model::{ModelDir, ModelError, NewWeights, Role, check_target, save};
use embtune_tensors::{Dtype, TensorFile};
use serde_json::{Value, json};

use crate::support::{copy, edit, fixture, tensor_names};

fn nothing(_: &Path) -> Result<(), ModelError> {
    Ok(())
}

#[test]
fn a_saved_directory_is_the_base_with_new_weights() {
    let base = ModelDir::open(&fixture("tiny-bert")).unwrap();
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("tuned");
    let name = "embeddings.LayerNorm.bias";
    let weights: NewWeights = [(name.to_owned(), vec![0.25; 32])].into();
    save(&base, &weights, &target, false, nothing).unwrap();

    let tuned = ModelDir::open(&target).unwrap();
    assert_eq!(&*tuned.weights().unwrap().require(name).unwrap().to_f32().unwrap(), &[0.25; 32]);
    assert_eq!(tensor_names(base.root()), tensor_names(tuned.root()), "the pooler is copied");
    assert_eq!(tuned.prompt(Some(Role::Query)), "query: ");
    assert_ne!(base.fingerprint().unwrap(), tuned.fingerprint().unwrap());
    assert_eq!(base.tokenizer_fingerprint().unwrap(), tuned.tokenizer_fingerprint().unwrap());

    assert!(save(&base, &weights, &target, false, nothing).unwrap_err().to_string().contains("exists already"));
    save(&base, &weights, &target, true, nothing).unwrap();
    save(&base, &weights, &target, true, |_| Err(ModelError::Hub { name: String::new(), what: String::new() }))
        .unwrap_err();
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "no temporary folder is left");

    let other = place.path().join("data");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("precious"), "x").unwrap();
    assert!(save(&base, &weights, &other, true, nothing).unwrap_err().to_string().contains("left alone"));
}

/// The values of all tensors that a vector depends on, by name.
fn values(model: &ModelDir) -> NewWeights {
    let weights = model.weights().unwrap();
    let value = |name: &str| weights.require(name).unwrap().to_f32().unwrap().into_owned();
    model.parameters().into_iter().map(|parameter| (parameter.name.clone(), value(&parameter.name))).collect()
}

#[test]
fn a_checkpoint_is_saved_as_safetensors() {
    let base = ModelDir::open(&fixture("tiny-roberta")).unwrap();
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("tuned");
    check_target(&base, &target, false).unwrap();
    let name = "embeddings.LayerNorm.bias";
    save(&base, &[(name.to_owned(), vec![0.25; 32])].into(), &target, false, nothing).unwrap();
    let tuned = ModelDir::open(&target).unwrap();
    assert_eq!(tuned.weight_files(), [target.join("model.safetensors")]);
    assert!(!target.join("pytorch_model.bin").exists());
    let mut expected = values(&base);
    expected.insert(name.to_owned(), vec![0.25; 32]);
    assert_eq!(values(&tuned), expected);
    let is_tied = |folder: &Path| tensor_names(folder).iter().any(|name| name == "lm_head.decoder.weight");
    assert!(is_tied(base.root()), "the fixture has two names for the word embeddings");
    assert!(is_tied(&target), "both names stay if their tensor does not change");
    save(&base, &values(&base), &target, true, nothing).unwrap();
    assert!(!is_tied(&target), "the second name would hold the old values");
}

/// The types of a saved directory's tensors by name, and the type that its config.json names.
fn types(folder: &Path) -> (BTreeMap<String, Dtype>, Value) {
    let file = TensorFile::open(&folder.join("model.safetensors")).unwrap();
    let types = file.names().into_iter().map(|name| (name.clone(), file.require(&name).unwrap().dtype));
    let config: Value = serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap();
    (types.collect(), config["dtype"].clone())
}

/// Every tensor of a training is written, also those that are frozen.
#[test]
fn a_type_of_16_bits_stays_where_it_rounds_nothing() {
    let directory = copy("tiny-qwen3");
    edit(directory.path(), "config.json", "\"torch_dtype\"", "\"dtype\"");
    let base = ModelDir::open(directory.path()).unwrap();
    let (of_base, named) = types(directory.path());
    assert!(of_base.values().all(|dtype| *dtype == Dtype::BF16) && named == "bfloat16");
    let target = directory.path().join("tuned");
    save(&base, &values(&base), &target, false, nothing).unwrap();
    assert_eq!(types(&target), (of_base.clone(), named.clone()), "nothing was trained");

    let mut weights = values(&base);
    weights.get_mut("norm.weight").unwrap().fill(0.25);
    save(&base, &weights, &target, true, nothing).unwrap();
    assert_eq!(types(&target), (of_base.clone(), named), "0.25 has few bits");

    weights.get_mut("norm.weight").unwrap()[3] += 1e-6;
    save(&base, &weights, &target, true, nothing).unwrap();
    let mut expected = of_base;
    expected.insert("norm.weight".into(), Dtype::F32);
    // transformers loads all tensors in the type that the config names.
    assert_eq!(types(&target), (expected, json!("float32")));
    assert_eq!(values(&ModelDir::open(&target).unwrap()), weights);
}

#[test]
fn a_model_is_saved_with_its_head() {
    for name in ["tiny-dense", "tiny-mpnet", "tiny-distilbert", "tiny-roberta"] {
        let base = ModelDir::open(&fixture(name)).unwrap();
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("tuned");
        let mut weights = values(&base);
        weights.values_mut().flatten().for_each(|value| *value += 1.0);
        save(&base, &weights, &target, false, nothing).unwrap();
        let tuned = ModelDir::open(&target).unwrap();
        assert_eq!(values(&tuned), weights, "{name}");
        assert_eq!((tuned.pooling(), tuned.normalizes()), (base.pooling(), base.normalizes()));
        assert_eq!((tuned.dimension(), tuned.config()), (base.dimension(), base.config()));
        let activations = |model: &ModelDir| model.dense().iter().map(|dense| dense.activation).collect::<Vec<_>>();
        assert_eq!(activations(&tuned), activations(&base));
        let pooling = fs::read_to_string(target.join("1_Pooling/config.json")).unwrap();
        assert_eq!(pooling.matches("pooling_mode_").count(), 6, "older readers need all of them");
        assert!(pooling.contains("\"include_prompt\": true"));
    }
}

#[test]
fn other_heads_are_copied_and_named() {
    let directory = copy("tiny-xlmr");
    fs::write(directory.path().join("sparse_linear.pt"), "sparse").unwrap();
    let base = ModelDir::open(directory.path()).unwrap();
    assert_eq!(base.other_heads(), ["sparse_linear.pt"]);
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("tuned");
    save(&base, &NewWeights::new(), &target, false, nothing).unwrap();
    assert_eq!(fs::read_to_string(target.join("sparse_linear.pt")).unwrap(), "sparse");
}

#[test]
fn new_prompts_are_saved_and_other_settings_stay() {
    const FILE: &str = "config_sentence_transformers.json";
    let saved = |base: &Path, query: &str, document: &str| {
        let base = ModelDir::open(base).unwrap().with_prompts(query, document);
        assert_eq!((base.prompt(Some(Role::Query)), base.prompt(Some(Role::Document))), (query, document));
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("tuned");
        save(&base, &NewWeights::new(), &target, false, nothing).unwrap();
        let tuned = ModelDir::open(&target).unwrap();
        assert_eq!((tuned.prompt(Some(Role::Query)), tuned.prompt(Some(Role::Document))), (query, document));
        fs::read_to_string(target.join(FILE)).unwrap()
    };
    let base = copy("tiny-bert");
    let before = fs::read_to_string(base.path().join(FILE)).unwrap();
    assert_eq!(saved(base.path(), "query: ", "passage: "), before, "the file is as it was");
    let file: Value = serde_json::from_str(&saved(base.path(), "find \"it\"\n", "")).unwrap();
    let mut expected: Value = serde_json::from_str(&before).unwrap();
    expected["prompts"] = json!({"query": "find \"it\"\n", "document": ""});
    assert_eq!(file, expected);

    // All names of a role get the new text; a prompt for another purpose stays.
    let prompts = r#"{"prompts": {"s2s": "same: ", "passage": "p: "}, "default_prompt_name": "s2s", "x": [1]}"#;
    fs::write(base.path().join(FILE), prompts).unwrap();
    let file: Value = serde_json::from_str(&saved(base.path(), "q: ", "d: ")).unwrap();
    let prompts = json!({"s2s": "same: ", "passage": "d: ", "document": "d: ", "query": "q: "});
    assert_eq!(file, json!({"prompts": prompts, "default_prompt_name": "s2s", "x": [1]}));
    let file: Value = serde_json::from_str(&saved(base.path(), "", "p: ")).unwrap();
    let prompts = json!({"s2s": "same: ", "passage": "p: ", "document": "p: ", "query": ""});
    assert_eq!(file["prompts"], prompts, "not the default's");

    fs::remove_file(base.path().join(FILE)).unwrap();
    let file: Value = serde_json::from_str(&saved(base.path(), "query: ", "")).unwrap();
    assert_eq!(file, json!({"prompts": {"query": "query: ", "document": ""}, "default_prompt_name": null}));
}

/// fastembed also reads the tokenizer's other files; values that it can read stay unchanged.
#[test]
fn files_that_fastembed_needs_are_completed() {
    let saved = |directory: &Path| {
        let base = ModelDir::open(directory).unwrap();
        let target = tempfile::tempdir().unwrap();
        let target = target.path().join("TUNED");
        save(&base, &NewWeights::new(), &target, false, nothing).unwrap();
        let read = |name: &str| serde_json::from_slice::<Value>(&fs::read(target.join(name)).unwrap()).unwrap();
        (read("tokenizer_config.json"), read("special_tokens_map.json"))
    };
    let whole = saved(&fixture("tiny-xlmr"));
    let of_base =
        |name: &str| serde_json::from_slice::<Value>(&fs::read(fixture("tiny-xlmr").join(name)).unwrap()).unwrap();
    assert_eq!(whole, (of_base("tokenizer_config.json"), of_base("special_tokens_map.json")));

    let directory = copy("tiny-xlmr");
    fs::remove_file(directory.path().join("special_tokens_map.json")).unwrap();
    edit(directory.path(), "tokenizer_config.json", "\"model_max_length\": 512", "\"model_max_length\": 1e30");
    edit(
        directory.path(),
        "tokenizer_config.json",
        "\"pad_token\": \"<pad>\"",
        "\"pad_token\": {\"content\": \"<pad>\"}",
    );
    let (config, map) = saved(directory.path());
    assert_eq!(config, whole.0);
    let names = |map: &Value| map.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&map), names(&whole.1));
    let mask = json!({"content": "<mask>", "lstrip": true, "normalized": false, "rstrip": false, "single_word": false});
    assert_eq!(map["mask_token"], mask);

    fs::remove_file(directory.path().join("tokenizer_config.json")).unwrap();
    let (config, map) = saved(directory.path());
    assert_eq!(config, json!({"model_max_length": 512, "pad_token": "<pad>"}));
    assert_eq!((names(&map), &map["pad_token"]["content"]), (["pad_token".into()].into(), &json!("<pad>")));
}
