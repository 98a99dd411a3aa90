//! What stands where a file should be: directories, FIFOs, sockets, devices, and files without a practical end.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use embtune_tests::Folder;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::filters::{ALL, of_models, workbench};

/// Holes take no disk.
const ENDLESS: u64 = 1 << 40;

/// What stands there, and what is said about it.
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

/// Files of a model directory that every filter with a model reads.
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
fn a_file_of_a_model_that_is_none_is_named() {
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
fn an_onnx_file_that_is_none_is_named() {
    for (kind, expected) in KINDS {
        let folder = Folder::new();
        folder.copy_fixture("foreign/tiny-albert", "BASE");
        put(kind, &folder.path("BASE/model.onnx"));
        let message = folder.run("embed --device cpu --model BASE --text").stdin("a\n").refusal();
        assert!(message.contains(&format!("BASE/model.onnx: {expected}")), "{kind}: {message}");
    }
}

#[test]
fn vectors_that_are_no_file_are_named() {
    for filter in ALL {
        for file in filter.mapped.iter().filter(|file| !file.contains('/')) {
            for (kind, expected) in KINDS {
                let folder = workbench();
                put(kind, &folder.path(file));
                let operand = if *file == "train.safetensors" { file } else { "" };
                let message = filter.empty(&folder, operand).stdin(crate::filters::JUDGMENTS).refusal();
                // A directory of shards is a set of them.
                let is_set = kind == "directory" && *file == "train.safetensors";
                let expected = if is_set { "no shards in this directory" } else { expected };
                assert!(message.contains(&format!("{file}: {expected}")), "{} {kind}: {message}", filter.name);
            }
        }
    }
}

#[test]
fn a_list_of_ids_that_is_none_is_named() {
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
