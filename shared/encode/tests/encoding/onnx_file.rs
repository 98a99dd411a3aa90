//! Encoders that are ONNX files: comparison with sentence-transformers, and files that are refused.
//!
//! The files, the figures and the script that made them are in `tests/fixtures/foreign`.

use std::fs;

use embtune_encode::{EncodeError, Encoder, EncoderOptions, Precision};
use embtune_model::AnyModelDir;
use embtune_tests::{Folder, fixture};
use serde_json::Value;

use crate::support::{cosine, options, texts, vector};

/// The texts of a model's fixture, and sentence-transformers' vectors of them.
fn figures(name: &str) -> (Vec<String>, Vec<Vec<f32>>) {
    let figures: Value = serde_json::from_slice(&fs::read(fixture(&format!("foreign/{name}.json"))).unwrap()).unwrap();
    (texts(&figures), figures["embeddings"].as_array().unwrap().iter().map(vector).collect())
}

/// tiny-albert with another file as its encoder.
fn with_case(name: &str) -> Folder {
    let folder = Folder::new();
    folder.copy_fixture("foreign/tiny-albert", "MODEL");
    fs::copy(fixture(&format!("foreign/cases/{name}.onnx")), folder.path("MODEL/model.onnx")).unwrap();
    folder
}

fn load(folder: &Folder) -> Result<Encoder, EncodeError> {
    let model = AnyModelDir::open_any(&folder.path("MODEL")).unwrap();
    Encoder::load(&model, &options(&model))
}

#[test]
fn vectors_are_those_of_the_reference_in_any_batch() {
    // The first model has mean pooling and normalisation. The second has its tensors in another file, 32-bit ids, CLS
    // pooling and a Dense module.
    for name in ["tiny-albert", "tiny-electra"] {
        let model = AnyModelDir::open_any(&fixture(&format!("foreign/{name}"))).unwrap();
        let (texts, expected) = figures(name);
        let mut encoder = Encoder::load(&model, &options(&model)).unwrap();
        let together = encoder.encode(&texts).unwrap();
        assert_eq!(together.truncated, 2);
        for (index, (found, expected)) in together.vectors.chunks_exact(encoder.dim()).zip(&expected).enumerate() {
            assert_eq!(found.len(), expected.len());
            let norm = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>().sqrt();
            assert!(cosine(found, expected) > 0.999_99, "{name}, text {index}: cosine {}", cosine(found, expected));
            assert!((norm(found) / norm(expected) - 1.0).abs() < 1e-4, "{name}, text {index}: another length");
            let alone = encoder.encode(&texts[index..=index]).unwrap().vectors;
            assert!(cosine(found, &alone) > 0.999_999, "{name}, text {index}: another vector among others");
        }
        assert_eq!(together.vectors.len(), texts.len() * encoder.dim());
    }
}

/// The sum of the hidden states of some tokens. In these files, that of a token is `sin(id · (1, 2, … 32))`.
fn states(ids: impl Iterator<Item = f32>) -> Vec<f32> {
    let mut sum = vec![0.0; 32];
    for id in ids {
        sum.iter_mut().zip(1..).for_each(|(x, factor)| *x += (id * factor as f32).sin());
    }
    sum
}

