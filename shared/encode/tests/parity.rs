//! Vectors of our own graph in ONNX Runtime against those of sentence-transformers.
//!
//! The figures and the script that made them are in `tests/fixtures/parity`.

use std::path::{Path, PathBuf};

use embtune_cli::Device;
use embtune_encode::{Encoder, Options, Precision};
use embtune_model::{ModelDir, Role};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A model directory, and what sentence-transformers made of it.
fn fixture(name: &str) -> (ModelDir, Value) {
    let parity = root().join("tests/fixtures/parity");
    let directory = if name == "minilm" { root().join(".deps/models/all-MiniLM-L6-v2") } else { parity.join(name) };
    let figures = std::fs::read(parity.join(format!("{name}.json"))).unwrap();
    (ModelDir::open(&directory).unwrap(), serde_json::from_slice(&figures).unwrap())
}

fn options(model: &ModelDir) -> Options<'static> {
    Options {
        prompt: "",
        max_seq_length: None,
        normalize: model.normalizes(),
        precision: Precision::Fp32,
        batch_tokens: None,
        device: Device::Cpu,
        threads: 2,
        ort_library: None,
    }
}

fn texts(figures: &Value) -> Vec<String> {
    figures["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn vector(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Cosine above 0.99999 and the same length: fp32 sums in another order differ by about 1e-7.
fn assert_same(encoder: &mut Encoder, figures: &Value, key: &str) {
    let encoded = encoder.encode(&texts(figures)).unwrap();
    let expected = figures[key].as_array().unwrap();
    assert_eq!(encoded.vectors.len(), expected.len() * encoder.dim());
    for (index, (found, expected)) in encoded.vectors.chunks_exact(encoder.dim()).zip(expected).enumerate() {
        let expected = vector(expected);
        let norm = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!(cosine(found, &expected) > 0.999_99, "text {index}: cosine {}", cosine(found, &expected));
        assert!((norm(found) / norm(&expected) - 1.0).abs() < 1e-4, "text {index}: another length");
    }
}

#[test]
fn vectors_are_those_of_the_reference() {
    let tiny = ["tiny-bert", "tiny-xlmr", "tiny-roberta", "tiny-mpnet", "tiny-distilbert", "tiny-dense"];
    for name in ["minilm"].into_iter().chain(tiny) {
        let (model, figures) = fixture(name);
        assert_same(&mut Encoder::load(&model, &options(&model)).unwrap(), &figures, "embeddings");
        if figures.get("embeddings_512").is_some() {
            let longer = Options { max_seq_length: Some(512), ..options(&model) };
            assert_same(&mut Encoder::load(&model, &longer).unwrap(), &figures, "embeddings_512");
        }
    }
}

#[test]
fn prompts_are_those_of_the_reference() {
    let (model, figures) = fixture("tiny-bert");
    let query = Options { prompt: model.prompt(Some(Role::Query)), ..options(&model) };
    assert_same(&mut Encoder::load(&model, &query).unwrap(), &figures, "embeddings_query");
}

#[test]
fn neither_batch_nor_order_changes_a_vector() {
    let (model, figures) = fixture("minilm");
    let texts = texts(&figures);
    let mut encoder = Encoder::load(&model, &options(&model)).unwrap();
    let together = encoder.encode(&texts).unwrap();
    let reversed: Vec<&String> = texts.iter().rev().collect();
    let reversed = encoder.encode(&reversed).unwrap();
    for (index, text) in texts.iter().enumerate() {
        let alone = encoder.encode(&[text]).unwrap().vectors;
        let row = |all: &[f32], index: usize| all[index * 384..(index + 1) * 384].to_vec();
        assert!(cosine(&alone, &row(&together.vectors, index)) > 0.999_999);
        assert!(cosine(&alone, &row(&reversed.vectors, texts.len() - 1 - index)) > 0.999_999);
    }
    assert_eq!(together.truncated, 2, "the two long texts");
}

#[test]
fn more_tokens_than_positions_are_refused() {
    let (model, _) = fixture("tiny-xlmr");
    let longer = Options { max_seq_length: Some(513), ..options(&model) };
    let error = Encoder::load(&model, &longer).err().unwrap().to_string();
    assert_eq!(error, "max_seq_length 513 is more than the model's 512 positions");
}
