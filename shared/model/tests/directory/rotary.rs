//! The families with rotary positions: ModernBERT, NomicBERT and Qwen3.

use std::fs;
use std::path::Path;

use embtune_encoders::Encoder;
use embtune_model::{ModelDir, Pooling, Role};
use serde_json::{Map, Value, json};

use crate::support::{copy, edit, fixture, tensor_names};

fn encoder(root: &Path) -> Encoder {
    ModelDir::open(root).unwrap().encoder().clone()
}

/// Rewrites `config.json`.
fn change(root: &Path, change: impl FnOnce(&mut Map<String, Value>)) {
    let file = root.join("config.json");
    let mut config: Map<String, Value> = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    change(&mut config);
    fs::write(&file, Value::Object(config).to_string()).unwrap();
}

#[test]
fn the_configuration_and_all_tensors_of_each_family_are_read() {
    let model = ModelDir::open(&fixture("tiny-qwen3")).unwrap();
    assert_eq!(
        (model.pooling(), model.normalizes(), model.prompt(Some(Role::Document))),
        (Pooling::LastToken, true, "")
    );
    assert!(model.prompt(Some(Role::Query)).starts_with("Instruct: "));

    for (name, tensors) in [("tiny-modernbert", 26), ("tiny-nomic", 22), ("tiny-qwen3", 35)] {
        let model = ModelDir::open(&fixture(name)).unwrap();
        assert_eq!((model.config().max_length, model.max_seq_length()), (512, 128));
        model.weights().unwrap();
        assert_eq!(model.parameters().len(), tensors, "every tensor of the file is read");
        assert_eq!(tensor_names(model.root()).len(), tensors);
    }
}

#[test]
fn the_keys_of_transformers_5_are_equivalent() {
    let rope = |theta: f64| json!({"rope_theta": theta, "rope_type": "default"});

    let directory = copy("tiny-modernbert");
    change(directory.path(), |config| {
        for key in ["global_attn_every_n_layers", "global_rope_theta", "local_rope_theta"] {
            config.remove(key).unwrap();
        }
        let (whole, window) = ("full_attention", "sliding_attention");
        config.insert("layer_types".into(), json!([whole, window, window, whole]));
        config.insert("rope_parameters".into(), json!({whole: rope(160_000.0), window: rope(10_000.0)}));
    });
    assert_eq!(encoder(directory.path()), encoder(&fixture("tiny-modernbert")));

    let directory = copy("tiny-qwen3");
    change(directory.path(), |config| {
        config.remove("rope_theta").unwrap();
        config.remove("rope_scaling").unwrap();
        config.insert("layer_types".into(), json!(["full_attention", "full_attention", "full_attention"]));
        config.insert("rope_parameters".into(), rope(1e6));
    });
    assert_eq!(encoder(directory.path()), encoder(&fixture("tiny-qwen3")));
}

#[test]
fn the_older_names_of_nomic_are_equivalent() {
    let directory = copy("tiny-nomic");
    change(directory.path(), |config| {
        for key in [
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "intermediate_size",
            "max_position_embeddings",
            "layer_norm_eps",
            "hidden_act",
            "rope_parameters",
        ] {
            config.remove(key).unwrap();
        }
    });
    assert_eq!(encoder(directory.path()), encoder(&fixture("tiny-nomic")));
    // The older code changes the frequencies for texts that are longer than in training; here such texts are cut.
    edit(directory.path(), "config.json", "\"rotary_scaling_factor\":null", "\"rotary_scaling_factor\":2");
    assert_eq!(encoder(directory.path()).config().max_length, 128);
}

