//! Tensors, folders and settings that are ignored, honoured, or refused by name.

use std::fs;
use std::path::Path;

use embtune_model::{AnyModelDir, ModelDir, ModelError, NewWeights, Pooling, Role, save};
use embtune_tensors::{Dtype, TensorFile, write_tensors};

use crate::support::{copy, edit, fixture};

/// Adds a tensor with one element to the weights.
fn add_tensor(directory: &Path, name: &str) {
    let path = directory.join("model.safetensors");
    let bytes = {
        let file = TensorFile::open(&path).unwrap();
        let names = file.names();
        let mut tensors: Vec<_> = names
            .iter()
            .map(|name| {
                let tensor = file.require(name).unwrap();
                (name.as_str(), tensor.dtype, tensor.shape.to_vec(), tensor.bytes)
            })
            .collect();
        tensors.push((name, Dtype::F32, vec![1], &[0; 4]));
        let mut bytes = Vec::new();
        write_tensors(&tensors, None, &mut bytes).unwrap();
        bytes
    };
    fs::write(path, bytes).unwrap();
}

#[test]
fn unexpected_tensors_are_named() {
    for (model, tensor) in [
        ("tiny-bert", "encoder.layer.2.attention.self.query.weight"),
        ("tiny-bert", "encoder.layer.0.attention.self.query.lora_A.default.weight"),
        ("tiny-bert", "encoder.layer.0.attention.self.query.SCB"),
        ("tiny-bert", "linear.weight"),
        ("tiny-distilbert", "parametrizations.weight.original0"),
        ("tiny-mpnet", "encoder.layer.0.attention.attn.q.weight_scale"),
        ("tiny-modernbert", "layers.0.attn.Wqkv.bias"),
        ("tiny-nomic", "encoder.layers.0.mlp.fc11.bias"),
        ("tiny-qwen3", "linear.weight"),
        ("tiny-qwen3", "layers.0.self_attn.q_proj.bias"),
    ] {
        let directory = copy(model);
        add_tensor(directory.path(), tensor);
        let model = ModelDir::open(directory.path()).unwrap();
        let error = model.weights().err().unwrap().to_string();
        let expected = format!("model.safetensors: unexpected tensor \"{tensor}\" for {}", model.config().name);
        assert!(error.ends_with(&expected), "{error}");
    }
    let directory = copy("tiny-bert");
    add_tensor(directory.path(), "one.weight");
    add_tensor(directory.path(), "two.weight");
    let error = ModelDir::open(directory.path()).unwrap().weights().err().unwrap().to_string();
    assert!(error.contains("for BERT (and 1 more)"), "{error}");
}

#[test]
fn other_heads_and_stored_tables_are_ignored() {
    for (model, tensor) in [
        ("tiny-bert", "embeddings.position_ids"),
        ("tiny-bert", "cls.predictions.transform.dense.weight"),
        ("tiny-bert", "cls.seq_relationship.bias"),
        ("tiny-xlmr", "lm_head.decoder.bias"),
        ("tiny-xlmr", "embeddings.token_type_ids"),
        ("tiny-mpnet", "pooler.dense.weight"),
        ("tiny-distilbert", "vocab_projector.bias"),
        ("tiny-distilbert", "pre_classifier.weight"),
        ("tiny-modernbert", "head.norm.weight"),
        ("tiny-modernbert", "decoder.bias"),
        ("tiny-qwen3", "lm_head.weight"),
        ("tiny-qwen3", "score.weight"),
    ] {
        let directory = copy(model);
        add_tensor(directory.path(), tensor);
        assert!(ModelDir::open(directory.path()).unwrap().weights().is_ok(), "{tensor}");
    }
}

#[test]
fn without_modules_the_pooling_is_guessed_with_a_warning() {
    let directory = copy("tiny-xlmr");
    fs::remove_file(directory.path().join("modules.json")).unwrap();
    let open = || ModelDir::open(directory.path());
    let model = open().unwrap();
    assert_eq!((model.pooling(), model.normalizes()), (Pooling::Cls, false));
    let guess = model.pooling_guess().unwrap();
    assert!(
        guess.contains("the pooling is guessed to be cls, because 1_Pooling says so") && guess.contains("\nhint: ")
    );

    fs::create_dir(directory.path().join("2_Dense")).unwrap();
    let error = open().unwrap_err().to_string();
    assert!(error.contains("modules.json: No such file, and 2_Dense shows that the model has more modules"), "{error}");
    fs::remove_dir(directory.path().join("2_Dense")).unwrap();

    fs::remove_dir_all(directory.path().join("1_Pooling")).unwrap();
    assert_eq!(open().unwrap().pooling(), Pooling::Mean);
    edit(directory.path(), "config.json", "XLMRobertaModel", "XLMRobertaForCausalLM");
    let model = open().unwrap();
    assert_eq!(model.pooling(), Pooling::LastToken);
    assert!(model.pooling_guess().unwrap().contains("config.json names a causal language model"));
    assert_eq!(ModelDir::open(copy("tiny-xlmr").path()).unwrap().pooling_guess(), None);
}

#[test]
fn models_that_cannot_be_trained_are_refused() {
    assert!(ModelDir::open(&fixture("tiny-mpnet")).unwrap().check_trainable().is_ok());

    let directory = copy("tiny-xlmr");
    edit(
        directory.path(),
        "modules.json",
        "sentence_transformers.models.Normalize",
        "sentence_transformers.models.Dropout",
    );
    let model = ModelDir::open(directory.path()).unwrap();
    assert!(!model.normalizes());
    let error = model.check_trainable().unwrap_err().to_string();
    assert!(error.ends_with("a model with a Dropout module (0.2) cannot be trained"), "{error}");
}

