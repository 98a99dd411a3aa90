//! Model directories as they are found: whole, damaged, of a kind that is not known.

use std::fs;
use std::path::{Path, PathBuf};

use embtune_model::{Architecture, ModelDir, ModelError, NewWeights, Pooling, Role, save};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity").join(name)
}

fn copy(name: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    copy_into(&fixture(name), directory.path());
    directory
}

fn copy_into(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_into(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

fn edit(directory: &Path, file: &str, from: &str, to: &str) {
    let text = fs::read_to_string(directory.join(file)).unwrap();
    assert!(text.contains(from), "{file} holds {from}");
    fs::write(directory.join(file), text.replace(from, to)).unwrap();
}

#[test]
fn what_a_directory_says_is_read() {
    let bert = ModelDir::open(&fixture("tiny-bert")).unwrap();
    assert_eq!((bert.pooling(), bert.normalizes(), bert.max_seq_length()), (Pooling::Mean, false, 128));
    assert_eq!(
        (bert.prompt(Some(Role::Query)), bert.prompt(Some(Role::Document)), bert.prompt(None)),
        ("query: ", "passage: ", "")
    );
    assert_eq!(bert.config().first_position(), 0);

    let xlmr = ModelDir::open(&fixture("tiny-xlmr")).unwrap();
    assert_eq!((xlmr.pooling(), xlmr.normalizes(), xlmr.max_seq_length()), (Pooling::Cls, true, 512));
    assert_eq!(xlmr.config().architecture, Architecture::XlmRoberta);
    assert_eq!((xlmr.config().first_position(), xlmr.config().max_length()), (2, 512));
    assert!(!xlmr.has_prompts());
}

#[test]
fn the_form_of_sentence_transformers_6_is_read() {
    let directory = copy("tiny-xlmr");
    let root = directory.path();
    fs::write(
        root.join("1_Pooling/config.json"),
        r#"{"embedding_dimension": 32, "pooling_mode": "cls", "include_prompt": true}"#,
    )
    .unwrap();
    edit(
        root,
        "modules.json",
        "sentence_transformers.models.Pooling",
        "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
    );
    fs::remove_file(root.join("sentence_bert_config.json")).unwrap();
    let model = ModelDir::open(root).unwrap();
    assert_eq!((model.pooling(), model.max_seq_length()), (Pooling::Cls, 512));
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    for (file, from, to, expected) in [
        ("config.json", "\"bert\"", "\"deberta\"", "model_type \"deberta\" is not supported"),
        ("config.json", "\"gelu\"", "\"silu\"", "hidden_act \"silu\" is not supported"),
        ("config.json", "\"absolute\"", "\"relative_key\"", "position_embedding_type \"relative_key\""),
        ("config.json", "\"hidden_size\": 32", "\"hidden_size\": 31", "does not divide into 4 attention heads"),
        ("config.json", "\"vocab_size\": 400", "\"vocab_size\": \"x\"", "config.json: invalid type"),
        ("config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 9999999999", "9999999999 layers are not"),
        ("modules.json", "models.Pooling", "models.Dense", "module 1 \"Dense\" is not supported"),
        ("modules.json", "models.Pooling", "models.WordWeights", "module 1 \"WordWeights\" is not supported"),
        ("modules.json", "\"1_Pooling\"", "\"../1_Pooling\"", "leaves the directory"),
        (
            "1_Pooling/config.json",
            "\"pooling_mode_max_tokens\": false",
            "\"pooling_mode_max_tokens\": true",
            "pooling_mode_max_tokens\" is not supported (supported: one of cls, mean, max,",
        ),
    ] {
        let directory = copy("tiny-bert");
        edit(directory.path(), file, from, to);
        let error = ModelDir::open(directory.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn missing_files_are_named() {
    for file in ["config.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json"] {
        let directory = copy("tiny-bert");
        fs::remove_file(directory.path().join(file)).unwrap();
        let error = ModelDir::open(directory.path()).unwrap_err().to_string();
        assert!(error.contains(file) && error.contains("No such file"), "{error}");
    }
}

#[test]
fn weights_of_another_shape_are_refused() {
    let directory = copy("tiny-bert");
    edit(directory.path(), "config.json", "\"intermediate_size\": 64", "\"intermediate_size\": 65");
    let error = ModelDir::open(directory.path()).unwrap().weights().err().unwrap().to_string();
    assert!(error.contains("encoder.layer.0.intermediate.dense.weight\" must be [65, 32], found [64, 32]"), "{error}");
    let file = directory.path().join("model.safetensors");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    assert!(ModelDir::open(directory.path()).unwrap().weights().is_err());
}

#[test]
fn a_saved_directory_is_the_base_with_new_weights() {
    let base = ModelDir::open(&fixture("tiny-bert")).unwrap();
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("tuned");
    let name = "embeddings.LayerNorm.bias";
    let weights: NewWeights = [(name.to_owned(), vec![0.25; 32])].into();
    let nothing = |_: &Path| Ok::<(), ModelError>(());
    save(&base, &weights, &target, false, nothing).unwrap();

    let tuned = ModelDir::open(&target).unwrap();
    assert_eq!(&*tuned.weights().unwrap().require(name).unwrap().to_f32().unwrap(), &[0.25; 32]);
    let (old, new) = (base.weights().unwrap(), tuned.weights().unwrap());
    assert_eq!(old.file().names(), new.file().names(), "the pooler is copied");
    assert_eq!(tuned.prompt(Some(Role::Query)), "query: ");
    assert_ne!(base.fingerprint().unwrap(), tuned.fingerprint().unwrap());
    assert_eq!(base.tokenizer_fingerprint().unwrap(), tuned.tokenizer_fingerprint().unwrap());

    assert!(save(&base, &weights, &target, false, nothing).unwrap_err().to_string().contains("exists already"));
    save(&base, &weights, &target, true, nothing).unwrap();
    save(&base, &weights, &target, true, |_| Err(ModelError::Hub { name: String::new(), what: String::new() }))
        .unwrap_err();
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "nothing is left beside it");

    let other = place.path().join("data");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("precious"), "x").unwrap();
    assert!(save(&base, &weights, &other, true, nothing).unwrap_err().to_string().contains("left alone"));
}