#[test]
fn unsupported_settings_are_named() {
    for (name, key, value, expected) in [
        ("tiny-modernbert", "norm_bias", json!(true), "norm_bias true is not supported (supported: false)"),
        ("tiny-modernbert", "attention_bias", json!(true), "attention_bias true is not supported"),
        ("tiny-modernbert", "hidden_activation", json!("mish"), "hidden_activation \"mish\" is not supported"),
        ("tiny-modernbert", "layer_types", json!(["full_attention"]), "layer_types has 1 entries for 4 layers"),
        (
            "tiny-modernbert",
            "layer_types",
            json!(vec!["chunked_attention"; 4]),
            "layer type \"chunked_attention\" is not",
        ),
        ("tiny-modernbert", "global_attn_every_n_layers", json!(0), "global_attn_every_n_layers is 0"),
        ("tiny-modernbert", "local_rope_theta", json!(-1), "rope_theta must be a positive number, found -1"),
        ("tiny-modernbert", "rope_scaling", json!({"type": "linear"}), "rope_type \"linear\" is not supported"),
        ("tiny-modernbert", "num_attention_heads", json!(5), "hidden_size 32 does not divide into 5 attention heads"),
        ("tiny-modernbert", "num_attention_heads", json!(32), "attention heads of 1 elements are not supported"),
        ("tiny-nomic", "moe_every_n_layers", json!(2), "moe_every_n_layers with the activation_function \"swiglu\" is"),
        ("tiny-nomic", "activation_function", json!("mish"), "activation_function \"mish\" is not supported"),
        ("tiny-nomic", "num_shared_experts", json!(1), "num_shared_experts 1 is not supported (supported: 0)"),
        ("tiny-nomic", "rotary_emb_fraction", json!(0.5), "rotary_emb_fraction 0.5 is not supported (supported: 1.0)"),
        ("tiny-nomic", "rotary_emb_interleaved", json!(true), "rotary_emb_interleaved true is not supported"),
        ("tiny-nomic", "prenorm", json!(true), "prenorm true is not supported"),
        ("tiny-nomic", "head_dim", json!(4), "head_dim 4 is not supported (supported: 8)"),
        ("tiny-nomic", "rope_parameters", json!({"partial_rotary_factor": 0.5}), "partial_rotary_factor 0.5 is not"),
        ("tiny-qwen3", "rope_scaling", json!({"rope_type": "yarn", "factor": 4.0}), "rope_type \"yarn\" is not"),
        ("tiny-qwen3", "use_sliding_window", json!(true), "use_sliding_window true is not supported"),
        ("tiny-qwen3", "layer_types", json!(["sliding_attention"]), "layer type \"sliding_attention\" is not"),
        ("tiny-gemma3", "use_bidirectional_attention", json!(false), "use_bidirectional_attention false is not"),
        ("tiny-gemma3", "attn_logit_softcapping", json!(30), "attn_logit_softcapping 30 is not supported"),
        ("tiny-gte", "rope_scaling", json!({"type": "ntk", "mixed_b": 0.5, "factor": 2}), "mixed_b of the rotary"),
        ("tiny-gte", "rope_scaling", json!({"type": "ntk"}), "needs a factor of at least 1"),
        ("tiny-gte", "layer_norm_type", json!("rms_norm"), "layer_norm_type \"rms_norm\" is not supported"),
        ("tiny-t5", "feed_forward_proj", json!("gated-mish"), "feed_forward_proj \"mish\" is not supported"),
        (
            "tiny-t5",
            "relative_attention_max_distance",
            json!(8),
            "32 buckets of relative positions up to a distance of 8",
        ),
        ("tiny-qwen3", "num_key_value_heads", json!(3), "4 attention heads do not divide into 3 of keys and values"),
        ("tiny-qwen3", "num_key_value_heads", json!(0), "4 attention heads do not divide into 0"),
        ("tiny-qwen3", "hidden_size", json!(0), "has hidden states without elements"),
        ("tiny-qwen3", "max_position_embeddings", json!(0), "has no positions"),
        ("tiny-qwen3", "num_hidden_layers", json!(1_000_000), "1000000 layers are not supported"),
        ("tiny-qwen3", "head_dim", json!("x"), "config.json: invalid type"),
    ] {
        let directory = copy(name);
        change(directory.path(), |config| {
            config.insert(key.into(), value);
        });
        let error = ModelDir::open(directory.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{key}: {error}");
    }
}

#[test]
fn weights_of_another_shape_are_refused() {
    for (name, key, value, expected) in [
        (
            "tiny-modernbert",
            "intermediate_size",
            json!(49),
            "layers.0.mlp.Wi.weight\" must be [98, 32], found [96, 32]",
        ),
        ("tiny-nomic", "intermediate_size", json!(65), "encoder.layers.0.mlp.fc12.weight\" must be [65, 32]"),
        (
            "tiny-qwen3",
            "num_key_value_heads",
            json!(4),
            "layers.0.self_attn.k_proj.weight\" must be [64, 32], found [32",
        ),
        ("tiny-qwen3", "head_dim", json!(usize::MAX - 1), "layers.0.self_attn.q_proj.weight\" must be ["),
    ] {
        let directory = copy(name);
        change(directory.path(), |config| {
            config.insert(key.into(), value);
            config.remove("n_inner");
        });
        let error = ModelDir::open(directory.path()).unwrap().weights().err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
