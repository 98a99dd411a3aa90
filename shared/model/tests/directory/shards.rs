//! Weights in several files, with an index.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use embtune_model::{ModelDir, ModelError, NewWeights, save};
use embtune_tensors::{TensorFile, write_tensors};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{copy, fixture, tensor_names};

const INDEX: &str = "model.safetensors.index.json";
const SHARDS: [&str; 3] =
    ["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors"];

/// A copy of a fixture whose tensors are dealt out to three files.
fn sharded(name: &str) -> TempDir {
    let directory = copy(name);
    let path = directory.path().join("model.safetensors");
    let file = TensorFile::open(&path).unwrap();
    let mut weight_map = BTreeMap::new();
    for (number, shard) in SHARDS.iter().enumerate() {
        let names: Vec<String> = file.names().into_iter().skip(number).step_by(SHARDS.len()).collect();
        write(&directory.path().join(shard), &file, &names);
        weight_map.extend(names.into_iter().map(|name| (name, *shard)));
    }
    fs::remove_file(path).unwrap();
    write_index(directory.path(), &json!({"metadata": {"total_size": 1}, "weight_map": weight_map}));
    directory
}

fn write(path: &Path, from: &TensorFile, names: &[String]) {
    let tensor = |name: &String| from.require(name).map(|found| (found.dtype, found.shape.to_vec(), found.bytes));
    let tensors: Vec<_> = names.iter().map(|name| (name.as_str(), tensor(name).unwrap())).collect();
    let tensors: Vec<_> =
        tensors.into_iter().map(|(name, (dtype, shape, bytes))| (name, dtype, shape, bytes)).collect();
    let mut bytes = Vec::new();
    write_tensors(&tensors, None, &mut bytes).unwrap();
    fs::write(path, bytes).unwrap();
}

fn write_index(directory: &Path, index: &Value) {
    fs::write(directory.join(INDEX), index.to_string()).unwrap();
}

fn index(directory: &Path) -> Value {
    serde_json::from_slice(&fs::read(directory.join(INDEX)).unwrap()).unwrap()
}

#[test]
fn shards_are_read_as_one_file() {
    for name in ["tiny-bert", "tiny-qwen3"] {
        let directory = sharded(name);
        let (model, whole) = (ModelDir::open(directory.path()).unwrap(), ModelDir::open(&fixture(name)).unwrap());
        assert_eq!(model.weight_files(), SHARDS.map(|shard| directory.path().join(shard)));
        let (found, expected) = (model.weights().unwrap(), whole.weights().unwrap());
        for parameter in whole.parameters() {
            let bytes = expected.require(&parameter.name).unwrap().bytes;
            assert_eq!(found.require(&parameter.name).unwrap().bytes, bytes);
            let place = found.place(&parameter.name).unwrap();
            assert_eq!(&fs::read(place.file).unwrap()[place.offset..][..bytes.len()], bytes);
        }
        let sizes = model.weight_files().iter().map(|file| fs::metadata(file).unwrap().len()).sum::<u64>();
        assert_eq!(model.encoder_bytes(), sizes);
        let before = model.fingerprint().unwrap();
        let mut last = fs::read(directory.path().join(SHARDS[2])).unwrap();
        *last.last_mut().unwrap() ^= 1;
        fs::write(directory.path().join(SHARDS[2]), last).unwrap();
        assert_ne!(model.fingerprint().unwrap(), before, "every shard counts");
    }
}

#[test]
fn a_saved_directory_has_one_file() {
    let directory = sharded("tiny-bert");
    let base = ModelDir::open(directory.path()).unwrap();
    let target = directory.path().join("tuned");
    save(&base, &NewWeights::new(), &target, false, |_| Ok::<_, ModelError>(())).unwrap();
    let sorted = |directory: &Path| {
        let mut names = tensor_names(directory);
        names.sort();
        names
    };
    assert_eq!(sorted(&target), sorted(&fixture("tiny-bert")), "the pooler is copied, too");
    for name in SHARDS.into_iter().chain([INDEX]) {
        assert!(!target.join(name).exists(), "{name}");
    }
}

#[test]
fn a_single_file_is_preferred_to_shards_and_safetensors_to_checkpoints() {
    let directory = sharded("tiny-bert");
    fs::write(directory.path().join("pytorch_model.bin"), "not read").unwrap();
    assert!(ModelDir::open(directory.path()).unwrap().weights().is_ok());
    fs::copy(fixture("tiny-bert").join("model.safetensors"), directory.path().join("model.safetensors")).unwrap();
    fs::write(directory.path().join(INDEX), "not read").unwrap();
    let model = ModelDir::open(directory.path()).unwrap();
    assert_eq!(model.weight_files(), [directory.path().join("model.safetensors")]);
}

