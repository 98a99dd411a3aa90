//! Comparison of embtune's own graphs with sentence-transformers.
//!
//! The figures and the script that made them are in `tests/fixtures/parity`.

use std::fs;

use embtune_encode::{Encoder, EncoderOptions, Precision};
use embtune_encoders::EncoderConfig;
use embtune_model::{AnyEncoder, AnyModelDir, Role};
use embtune_tests::{fixture, workspace};
use serde_json::Value;

use crate::support::{cosine, options, texts, vector};

/// Models with random weights, at least one of each architecture.
const TINY: [&str; 22] = [
    "tiny-bert",
    "tiny-xlmr",
    "tiny-roberta",
    "tiny-mpnet",
    "tiny-distilbert",
    "tiny-dense",
    "tiny-modernbert",
    "tiny-nomic",
    "tiny-qwen3",
    "tiny-camembert",
    "tiny-silu",
    "tiny-modernbert-odd",
    "tiny-nomic-moe",
    "tiny-jina3",
    "tiny-qwen3-bidirectional",
    "tiny-qwen3-sharded",
    "tiny-gemma3",
    "tiny-gte",
    "tiny-gte-multilingual",
    "tiny-arctic",
    "tiny-t5",
    "tiny-t5-gated",
];

/// A model directory, and the figures of sentence-transformers.
fn model_and_figures(name: &str) -> (AnyModelDir, Value) {
    let parity = fixture("parity");
    let minilm = || workspace().join(".deps/models/all-MiniLM-L6-v2");
    let directory = if name == "minilm" { minilm() } else { parity.join(name) };
    let figures = fs::read(parity.join(format!("{name}.json"))).unwrap();
    (AnyModelDir::open_any(&directory).unwrap(), serde_json::from_slice(&figures).unwrap())
}

fn native(model: &AnyModelDir) -> &EncoderConfig {
    let AnyEncoder::Native(encoder) = model.encoder() else { panic!("not a native encoder") };
    encoder.config()
}

/// Requires a cosine that differs from 1 by less than 1e-9, and the same length but for the rounding of fp32.
fn assert_same(name: &str, encoder: &mut Encoder, figures: &Value, key: &str) {
    let encoded = encoder.encode(&texts(figures)).unwrap();
    let expected = figures[key].as_array().unwrap();
    assert_eq!(encoded.vectors.len(), expected.len() * encoder.dim());
    for (index, (found, expected)) in encoded.vectors.chunks_exact(encoder.dim()).zip(expected).enumerate() {
        let expected = vector(expected);
        let norm = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>().sqrt();
        let distance = 1.0 - cosine(found, &expected);
        assert!(distance < 1e-9, "{key} of {name}, text {index}: 1 - cosine is {distance:e}");
        assert!(
            (norm(found) - norm(&expected)).abs() <= 1e-4 * norm(&expected),
            "{name}, text {index}: another length"
        );
    }
}

#[test]
fn vectors_are_those_of_the_reference() {
    for name in ["minilm"].into_iter().chain(TINY) {
        let (model, figures) = model_and_figures(name);
        assert_same(name, &mut Encoder::load(&model, &options(&model)).unwrap(), &figures, "embeddings");
        if figures.get("embeddings_512").is_some() {
            let longer = EncoderOptions { max_seq_length: Some(512), ..options(&model) };
            assert_same(name, &mut Encoder::load(&model, &longer).unwrap(), &figures, "embeddings_512");
        }
    }
}

#[test]
fn prompts_are_those_of_the_reference() {
    for name in TINY {
        let (model, figures) = model_and_figures(name);
        for (role, key) in [(Role::Query, "embeddings_query"), (Role::Document, "embeddings_document")] {
            if figures.get(key).is_some() {
                let options = EncoderOptions { prompt: model.prompt(Some(role)), ..options(&model) };
                assert_same(name, &mut Encoder::load(&model, &options).unwrap(), &figures, key);
            }
        }
    }
}