#[test]
fn the_fingerprint_depends_on_the_tokenization() {
    let directory = copy("tiny-bert");
    let prints = || {
        let model = AnyModelDir::open_any(directory.path()).unwrap();
        (model.tokenizer_fingerprint().unwrap(), model.fingerprint().unwrap())
    };
    let before = prints();
    edit(directory.path(), "tokenizer_config.json", "\"model_max_length\": 512", "\"model_max_length\": 100");
    assert_eq!(prints(), before, "a length changes no id");
    edit(directory.path(), "tokenizer_config.json", "\"do_lower_case\": true", "\"do_lower_case\": false");
    let cased = prints();
    assert!(cased.0 != before.0 && cased.1 != before.1);
    edit(
        directory.path(),
        "tokenizer_config.json",
        "\"do_lower_case\": false",
        "\"do_lower_case\": true, \"truncation_side\": \"left\"",
    );
    let left = prints();
    assert!(left.0 != before.0 && left.0 != cased.0);
}

#[test]
fn a_saved_directory_is_read_like_its_base() {
    let nothing = |_: &Path| Ok::<(), ModelError>(());
    let directory = copy("tiny-bert");
    let root = directory.path();
    fs::create_dir(root.join("0_Transformer")).unwrap();
    for file in
        ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]
    {
        fs::rename(root.join(file), root.join("0_Transformer").join(file)).unwrap();
    }
    edit(root, "modules.json", "\"path\": \"\"", "\"path\": \"0_Transformer\"");
    let settings = r#"{"max_seq_length": 40, "do_lower_case": true, "config_args": {"layer_norm_eps": 1e-6},
        "tokenizer_args": {"model_max_length": 30, "do_lower_case": false, "truncation_side": "left"}}"#;
    fs::write(root.join("0_Transformer/sentence_roberta_config.json"), settings).unwrap();
    fs::remove_file(root.join("sentence_bert_config.json")).unwrap();
    let base = ModelDir::open(root).unwrap();
    assert_eq!((base.max_seq_length(), base.tokenizer().truncates_left()), (30, true));

    let target = root.join("tuned");
    save(&base, &NewWeights::new(), &target, false, nothing).unwrap();
    let tuned = ModelDir::open(&target).unwrap();
    assert_eq!(tuned.config(), base.config());
    assert_eq!(tuned.max_seq_length(), 30);
    assert_eq!(tuned.tokenizer_fingerprint().unwrap(), base.tokenizer_fingerprint().unwrap());
    assert_eq!(tuned.prompt(Some(Role::Query)), "query: ");
    assert!(target.join("tokenizer.json").is_file());
}

#[test]
fn settings_that_change_vectors_are_not_ignored() {
    let directory = copy("tiny-bert");
    edit(directory.path(), "1_Pooling/config.json", "{", "{\"include_prompt\": null,");
    let error = ModelDir::open(directory.path()).err().unwrap().to_string();
    assert!(error.contains("include_prompt"), "sentence-transformers takes null for false: {error}");

    let directory = copy("tiny-qwen3");
    let both = "\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 1e6}, \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4}";
    edit(directory.path(), "config.json", "\"rope_scaling\": null", both);
    let error = ModelDir::open(directory.path()).err().unwrap().to_string();
    assert!(error.contains("rope_type \"yarn\" is not supported"), "{error}");

    let directory = copy("tiny-bert");
    edit(
        directory.path(),
        "config_sentence_transformers.json",
        "{\n  \"__version__\"",
        "{\n  \"truncate_dim\": 8, \"__version__\"",
    );
    let model = ModelDir::open(directory.path()).unwrap();
    assert_eq!(model.truncate_dim(), Some(8));
    let error = model.check_trainable().err().unwrap().to_string();
    assert!(error.contains("truncate_dim 8") && error.contains("\nhint: remove truncate_dim from"), "{error}");
}

#[test]
fn modules_of_other_packages_are_refused() {
    let with = |kind: &str| {
        let directory = copy("tiny-bert");
        edit(directory.path(), "modules.json", "sentence_transformers.models.Pooling", kind);
        ModelDir::open(directory.path()).map(|_| ()).map_err(|error| error.to_string())
    };
    for kind in [
        "sentence_transformers.models.Pooling",
        "sentence_transformers.models.Pooling.Pooling",
        "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
        "sentence_transformers.sentence_transformer.modules.Pooling",
    ] {
        assert_eq!(with(kind), Ok(()), "{kind}");
    }
    for kind in [
        "sentence_transformers.evil.Pooling",
        "sentence_transformers.models.evil.Pooling",
        "sentence_transformers.Pooling",
    ] {
        let message = with(kind).unwrap_err();
        assert!(message.contains(&format!("module 1 \"{kind}\" is the model's own code")), "{message}");
    }
}

#[test]
fn a_length_of_0_is_refused() {
    let directory = copy("tiny-bert");
    fs::write(directory.path().join("sentence_bert_config.json"), r#"{"max_seq_length": 0}"#).unwrap();
    let message = ModelDir::open(directory.path()).unwrap_err().to_string();
    assert!(message.ends_with("sentence_bert_config.json: max_seq_length is 0"), "{message}");
}

#[test]
fn files_that_the_reference_ignores_without_modules_are_named() {
    let directory = copy("tiny-bert");
    fs::remove_file(directory.path().join("modules.json")).unwrap();
    let warning = ModelDir::open(directory.path()).unwrap().pooling_guess().unwrap();
    let expected =
        "embtune uses 1_Pooling/config.json, sentence_bert_config.json, config_sentence_transformers.json, which";
    assert!(warning.contains(expected), "{warning}");
}
