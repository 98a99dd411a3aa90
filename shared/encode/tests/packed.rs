//! The graph of packed tokens, as far as a machine without a GPU can tell.

use std::path::Path;

use embtune_cli::Device;
use embtune_model::ModelDir;
use embtune_onnx::{Form, Layout, Precision, sentence_encoder};
use embtune_ort_engine::{Engine, Graph};

/// ONNX Runtime checks every type and shape before it looks for kernels: what it misses on a CPU is CUDA's attention
/// in both precisions, and nothing else.
#[test]
fn a_cpu_lacks_only_the_attention_of_variable_length() {
    let engine = Engine::start(Device::Cpu, None).unwrap();
    for name in ["tiny-bert", "tiny-xlmr", "tiny-distilbert", "tiny-dense", "tiny-nomic"] {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity").join(name);
        let model = ModelDir::open(&directory).unwrap();
        for precision in [Precision::Fp32, Precision::Fp16] {
            let form = Form { layout: Layout::Packed, precision, normalize: true };
            let (onnx, folder) = sentence_encoder(&model, form).unwrap();
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