#[test]
fn checkpoints_may_have_an_index() {
    let directory = copy("tiny-roberta");
    let (old, shard) = ("pytorch_model.bin", "pytorch_model-00001-of-00001.bin");
    fs::rename(directory.path().join(old), directory.path().join(shard)).unwrap();
    let names = TensorFile::open_checkpoint(&directory.path().join(shard)).unwrap().names();
    let map: BTreeMap<_, _> = names.into_iter().map(|name| (name, shard)).collect();
    let index = directory.path().join("pytorch_model.bin.index.json");
    fs::write(&index, json!({"weight_map": map}).to_string()).unwrap();
    assert!(ModelDir::open(directory.path()).unwrap().weights().is_ok());
    let text = fs::read_to_string(&index).unwrap().replace(".bin\"", ".safetensors\"");
    fs::write(&index, text).unwrap();
    let error = ModelDir::open(directory.path()).unwrap_err().to_string();
    assert!(error.contains("\"pytorch_model-00001-of-00001.safetensors\", is not a .bin file"), "{error}");
}

/// The error of a sharded directory that was changed.
fn error_after(change: impl Fn(&Path)) -> String {
    let directory = sharded("tiny-bert");
    change(directory.path());
    match ModelDir::open(directory.path()).and_then(|model| model.weights().map(drop)) {
        Err(error) => error.to_string(),
        Ok(()) => "read".into(),
    }
}

#[test]
fn hostile_indices_are_refused() {
    const WORD: &str = "embeddings.word_embeddings.weight";
    let with = |shard: Value| {
        error_after(|directory| {
            let mut index = index(directory);
            index["weight_map"][WORD] = shard.clone();
            write_index(directory, &index);
        })
    };
    for shard in ["../model.safetensors", "/etc/model.safetensors", "a/model.safetensors", "..", "", "."] {
        let error = with(shard.into());
        let expected = format!("{INDEX}: the file of tensor \"{WORD}\", \"{shard}\", is not in its folder");
        assert!(error.contains(&expected), "{shard}: {error}");
    }
    assert!(with("config.json".into()).contains("is not a .safetensors file"));
    assert!(with(json!(7)).contains(&format!("{INDEX}: invalid type")));
    let error = with("other.safetensors".into());
    assert!(error.contains(&format!("other.safetensors: No such file, but {INDEX} names it")), "{error}");
    let error = with(SHARDS[2].into());
    assert!(error.contains(&format!("tensor \"{WORD}\" is in this file, but {INDEX} says {}", SHARDS[2])), "{error}");

    for (content, expected) in [
        ("{}", "has no weight_map, which names the file of each tensor".to_owned()),
        ("{\"weight_map\": null}", "has no weight_map".into()),
        ("{\"weight_map\": {}}", "its weight_map is empty".into()),
        ("{\"weight_map\": []}", "expected the file of each tensor".into()),
        ("{\"weight_map\"", "EOF".into()),
        (
            "{\"weight_map\": {\"a\": \"b.safetensors\", \"a\": \"c.safetensors\"}}",
            "tensor \"a\" is listed twice".into(),
        ),
    ] {
        let error = error_after(|directory| fs::write(directory.join(INDEX), content).unwrap());
        assert!(error.contains(&format!("{INDEX}: {expected}")) || error.contains(&expected), "{content}: {error}");
    }
}

#[test]
fn shards_that_differ_from_their_index_are_refused() {
    let error = error_after(|directory| fs::remove_file(directory.join(SHARDS[1])).unwrap());
    assert!(error.contains(&format!("{}: No such file, but {INDEX} names it", SHARDS[1])), "{error}");

    let error = error_after(|directory| {
        let path = directory.join(SHARDS[1]);
        let bytes = fs::read(&path).unwrap();
        fs::write(path, &bytes[..bytes.len() - 5]).unwrap();
    });
    assert!(error.contains(&format!("{}: not a valid safetensors file", SHARDS[1])), "{error}");

    let error = error_after(|directory| {
        let mut index = index(directory);
        index["weight_map"]["more"] = SHARDS[0].into();
        write_index(directory, &index);
    });
    assert!(error.contains(&format!("{}: no tensor \"more\", although {INDEX} lists it", SHARDS[0])), "{error}");

    let error = error_after(|directory| {
        let mut index = index(directory);
        index["weight_map"].as_object_mut().unwrap().remove("pooler.dense.bias").unwrap();
        write_index(directory, &index);
    });
    assert!(error.contains(&format!("tensor \"pooler.dense.bias\" is not listed in {INDEX}")), "{error}");

    // A tensor of the first shard once more, in the second one.
    let error = error_after(|directory| {
        let whole = TensorFile::open(&fixture("tiny-bert").join("model.safetensors")).unwrap();
        let mut names = TensorFile::open(&directory.join(SHARDS[1])).unwrap().names();
        let twice = TensorFile::open(&directory.join(SHARDS[0])).unwrap().names().remove(0);
        names.push(twice);
        write(&directory.join(SHARDS[1]), &whole, &names);
    });
    assert!(error.contains(&format!("is in this file, but {INDEX} says {}", SHARDS[0])), "{error}");
}
