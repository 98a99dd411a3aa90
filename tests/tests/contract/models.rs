//! Model directories that cannot be used: files that are missing, wrong, or changed anywhere.

use std::fs;

use embtune_tests::{Folder, complaints};
use serde_json::{Value, json};

use crate::filters::{ALL, of_models, workbench};

#[test]
fn a_file_that_is_missing_is_named() {
    for filter in of_models() {
        for file in ["tokenizer.json", "config.json", "model.safetensors"] {
            let folder = workbench();
            fs::remove_file(folder.path("BASE").join(file)).unwrap();
            let message = filter.run(&folder, "").refusal();
            assert!(message.contains(&format!("BASE/{file}: No such file")), "{message}");
        }
        let folder = workbench();
        fs::remove_dir_all(folder.path("BASE")).unwrap();
        let message = filter.run(&folder, "").refusal();
        assert!(message.contains("BASE: no such model directory"), "{message}");
    }
}

#[test]
fn a_model_of_an_unknown_kind_is_refused_by_its_kind() {
    for filter in of_models() {
        let folder = workbench();
        let config = folder.read("BASE/config.json");
        folder.write("BASE/config.json", config.replace("\"bert\"", "\"mamba\""));
        let message = filter.run(&folder, "").refusal();
        assert!(message.contains("BASE: model_type \"mamba\" is not supported (supported: bert"), "{message}");
    }
}

#[test]
fn a_file_that_is_not_json_is_named() {
    for filter in of_models() {
        for file in ["config.json", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json"] {
            let folder = workbench();
            let path = format!("BASE/{file}");
            let whole = folder.bytes(&path);
            folder.write(&path, &whole[..whole.len() / 2]);
            let message = filter.run(&folder, "").refusal();
            assert!(message.contains(&format!("{path}: ")), "{message}");
        }
    }
}

#[test]
fn a_damaged_tokenizer_is_named() {
    for name in ["pairs2shards", "embed"] {
        let filter = ALL.into_iter().find(|filter| filter.name == name).unwrap();
        let folder = workbench();
        let whole = folder.bytes("BASE/tokenizer.json");
        folder.write("BASE/tokenizer.json", &whole[..whole.len() / 2]);
        let message = filter.run(&folder, "").refusal();
        assert!(message.contains("BASE/tokenizer.json: "), "{message}");
    }
}