#[test]
fn neither_batch_nor_order_changes_a_vector() {
    for name in ["minilm"].into_iter().chain(TINY) {
        let (model, figures) = model_and_figures(name);
        let texts = texts(&figures);
        let mut encoder = Encoder::load(&model, &options(&model)).unwrap();
        let dim = encoder.dim();
        let together = encoder.encode(&texts).unwrap();
        // Each text occurs three times, so that batches have more than one row.
        let others: Vec<&String> = texts.iter().rev().flat_map(|text| [text, text, text]).collect();
        let others = encoder.encode(&others).unwrap();
        for (index, text) in texts.iter().enumerate() {
            let alone = encoder.encode(&[text]).unwrap().vectors;
            let row = |all: &[f32], index: usize| all[index * dim..(index + 1) * dim].to_vec();
            let first = 3 * (texts.len() - 1 - index);
            for among in [row(&together.vectors, index), row(&others.vectors, first), row(&others.vectors, first + 2)] {
                let cosine = cosine(&alone, &among);
                assert!(cosine > 0.999_999, "{name}, text {index}: cosine {cosine}");
            }
        }
        if name == "minilm" {
            assert_eq!(together.truncated, 2, "the two long texts");
        }
    }
}

#[test]
fn more_tokens_than_positions_are_refused() {
    let (model, _) = model_and_figures("tiny-xlmr");
    let longer = EncoderOptions { max_seq_length: Some(513), ..options(&model) };
    let error = Encoder::load(&model, &longer).err().unwrap().to_string();
    assert_eq!(error, "max_seq_length 513 is more than the model's 512 positions");
}

/// The error of int8 is bounded (it is largest for an empty text, in which nothing averages out), and a text has the
/// same vector in any batch.
#[test]
fn int8_is_near_the_reference_and_independent_of_batches() {
    for name in ["minilm"].into_iter().chain(TINY) {
        let (model, figures) = model_and_figures(name);
        if !native(&model).int8 {
            continue;
        }
        let mut encoder =
            Encoder::load(&model, &EncoderOptions { precision: Precision::Int8, ..options(&model) }).unwrap();
        let texts = texts(&figures);
        let together = encoder.encode(&texts).unwrap().vectors;
        for (index, found) in together.chunks_exact(encoder.dim()).enumerate() {
            let expected = vector(&figures["embeddings"][index]);
            assert!(cosine(found, &expected) > 0.99, "{name}, text {index}: cosine {}", cosine(found, &expected));
            let alone = encoder.encode(&texts[index..=index]).unwrap().vectors;
            assert_eq!(alone, found, "{name}, text {index}: another vector among others");
        }
        // Several texts of one length share a batch, but must not share their scales.
        let doubled: Vec<&String> = texts.iter().flat_map(|text| [text, text, text]).collect();
        let doubled = encoder.encode(&doubled).unwrap().vectors;
        for (index, found) in doubled.chunks_exact(encoder.dim()).enumerate() {
            assert_eq!(found, &together[index / 3 * encoder.dim()..][..encoder.dim()], "{name}, row {index}");
        }
    }
}

#[test]
fn a_precision_without_kernels_is_refused() {
    let (model, _) = model_and_figures("tiny-bert");
    let half = EncoderOptions { precision: Precision::Fp16, ..options(&model) };
    let error = Encoder::load(&model, &half).err().unwrap().to_string();
    assert_eq!(error, "precision fp16 does not run on cpu\nhint: --precision fp32 or int8");

    let (model, _) = model_and_figures("tiny-modernbert");
    let integers = EncoderOptions { precision: Precision::Int8, ..options(&model) };
    let error = Encoder::load(&model, &integers).err().unwrap().to_string();
    assert!(error.starts_with("int8 is not supported for ModernBERT"), "{error}");
}

#[test]
fn the_kernels_that_ran_are_reported() {
    let (model, figures) = model_and_figures("tiny-bert");
    let mut encoder = Encoder::load(&model, &EncoderOptions { profile: true, ..options(&model) }).unwrap();
    encoder.encode(&texts(&figures)).unwrap();
    let kernels = encoder.kernels();
    assert!(kernels.iter().all(|kernels| kernels.provider == "CPUExecutionProvider"), "{kernels:?}");
    let attention = kernels.iter().find(|kernels| kernels.op == "MultiHeadAttention").unwrap();
    assert_eq!(attention.nodes, native(&model).num_hidden_layers);
}