#[test]
fn inputs_and_outputs_are_recognised_by_name() {
    for (name, positions) in [("positions", 1.0), ("unnamed", 0.0), ("pooled", 0.0)] {
        let mut encoder = load(&with_case(name)).unwrap();
        let rows = encoder.text_tokenizer().tokenize(&["harbour", "Fishing boats leave before dawn"]).unwrap();
        let vectors = encoder.runner().run(&rows).unwrap();
        assert_eq!(vectors.len(), 2 * 32);
        for (row, found) in rows.iter().zip(vectors.chunks_exact(32)) {
            let ids = row.ids.iter().enumerate().map(|(place, id)| *id as f32 + positions * place as f32);
            assert!(cosine(&states(ids), found) > 0.999_99, "{name}");
            assert!(
                (cosine(found, found) - 1.0).abs() < 1e-6
                    && (found.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5
            );
        }
    }
}

#[test]
fn files_that_are_not_encoders_are_refused() {
    for (name, expected) in [
        ("unknown-input", "its input \"pixel_values\" is unknown (known: input_ids, attention_mask, "),
        ("no-ids", "its input \"tokens\" is unknown"),
        ("float-ids", "its input \"input_ids\" must be int64 or int32 [batch, sequence], found float32 [?, ?]"),
        ("flat-ids", "its input \"input_ids\" must be int64 or int32 [batch, sequence], found int64 [?]"),
        ("fixed", "its input \"input_ids\" has a fixed size, int64 [1, 16]: export it with dynamic axes"),
        (
            "logits",
            "has no output \"last_hidden_state\" or \"token_embeddings\" (outputs: \"logits\" float32 [?, ?, 400])",
        ),
        ("half", "its output \"last_hidden_state\" must be float32 [batch, sequence, hidden], found f16 [?, ?, 32]"),
        ("two-dimensions", "must be float32 [batch, sequence, hidden], found float32 [?, 32]"),
        ("wide", "its output \"last_hidden_state\" has 48 elements, but "),
        (
            "one-vector",
            "has no output \"last_hidden_state\" or \"token_embeddings\" (outputs: \"pooler_output\" float32 [?, 32])",
        ),
    ] {
        let folder = with_case(name);
        let error = load(&folder).err().unwrap().to_string();
        let file = folder.path("MODEL/model.onnx");
        assert!(error.starts_with(&format!("{}: ", file.display())) && error.contains(expected), "{name}: {error}");
    }
}

#[test]
fn a_file_may_pool_by_itself() {
    let folder = with_case("pooled");
    let model = AnyModelDir::open_any(&folder.path("MODEL")).unwrap();
    let raw = EncoderOptions { normalize: false, ..options(&model) };
    let error = Encoder::load(&model, &raw).err().unwrap().to_string();
    assert!(
        error.ends_with("its output \"sentence_embedding\" is already normalised, and the original lengths are lost"),
        "{error}"
    );

    // Without modules the file's own vector is used, and no pooling is guessed.
    let mut with_modules = load(&folder).unwrap();
    fs::remove_file(folder.path("MODEL/modules.json")).unwrap();
    let mut without_modules = load(&folder).unwrap();
    let texts = ["harbour", "Fishing boats leave before dawn"];
    let (expected, found) =
        (with_modules.encode(&texts).unwrap().vectors, without_modules.encode(&texts).unwrap().vectors);
    assert_eq!((expected.len(), found.len()), (2 * 32, 2 * 32));
    for (expected, found) in expected.chunks_exact(32).zip(found.chunks_exact(32)) {
        assert!(cosine(expected, found) > 0.999_99);
    }
    assert_eq!(without_modules.pooling_guess(), None);
}

#[test]
fn a_directory_without_modules_is_pooled_by_mean() {
    let folder = with_case("unnamed");
    fs::remove_file(folder.path("MODEL/modules.json")).unwrap();
    fs::remove_dir_all(folder.path("MODEL/1_Pooling")).unwrap();
    let mut encoder = load(&folder).unwrap();
    let guess = encoder.pooling_guess().unwrap();
    assert!(
        guess.contains("no modules.json: the pooling is guessed to be mean, because no file says otherwise"),
        "{guess}"
    );
    let rows = encoder.text_tokenizer().tokenize(&["harbour"]).unwrap();
    let found = encoder.runner().run(&rows).unwrap();
    let mean: Vec<f32> =
        states(rows[0].ids.iter().map(|id| *id as f32)).iter().map(|x| x / rows[0].ids.len() as f32).collect();
    assert_eq!(found.len(), mean.len());
    assert!(found.iter().zip(&mean).all(|(found, mean)| (found - mean).abs() < 1e-5), "{found:?} {mean:?}");

    // Hidden states with another name are recognised by their width only.
    let config = folder.read("MODEL/config.json").replace("\"hidden_size\": 32", "\"hidden_size\": 48");
    folder.write("MODEL/config.json", config);
    let error = load(&folder).err().unwrap().to_string();
    assert!(error.contains("has no output"), "{error}");
}

#[test]
fn a_maximum_length_is_required() {
    let folder = with_case("unnamed");
    for file in ["sentence_bert_config.json", "tokenizer_config.json"] {
        fs::remove_file(folder.path("MODEL").join(file)).unwrap();
    }
    assert_eq!(load(&folder).unwrap().max_seq_length(), 128, "its positions");
    let config = folder.read("MODEL/config.json").replace("max_position_embeddings", "positions");
    folder.write("MODEL/config.json", config);
    let error = load(&folder).err().unwrap().to_string();
    assert!(error.contains("no file says how many tokens the model takes"), "{error}");
    let model = AnyModelDir::open_any(&folder.path("MODEL")).unwrap();
    let longer = EncoderOptions { max_seq_length: Some(300), ..options(&model) };
    assert_eq!(Encoder::load(&model, &longer).unwrap().max_seq_length(), 300);
}

#[test]
fn the_precision_cannot_be_chosen() {
    let model = AnyModelDir::open_any(&fixture("foreign/tiny-albert")).unwrap();
    for precision in [Precision::Int8, Precision::Fp16] {
        let error = Encoder::load(&model, &EncoderOptions { precision, ..options(&model) }).err().unwrap().to_string();
        let expected = format!(
            "model.onnx: its precision is fixed by its export, and cannot be {precision}\nhint: --precision fp32"
        );
        assert!(error.ends_with(&expected), "{error}");
    }
}

/// Only ONNX Runtime can recognise this damage.
#[test]
fn a_damaged_graph_is_named() {
    let folder = with_case("unnamed");
    let mut bytes = folder.bytes("MODEL/model.onnx");
    let place = bytes.windows(3).position(|window| window == b"Sin").unwrap();
    bytes[place..place + 3].copy_from_slice(b"Zin");
    folder.write("MODEL/model.onnx", bytes);
    let error = load(&folder).err().unwrap().to_string();
    assert!(error.contains("MODEL/model.onnx: ONNX Runtime: ") && error.contains("Zin"), "{error}");
}

/// The positions exceed the file's table.
#[test]
fn a_run_that_fails_names_the_file() {
    let folder = Folder::new();
    folder.copy_fixture("foreign/tiny-albert", "MODEL");
    let config = folder
        .read("MODEL/config.json")
        .replace("\"max_position_embeddings\": 128", "\"max_position_embeddings\": 512");
    folder.write("MODEL/config.json", config);
    let model = AnyModelDir::open_any(&folder.path("MODEL")).unwrap();
    let mut encoder = Encoder::load(&model, &EncoderOptions { max_seq_length: Some(300), ..options(&model) }).unwrap();
    let error = encoder.encode(&["harbour town ".repeat(200)]).unwrap_err().to_string();
    assert!(error.contains("MODEL/model.onnx: ONNX Runtime: "), "{error}");
}
