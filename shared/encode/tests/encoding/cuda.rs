//! The graphs for CUDA, as far as they can be tested without a GPU.

use embtune_cli::Device;
use embtune_model::ModelDir;
use embtune_onnx::{GraphOptions, HeadOptions, Layout, Precision, sentence_encoder};
use embtune_ort_engine::{Engine, Graph, Output, Tensor};
use embtune_tests::fixture;
use embtune_tokenize::Tokenizer;

fn model(name: &str) -> ModelDir {
    ModelDir::open(&fixture(&format!("parity/{name}"))).unwrap()
}

/// ONNX Runtime checks all types and shapes before it looks for kernels. On a CPU, it lacks only CUDA's attention.
#[test]
fn a_cpu_lacks_only_the_attention_of_variable_length() {
    let engine = Engine::start(Device::Cpu, None).unwrap();
    for name in ["tiny-bert", "tiny-xlmr", "tiny-distilbert", "tiny-dense", "tiny-nomic"] {
        let model = model(name);
        for precision in [Precision::Fp32, Precision::Fp16] {
            let options =
                GraphOptions { layout: Layout::Packed, precision, head: HeadOptions { normalize: true, skip: 0 } };
            let (onnx, folder) = sentence_encoder(&model, options).unwrap();
            let graph = Graph { onnx: &onnx, weights_folder: Some(&folder) };
            let error = engine.sessions(graph, 1, 1).err().unwrap().to_string();
            let missing = [
                "Could not find an implementation for PackedMultiHeadAttention",
                "Failed to find kernel for com.microsoft.PackedMultiHeadAttention",
            ];
            assert!(missing.iter().any(|text| error.contains(text)), "{name}, {precision}: {error}");
        }
    }
}

#[test]
fn families_that_need_a_bias_cannot_be_packed() {
    for name in ["tiny-mpnet", "tiny-modernbert", "tiny-qwen3"] {
        let model = model(name);
        assert_eq!(Layout::for_cuda(model.encoder()), Layout::Padded);
        let options = GraphOptions {
            layout: Layout::Packed,
            precision: Precision::Fp16,
            head: HeadOptions { normalize: true, skip: 0 },
        };
        let error = sentence_encoder(&model, options).unwrap_err().to_string();
        assert!(error.contains("cannot run with packed tokens"), "{error}");
    }
}

/// Without half-precision kernels the CPU computes in fp32, but rounds where the graph says so.
#[test]
fn padded_rows_in_half_precision_give_nearly_the_same_vectors() {
    let engine = Engine::start(Device::Cpu, None).unwrap();
    for name in ["tiny-mpnet", "tiny-modernbert", "tiny-qwen3"] {
        let model = model(name);
        let tokenizer = Tokenizer::open(model.tokenizer(), 64, None, 1).unwrap();
        let texts = ["The tide turns twice a day, and the small harbour lives by its timetable.", "harbour"];
        let rows = tokenizer.encode(&texts, "").unwrap();
        let longest = rows[0].ids.len();
        let pad = model.config().pad_token_id as i64;
        let mut ids: Vec<i64> = rows.iter().flat_map(|row| row.ids.iter().map(|id| i64::from(*id))).collect();
        ids.resize(2 * longest, pad);
        let mask: Vec<i64> = (0..2 * longest).map(|place| i64::from(place < longest + rows[1].ids.len())).collect();
        let shape = [2, longest];
        let inputs = [("input_ids", Tensor::I64(&ids, &shape)), ("attention_mask", Tensor::I64(&mask, &shape))];
        let [half, single] = [Precision::Fp16, Precision::Fp32].map(|precision| {
            let options =
                GraphOptions { layout: Layout::Padded, precision, head: HeadOptions { normalize: true, skip: 0 } };
            let (onnx, folder) = sentence_encoder(&model, options).unwrap();
            let graph = Graph { onnx: &onnx, weights_folder: Some(&folder) };
            let mut session = engine.sessions(graph, 1, 1).unwrap().pop().unwrap();
            let Some(Output::F32(vectors, _)) = session.run(&inputs).unwrap().into_iter().next() else {
                panic!("not floats")
            };
            vectors
        });
        for (half, single) in half.chunks_exact(32).zip(single.chunks_exact(32)) {
            let cosine: f32 = half.iter().zip(single).map(|(a, b)| a * b).sum();
            assert!((0.999..0.999_999_9).contains(&cosine), "{name}: cosine {cosine}");
        }
    }
}
