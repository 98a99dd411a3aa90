//! `model.onnx` as other programs run it: with padded rows, and pooling outside of the graph.

use std::fs;

use embtune_cli::Device;
use embtune_model::{ModelDir, Pooling};
use embtune_onnx::portable_encoder;
use embtune_ort_engine::{Engine, Graph, Output, Tensor};
use embtune_tests::fixture;
use embtune_tokenize::Tokenizer;
use serde_json::Value;

use crate::support::{cosine, texts, vector};

/// On which side short rows are padded. The reference pads language models on the left.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Side {
    Left,
    Right,
}

/// The hidden states of each row, `[tokens, hidden]`, from one batch of all rows.
fn hidden_states(engine: &Engine, model: &ModelDir, rows: &[Vec<u32>], side: Side) -> Vec<Vec<f32>> {
    let longest = rows.iter().map(Vec::len).max().unwrap();
    let (mut ids, mut mask) = (Vec::new(), Vec::new());
    for row in rows {
        let padding = longest - row.len();
        let (left, right) = if side == Side::Left { (padding, 0) } else { (0, padding) };
        let pad = |count| std::iter::repeat_n(model.config().pad_token_id as i64, count);
        ids.extend(pad(left).chain(row.iter().map(|id| i64::from(*id))).chain(pad(right)));
        mask.extend((0..longest).map(|place| i64::from((left..left + row.len()).contains(&place))));
    }
    let onnx = portable_encoder(model).unwrap();
    let graph = Graph { onnx: &onnx, weights_folder: Some(model.root()) };
    let mut session = engine.sessions(graph, 1, 2).unwrap().pop().unwrap();
    let shape = [rows.len(), longest];
    let zeros = vec![0; ids.len()];
    let mut inputs = vec![("input_ids", Tensor::I64(&ids, &shape)), ("attention_mask", Tensor::I64(&mask, &shape))];
    if matches!(model.config().name, "BERT" | "NomicBERT") {
        inputs.push(("token_type_ids", Tensor::I64(&zeros, &shape)));
    }
    let Some(Output::F32(hidden, _)) = session.run(&inputs).unwrap().into_iter().next() else { panic!("floats") };
    let width = model.config().hidden_size;
    let states = hidden.chunks_exact(longest * width).zip(mask.chunks_exact(longest));
    let tokens = |(states, mask): (&[f32], &[i64])| {
        let rows = states.chunks_exact(width).zip(mask).filter(|(_, is_token)| **is_token == 1);
        rows.flat_map(|(state, _)| state.to_vec()).collect()
    };
    states.map(tokens).collect()
}

/// Pools hidden states, up to a factor, which cosines ignore.
fn pooled(states: &[f32], width: usize, pooling: Pooling) -> Vec<f32> {
    let tokens: Vec<&[f32]> = states.chunks_exact(width).collect();
    let sum = |weight: fn(usize) -> f32| {
        (0..width).map(|i| tokens.iter().enumerate().map(|(place, token)| weight(place) * token[i]).sum()).collect()
    };
    match pooling {
        Pooling::Cls => tokens[0].to_vec(),
        Pooling::LastToken => tokens[tokens.len() - 1].to_vec(),
        Pooling::Max => (0..width).map(|i| tokens.iter().map(|token| token[i]).fold(f32::MIN, f32::max)).collect(),
        Pooling::Mean | Pooling::MeanSqrtLen => sum(|_| 1.0),
        Pooling::WeightedMean => sum(|place| place as f32 + 1.0),
    }
}

#[test]
fn vectors_are_those_of_the_reference() {
    let engine = Engine::start(Device::Cpu, None).unwrap();
    let parity = fixture("parity");
    for name in [
        "tiny-bert",
        "tiny-xlmr",
        "tiny-roberta",
        "tiny-mpnet",
        "tiny-distilbert",
        "tiny-modernbert",
        "tiny-nomic",
        "tiny-qwen3",
    ] {
        let model = ModelDir::open(&parity.join(name)).unwrap();
        let figures: Value = serde_json::from_slice(&fs::read(parity.join(format!("{name}.json"))).unwrap()).unwrap();
        // If the model has enough positions, texts are longer than a window.
        let (key, length) = match figures.get("embeddings_512") {
            Some(_) => ("embeddings_512", 512),
            None => ("embeddings", model.max_seq_length()),
        };
        let texts = texts(&figures);
        let tokenizer = Tokenizer::open(model.tokenizer(), length, None, 1).unwrap();
        let rows: Vec<_> = tokenizer.encode(&texts, "").unwrap().into_iter().map(|tokens| tokens.ids).collect();
        // Learned positions count from the left end of a row, including padding.
        let has_positions = model.parameters().iter().any(|tensor| tensor.name.ends_with("position_embeddings.weight"));
        let sides: &[Side] = if has_positions { &[Side::Right] } else { &[Side::Right, Side::Left] };
        for side in sides {
            let states = hidden_states(&engine, &model, &rows, *side);
            for (index, states) in states.iter().enumerate() {
                let found = pooled(states, model.config().hidden_size, model.pooling());
                let cosine = cosine(&found, &vector(&figures[key][index]));
                assert!(cosine > 0.999_99, "{name}, padding {side:?}, text {index}: cosine {cosine}");
            }
        }
    }
}
