//! Directories whose encoder is an ONNX file.

use std::fs;

use embtune_model::{AnyEncoder, AnyModelDir, ModelDir, OnnxEncoder, Pooling};

use crate::support::{copy, onnx_fixture};

fn onnx(model: &AnyModelDir) -> &OnnxEncoder {
    let AnyEncoder::Onnx(encoder) = model.encoder() else { panic!("{:?}", model.encoder()) };
    encoder
}

#[test]
fn everything_but_the_encoder_is_read_as_usual() {
    let root = onnx_fixture("tiny-albert");
    let model = AnyModelDir::open_any(&root).unwrap();
    let encoder = onnx(&model);
    assert_eq!(encoder.file, root.join("model.onnx"));
    assert!(
        encoder.reason.starts_with("model_type \"albert\" is not supported (supported: bert, "),
        "{}",
        encoder.reason
    );
    assert_eq!((encoder.hidden_size, encoder.max_length, encoder.vocab_size), (Some(32), 128, Some(400)));
    assert_eq!((model.pooling(), model.normalizes(), model.max_seq_length()), (Pooling::Mean, true, 128));
    assert!(model.has_prompts());

    let root = onnx_fixture("tiny-electra");
    let model = AnyModelDir::open_any(&root).unwrap();
    assert_eq!(onnx(&model).file, root.join("onnx/model.onnx"));
    assert_eq!((model.pooling(), model.dense().len(), model.pooled_size()), (Pooling::Cls, 1, Some(32)));
}

#[test]
fn a_supported_model_does_not_use_its_onnx_file() {
    let directory = copy("tiny-bert");
    fs::copy(onnx_fixture("tiny-albert").join("model.onnx"), directory.path().join("model.onnx")).unwrap();
    let model = AnyModelDir::open_any(directory.path()).unwrap();
    assert!(matches!(model.encoder(), AnyEncoder::Native(_)));

    // Without readable weights, the file is used.
    fs::rename(directory.path().join("model.safetensors"), directory.path().join("weights")).unwrap();
    let model = AnyModelDir::open_any(directory.path()).unwrap();
    let encoder = onnx(&model);
    assert!(encoder.reason.contains("model.safetensors: No such file, and no pytorch_model.bin"), "{}", encoder.reason);
    assert_eq!((encoder.hidden_size, encoder.max_length), (Some(32), 512));
    fs::write(directory.path().join("model.safetensors.index.json"), "{}").unwrap();
    let model = AnyModelDir::open_any(directory.path()).unwrap();
    assert!(
        onnx(&model).reason.ends_with("has no weight_map, which names the file of each tensor"),
        "{}",
        onnx(&model).reason
    );

    // It is also used for a variant of a supported family.
    let directory = copy("tiny-bert");
    fs::copy(onnx_fixture("tiny-albert").join("model.onnx"), directory.path().join("model.onnx")).unwrap();
    let config = fs::read_to_string(directory.path().join("config.json")).unwrap();
    fs::write(directory.path().join("config.json"), config.replace("\"absolute\"", "\"relative_key\"")).unwrap();
    let model = AnyModelDir::open_any(directory.path()).unwrap();
    assert!(onnx(&model).reason.contains("relative_key"), "{}", onnx(&model).reason);
}

#[test]
fn programs_that_need_weights_name_the_alternative() {
    let root = onnx_fixture("tiny-albert");
    let error = ModelDir::open(&root).unwrap_err().to_string();
    let hint = format!("\nhint: only embed runs such a model, through its {}", root.join("model.onnx").display());
    assert!(error.contains("model_type \"albert\" is not supported") && error.ends_with(&hint), "{error}");
}

#[test]
fn files_of_other_precisions_are_not_used() {
    let directory = copy("../foreign/tiny-albert");
    let path = |name: &str| directory.path().join(name);
    fs::rename(path("model.onnx"), path("model_quantized.onnx")).unwrap();
    let error = AnyModelDir::open_any(directory.path()).unwrap_err().to_string();
    let hint = "\nhint: embed uses only model.onnx or onnx/model.onnx; rename one of these: model_quantized.onnx";
    assert!(error.ends_with(hint), "{error}");
    fs::remove_file(path("model_quantized.onnx")).unwrap();
    let error = AnyModelDir::open_any(directory.path()).unwrap_err().to_string();
    assert!(error.ends_with("\nhint: embed runs other models through model.onnx or onnx/model.onnx, which is missing"));
}