#[test]
fn weights_of_another_shape_are_named() {
    for name in ["st2onnx", "embed", "pairs2shards", "mnrl-train"] {
        let filter = ALL.into_iter().find(|filter| filter.name == name).unwrap();
        let folder = workbench();
        let config = folder.read("BASE/config.json");
        folder.write("BASE/config.json", config.replace("\"intermediate_size\": 64", "\"intermediate_size\": 65"));
        let message = filter.run(&folder, "").refusal();
        let expected = "BASE/model.safetensors: tensor \"encoder.layer.0.intermediate.dense.weight\" must be [65, 32]";
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_model_that_leaves_out_the_prompt_is_not_trained() {
    let folder = Folder::new();
    folder.copy_fixture("parity/tiny-t5-gated", "BASE");
    let expected = "BASE: a model whose pooling leaves out the prompt (include_prompt false) cannot be trained";
    // pairs2shards already refuses a model that mnrl-train will not train, with the same message.
    for line in ["pairs2shards --model BASE -o s.safetensors", "mnrl-train --model BASE --out TUNED s.safetensors"] {
        let message = folder.run(line).refusal();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_model_that_is_an_onnx_file_is_only_embedded() {
    for filter in of_models() {
        let folder = workbench();
        std::fs::remove_dir_all(folder.path("BASE")).unwrap();
        folder.copy_fixture("foreign/tiny-albert", "BASE");
        if filter.name == "embed" {
            let _ = filter.run(&folder, "").done();
            continue;
        }
        let message = filter.run(&folder, "").refusal();
        let expected = "BASE: model_type \"albert\" is not supported (supported: bert";
        let hint = "hint: only embed runs such a model, through its BASE/model.onnx";
        assert!(message.contains(expected) && message.contains(hint), "{message}");
    }
}

/// fastembed reads these files beside the graph.
#[test]
fn st2onnx_writes_the_tokenizer_s_files_that_are_missing() {
    let folder = workbench();
    let names = ["tokenizer_config.json", "special_tokens_map.json"];
    let [config, map] = names.map(|name| folder.read(&format!("BASE/{name}")));
    let read = || names.map(|name| folder.read(&format!("BASE/{name}")));
    let _ = folder.run("st2onnx BASE").done();
    assert_eq!(read(), [config.clone(), map]);

    // Existing files are left alone, whatever they contain.
    let endless = config.replace("\"model_max_length\": 512", "\"model_max_length\": 1e30");
    assert_ne!(endless, config);
    folder.write("BASE/tokenizer_config.json", &endless);
    fs::remove_file(folder.path("BASE/special_tokens_map.json")).unwrap();
    let _ = folder.run("st2onnx -v BASE").done().saying("wrote BASE/special_tokens_map.json");
    let [config, map] = read();
    assert_eq!(config, endless);
    let map: serde_json::Value = serde_json::from_str(&map).unwrap();
    assert_eq!((&map["pad_token"]["content"], &map["cls_token"]["lstrip"]), (&"[PAD]".into(), &false.into()));
}

/// JSON pointers to all values.
fn places(value: &Value, place: &str, found: &mut Vec<String>) {
    found.push(place.to_owned());
    let mut inside = |name: String, value| places(value, &format!("{place}/{name}"), found);
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| inside(name.clone(), value)),
        Value::Array(values) => (0..).zip(values).take(2).for_each(|(n, value): (i32, _)| inside(n.to_string(), value)),
        _ => {}
    }
}

/// The file with each value replaced or removed.
fn changes(whole: &Value) -> Vec<(String, Value)> {
    let others = [
        json!(null),
        json!(0),
        json!(-1),
        json!(u64::MAX),
        json!(1_u64 << 40),
        json!(1e308),
        json!("x"),
        json!([{}]),
        json!({}),
    ];
    let mut found = Vec::new();
    places(whole, "", &mut found);
    let mut changed = Vec::new();
    for place in found {
        for other in &others {
            let mut new = whole.clone();
            *new.pointer_mut(&place).unwrap() = other.clone();
            changed.push((format!("{place} = {other}"), new));
        }
        if let Some((parent, name)) = place.rsplit_once('/') {
            let mut new = whole.clone();
            if let Some(fields) = new.pointer_mut(parent).and_then(Value::as_object_mut) {
                fields.remove(name);
                changed.push((format!("without {place}"), new));
            }
        }
    }
    changed
}

/// Runs a command line on a model with every change of a file, on all cores.
fn try_out(model: &str, file: &str, line: &str) {
    let whole: Value = {
        let folder = Folder::new();
        folder.copy_fixture(model, "BASE");
        serde_json::from_str(&folder.read(&format!("BASE/{file}"))).unwrap()
    };
    let changed = changes(&whole);
    assert!(changed.len() > 9, "{model}/{file}");
    let copy = || {
        let folder = Folder::new();
        folder.copy_fixture(model, "BASE");
        folder
    };
    let complaints = complaints(&changed, copy, |folder, (what, new)| {
        folder.write(&format!("BASE/{file}"), new.to_string());
        // Memory of an absurd size must not be allocated.
        let ran =
            folder.shell(&format!("ulimit -v 16000000; exec {line}")).stdin("the lift\n\nwater 1957 before\n").ran();
        let message = ran.stderr();
        let names_it = ["BASE", "max_seq_length", "texts are cut at"].iter().any(|name| message.contains(name));
        let is_sound = match ran.code {
            0 => true,
            2 => names_it && !message.contains("internal error") && !message.contains("panicked"),
            _ => false,
        };
        (!is_sound).then(|| format!("{model}/{file}: {what}\n{ran}"))
    });
    assert!(complaints.is_empty(), "{} of {}:\n{}", complaints.len(), changed.len(), complaints.join("\n"));
}

const EMBED: &str = "embed -q --device cpu --threads 1 --model BASE --text";

#[test]
fn any_value_of_an_encoder_s_setting_is_used_or_refused_by_name() {
    for model in [
        "tiny-bert",
        "tiny-xlmr",
        "tiny-mpnet",
        "tiny-distilbert",
        "tiny-modernbert",
        "tiny-nomic",
        "tiny-nomic-moe",
        "tiny-jina3",
        "tiny-qwen3",
        "tiny-gemma3",
        "tiny-gte",
        "tiny-t5",
    ] {
        try_out(&format!("parity/{model}"), "config.json", EMBED);
    }
    try_out("foreign/tiny-albert", "config.json", EMBED);
}

#[test]
fn any_value_of_a_setting_around_the_encoder_is_used_or_refused_by_name() {
    for file in [
        "modules.json",
        "sentence_bert_config.json",
        "config_sentence_transformers.json",
        "1_Pooling/config.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
    ] {
        try_out("parity/tiny-bert", file, EMBED);
    }
    try_out("parity/tiny-dense", "2_Dense/config.json", EMBED);
}

#[test]
fn damaged_onnx_files_are_refused_by_name() {
    let folder = Folder::new();
    folder.copy_fixture("foreign/tiny-albert", "BASE");
    let whole = folder.bytes("BASE/model.onnx");
    let mut damaged: Vec<Vec<u8>> =
        [0, 1, 7, 100, whole.len() / 2, whole.len() - 1].map(|length| whole[..length].to_vec()).into();
    damaged.push(b"garbage".repeat(1000));
    damaged.push(vec![0xff; 5000]);
    for at in (0..whole.len().min(4000)).step_by(97) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        damaged.push(bytes);
    }
    for bytes in damaged {
        folder.write("BASE/model.onnx", bytes);
        let ran = folder.shell(&format!("ulimit -v 16000000; exec {EMBED}")).stdin("the lift\n").ran();
        let message = ran.stderr();
        assert!(matches!(ran.code, 0 | 2) && !message.contains("internal error"), "{ran}");
        assert!(ran.code == 0 || message.contains("BASE"), "{ran}");
    }
}
