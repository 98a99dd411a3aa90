//! Model directories that cannot be used.

use std::fs;

use embtune_tests::Folder;

use crate::filters::{ALL, Filter, workbench};

/// The filters that open a model directory.
fn of_models() -> impl Iterator<Item = Filter> {
    ALL.into_iter().filter(|filter| filter.line.contains("BASE"))
}

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
fn a_file_that_is_no_json_is_named() {
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
fn a_family_that_is_only_embedded_is_not_trained() {
    for (fixture, name) in [("tiny-modernbert", "ModernBERT"), ("tiny-nomic", "NomicBERT"), ("tiny-qwen3", "Qwen3")] {
        let folder = Folder::new();
        folder.copy_fixture(&format!("parity/{fixture}"), "BASE");
        let expected =
            format!("BASE: {name} cannot be trained (supported: BERT, RoBERTa, XLM-RoBERTa, MPNet, DistilBERT)");
        // What will not be trained is better known before its shards are made, in the same words.
        for line in ["pairs2shards --model BASE -o s.safetensors", "mnrl-train --model BASE --out TUNED s.safetensors"]
        {
            let message = folder.run(line).refusal();
            assert!(message.contains(&expected), "{message}");
        }
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

/// What fastembed reads beside the graph.
#[test]
fn st2onnx_writes_the_tokenizer_s_files_that_are_missing() {
    let folder = workbench();
    let names = ["tokenizer_config.json", "special_tokens_map.json"];
    let [config, map] = names.map(|name| folder.read(&format!("BASE/{name}")));
    let read = || names.map(|name| folder.read(&format!("BASE/{name}")));
    let _ = folder.run("st2onnx BASE").done();
    assert_eq!(read(), [config.clone(), map]);

    // What is there is left alone, whatever it says.
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