#[test]
fn every_file_of_the_encoder_is_in_the_fingerprint() {
    let directory = copy("../foreign/tiny-electra");
    let fingerprint = || AnyModelDir::open_any(directory.path()).unwrap().fingerprint().unwrap();
    let before = fingerprint();
    assert_eq!(before, fingerprint());
    for name in ["onnx/model.onnx", "onnx/model.onnx_data", "2_Dense/model.safetensors", "2_Dense/config.json"] {
        let file = directory.path().join(name);
        let whole = fs::read(&file).unwrap();
        let mut changed = whole.clone();
        // Changes white space at the end of JSON, a letter of a name, or a number.
        let place = changed.len() - 1;
        changed[place] ^= if name.ends_with("json") { b'\n' ^ b' ' } else { 1 };
        fs::write(&file, &changed).unwrap();
        // A file that is damaged by the change is refused, which also counts.
        let after = AnyModelDir::open_any(directory.path()).and_then(|model| model.fingerprint());
        assert_ne!(after.unwrap_or_default(), before, "{name}");
        fs::write(&file, &whole).unwrap();
    }
    assert_eq!(before, fingerprint());
}

#[test]
fn damaged_files_are_named() {
    let directory = copy("../foreign/tiny-electra");
    let path = |name: &str| directory.path().join(name);
    let whole = fs::read(path("onnx/model.onnx")).unwrap();
    let refusal = || AnyModelDir::open_any(directory.path()).unwrap_err().to_string();
    for length in [1, 3, 10, whole.len() / 2, whole.len() - 1] {
        fs::write(path("onnx/model.onnx"), &whole[..length]).unwrap();
        let error = refusal();
        assert!(error.ends_with("onnx/model.onnx: is cut short or not an ONNX file"), "{length}: {error}");
    }
    for (content, expected) in [
        (&b""[..], "is not an ONNX file: it has no graph"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 133093490\n",
            "is cut short or not an ONNX file",
        ),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "is cut short or not an ONNX file"),
        // A graph that claims to have 2^63 bytes.
        (b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "is cut short or not an ONNX file"),
    ] {
        fs::write(path("onnx/model.onnx"), content).unwrap();
        assert!(refusal().ends_with(expected), "{}", refusal());
    }
    // A graph in an attribute of a node of a graph, 200 levels deep.
    let field = |tag: u8, inner: Vec<u8>| {
        let mut bytes = vec![tag];
        let mut length = inner.len();
        while length >= 0x80 {
            bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend(inner);
        bytes
    };
    let deeper = |graph| field(0x0a, field(0x2a, field(0x32, graph)));
    let nested = field(0x3a, (0..200).fold(Vec::new(), |graph, _| deeper(graph)));
    fs::write(path("onnx/model.onnx"), nested).unwrap();
    assert!(refusal().ends_with("is cut short or not an ONNX file"), "{}", refusal());

    fs::write(path("onnx/model.onnx"), &whole).unwrap();
    fs::remove_file(path("onnx/model.onnx_data")).unwrap();
    assert!(refusal().ends_with("onnx/model.onnx: its data \"model.onnx_data\" is not beside it"), "{}", refusal());

    // A path of the same length, so that nothing else in the file moves.
    let mut elsewhere = whole;
    let from = b"model.onnx_data";
    while let Some(place) = elsewhere.windows(from.len()).position(|window| window == from) {
        elsewhere[place..place + from.len()].copy_from_slice(b"../../../passwd");
    }
    fs::write(path("onnx/model.onnx"), elsewhere).unwrap();
    assert!(refusal().ends_with("its data \"../../../passwd\" is not in its folder"), "{}", refusal());
}
