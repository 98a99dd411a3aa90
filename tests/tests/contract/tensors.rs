//! Damaged safetensors files: vectors, shards, weights.

use embtune_tensors::TensorFile;
use embtune_tests::Folder;

use crate::filters::{ALL, Input, workbench};

/// The command line without stdin: a shard becomes an operand.
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
            // A header as long as a file can claim, a header that is no JSON, tensors that are others'.
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
fn weights_that_are_no_numbers_are_refused() {
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
