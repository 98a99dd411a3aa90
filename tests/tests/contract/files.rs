//! Files that are not what they should be: directories, FIFOs, devices or endless files, and damaged safetensors files.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use embtune_tensors::TensorFile;
use embtune_tests::Folder;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::filters::{ALL, Input, of_models, workbench};

/// Holes take no disk.
const ENDLESS: u64 = 1 << 40;

/// The kind of the file, and the message about it.
const KINDS: [(&str, &str); 4] = [
    ("directory", "is a directory, not a regular file"),
    ("FIFO", "is a FIFO, not a regular file"),
    ("socket", "is a socket, not a regular file"),
    ("device", "is a device, not a regular file"),
];

fn put(kind: &str, path: &Path) {
    let _ = fs::remove_file(path);
    match kind {
        "directory" => fs::create_dir(path).unwrap(),
        "FIFO" => mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap(),
        "socket" => drop(UnixListener::bind(path).unwrap()),
        "device" => symlink("/dev/zero", path).unwrap(),
        _ => File::create(path).unwrap().set_len(ENDLESS).unwrap(),
    }
}

/// Files of a model directory that all filters with a model read.
const READ: [&str; 8] = [
    "config.json",
    "modules.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
    "model.safetensors",
];

#[test]
fn a_part_of_a_model_that_is_not_a_file_is_named() {
    for filter in of_models() {
        for file in READ {
            for (kind, expected) in KINDS {
                let folder = workbench();
                put(kind, &folder.path("BASE").join(file));
                let message = filter.run(&folder, "").refusal();
                assert!(message.contains(&format!("BASE/{file}: {expected}")), "{} {kind}: {message}", filter.name);
            }
            let folder = workbench();
            put("endless", &folder.path("BASE").join(file));
            let message = filter.run(&folder, "").refusal();
            let expected = if file.ends_with("json") {
                "has 1099511627776 bytes, and at most "
            } else {
                "not a valid safetensors"
            };
            assert!(message.contains(&format!("BASE/{file}: {expected}")), "{}: {message}", filter.name);
        }
    }
}

#[test]
fn an_onnx_model_that_is_not_a_file_is_named() {
    for (kind, expected) in KINDS {
        let folder = Folder::new();
        folder.copy_fixture("foreign/tiny-albert", "BASE");
        put(kind, &folder.path("BASE/model.onnx"));
        let message = folder.run("embed --device cpu --model BASE --text").stdin("a\n").refusal();
        assert!(message.contains(&format!("BASE/model.onnx: {expected}")), "{kind}: {message}");
    }
}

#[test]
fn vectors_that_are_not_a_file_are_named() {
    for filter in ALL {
        for file in filter.mapped.iter().filter(|file| !file.contains('/')) {
            for (kind, expected) in KINDS {
                let folder = workbench();
                put(kind, &folder.path(file));
                let operand = if *file == "train.safetensors" { file } else { "" };
                let message = filter.empty(&folder, operand).stdin(crate::filters::JUDGMENTS).refusal();
                // A directory is accepted as a set of shards.
                let is_set = kind == "directory" && *file == "train.safetensors";
                let expected = if is_set { "no shards in this directory" } else { expected };
                assert!(message.contains(&format!("{file}: {expected}")), "{} {kind}: {message}", filter.name);
            }
        }
    }
}

#[test]
fn a_list_of_ids_that_is_not_a_file_is_named() {
    let folder = workbench();
    let embed = "embed --device cpu --model BASE --role document";
    let _ = folder.run(&format!("{embed} corpus.jsonl -o c.npy --format npy")).done();
    folder.write("queries.jsonl", r#"{"_id":"q1","text":"sand"}"#);
    let _ = folder.run(&format!("{embed} queries.jsonl -o q.safetensors")).done();
    for (kind, expected) in KINDS.into_iter().chain([("endless", "c.ids:1: an id of more than 16777216 bytes")]) {
        fs::write(folder.path("c.ids"), "d1\nd2\nd3\n").unwrap();
        put(kind, &folder.path("c.ids"));
        let evaluate = "ir-eval --device cpu --qrels - s=q.safetensors,c.npy";
        let message = folder.run(evaluate).stdin("q1\td1\t1\n").refusal();
        assert!(message.contains(expected) && message.contains("c.ids"), "{kind}: {message}");
        let path = folder.path("c.ids");
        let _ = fs::remove_dir(&path).or_else(|_| fs::remove_file(&path));
    }
}

/// The command line with a shard as an operand instead of stdin.
fn from_files(folder: &Folder, name: &str) -> embtune_tests::Run {
    let filter = ALL.into_iter().find(|filter| filter.name == name).unwrap();
    filter.run(folder, if filter.input == Input::Shard { "train.safetensors" } else { "" })
}

#[test]
fn a_truncated_file_is_refused_by_name() {
    for filter in ALL {
        for file in filter.mapped {
            let folder = workbench();
            let whole = folder.bytes(file);
            for length in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
                folder.write(file, &whole[..length]);
                let message = from_files(&folder, filter.name).refusal();
                assert!(message.contains(&format!("{file}: ")), "{file} cut to {length} bytes: {message}");
            }
        }
    }
}

#[test]
fn a_file_of_something_else_is_refused_by_name() {
    for filter in ALL {
        for file in filter.mapped {
            let folder = workbench();
            // A header of the greatest length, a header that is not JSON, and the tensors of another kind of file.
            let shard = folder.bytes("train.safetensors");
            let foreign = if *file == "train.safetensors" { folder.bytes("q") } else { shard };
            for content in [vec![0xff; 64], [&8_u64.to_le_bytes()[..], b"nonsense"].concat(), foreign] {
                folder.write(file, content);
                let message = from_files(&folder, filter.name).refusal();
                assert!(message.contains(&format!("{file}: ")), "{file}: {message}");
            }
        }
    }
}

#[test]
fn a_shard_from_a_pipe_is_refused_as_stdin() {
    let folder = workbench();
    let whole = folder.bytes("train.safetensors");
    for length in [0, 7, 100, whole.len() - 1] {
        let run = folder.run("mnrl-train --device cpu --model BASE --out TUNED").stdin(&whole[..length]);
        let message = run.refusal();
        assert!(message.contains("mnrl-train: <stdin>: "), "{message}");
    }
}

#[test]
fn a_shard_of_another_tokenizer_is_refused() {
    let folder = workbench();
    folder.copy_fixture("parity/tiny-xlmr", "OTHER");
    let message = folder.run("mnrl-train --device cpu --model OTHER --out TUNED train.safetensors").refusal();
    assert!(message.contains("train.safetensors: was made with another tokenizer"), "{message}");
    assert!(message.contains("hint: run pairs2shards with --model OTHER"), "{message}");
}

#[test]
fn weights_that_are_not_numbers_are_refused() {
    let weights = "BASE/model.safetensors";
    for (name, tensor, expected) in [
        ("embed", "embeddings.LayerNorm.weight", "the model's weights are damaged"),
        ("mnrl-train", "encoder.layer.1.output.dense.bias", "tensor \"encoder.layer.1.output.dense.bias\" holds NaN"),
    ] {
        let folder = workbench();
        let at = TensorFile::open(&folder.path(weights)).unwrap().offset(tensor).unwrap();
        for number in [f32::NAN, f32::INFINITY] {
            let mut bytes = folder.bytes(weights);
            bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
            folder.write(weights, bytes);
            let message = from_files(&folder, name).refusal();
            assert!(message.contains(expected), "{message}");
        }
    }
}
