//! Models whose encoder is an ONNX file of the directory.

use embtune_tests::{Folder, Run};

use crate::support::{assert_near, of_file, vector};

/// tiny-electra, whose tensors are in a second file, as `BASE`, and a corpus of 40 documents.
fn with_electra() -> Folder {
    let folder = Folder::new();
    folder.copy_fixture("foreign/tiny-electra", "BASE");
    folder.copy_fixture("pipeline/corpus.jsonl", "corpus.jsonl");
    folder
}

fn embed(folder: &Folder, flags: &str) -> Run {
    folder.run(&format!("embed --device cpu --model BASE {flags} corpus.jsonl"))
}

#[test]
fn the_file_that_runs_is_named() {
    let folder = with_electra();
    let ran = embed(&folder, "-v -o v").done();
    let ran = ran.saying("the model runs through BASE/onnx/model.onnx: model_type \"electra\" is not supported");
    let _ = ran.saying("CPUExecutionProvider ran ");
    let (file, _) = of_file(&folder, "v");
    assert_eq!((file.len(), file.dim()), (40, 24));
}

#[test]
fn output_options_work_as_for_other_models() {
    let folder = with_electra();
    let whole: Vec<Vec<f32>> = embed(&folder, "").records().iter().map(vector).collect();
    let _ = embed(&folder, "--truncate-dim 8 -o first").done();
    let first: Vec<Vec<f32>> = whole.iter().map(|vector| vector[..8].to_vec()).collect();
    assert_near(&of_file(&folder, "first").1, &first, 1e-6);
    let _ = embed(&folder, "--batch-tokens 64 --threads 1 -o small").done();
    assert_near(&of_file(&folder, "small").1, &whole, 1e-6);
    let prompted: Vec<Vec<f32>> = embed(&folder, "--prompt harbour:").records().iter().map(vector).collect();
    assert_ne!(prompted, whole);
    let long = embed(&folder, "--max-seq-length 8 --on-long chunk --chunks separate").records();
    assert!(long.len() > 40);
}

#[test]
fn other_precisions_are_refused() {
    let folder = with_electra();
    for precision in ["int8", "fp16"] {
        let message = embed(&folder, &format!("--precision {precision}")).refusal();
        let expected = format!("BASE/onnx/model.onnx: its precision is fixed by its export, and cannot be {precision}");
        assert!(message.contains(&expected) && message.contains("hint: --precision fp32"), "{message}");
    }
}

/// The cache depends on the content of the file, not on its name.
#[test]
fn a_changed_file_is_another_model() {
    let folder = with_electra();
    let run = || {
        let ran = embed(&folder, "-v --cache cache").done();
        (ran.stdout(), ran.stderr().contains("40 of 40 texts were in the cache"))
    };
    let (before, was_cached) = run();
    assert!(!was_cached);
    assert_eq!(run(), (before.clone(), true));

    // Flips the signs of some weights.
    let mut data = folder.bytes("BASE/onnx/model.onnx_data");
    for byte in data.iter_mut().skip(3).step_by(4).take(2000) {
        *byte ^= 0x80;
    }
    folder.write("BASE/onnx/model.onnx_data", data);
    let (after, was_cached) = run();
    assert!(!was_cached);
    assert_ne!(after, before);
}

#[test]
fn a_run_cannot_be_continued_with_another_file() {
    let folder = with_electra();
    folder.write(".v.part", "{\"embed\":\"0.1.0\",\"shard\":null,\"generation\":1,\"model\":\"xxh3:0\"}\n");
    let message = embed(&folder, "--resume -o v").refusal();
    assert!(message.contains("the interrupted run had model \"xxh3:0\", this one has \"xxh3:"), "{message}");
}

#[test]
fn a_file_that_is_cut_short_is_named() {
    let folder = with_electra();
    let whole = folder.bytes("BASE/onnx/model.onnx");
    folder.write("BASE/onnx/model.onnx", &whole[..whole.len() / 2]);
    let message = embed(&folder, "").refusal();
    assert!(message.contains("embed: BASE/onnx/model.onnx: is cut short or not an ONNX file"), "{message}");

    folder.write("BASE/onnx/model.onnx", whole);
    let data = folder.bytes("BASE/onnx/model.onnx_data");
    folder.write("BASE/onnx/model.onnx_data", &data[..data.len() / 2]);
    let message = embed(&folder, "").refusal();
    assert!(message.contains("embed: BASE/onnx/model.onnx: ONNX Runtime: "), "{message}");
}
