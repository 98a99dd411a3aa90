//! Files of `torch.save`: valid, unsupported, hostile.
//!
//! The files and the script that made them are in `tests/fixtures/parity`.

use std::fs;
use std::path::{Path, PathBuf};

use embtune_tensors::{Dtype, TensorFile};
use proptest::prelude::*;
use serde_json::Value;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity/checkpoints").join(name)
}

fn numbers(file: &TensorFile, name: &str) -> Vec<f64> {
    let tensor = file.require(name).unwrap();
    match tensor.dtype {
        Dtype::I64 => tensor.bytes.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes) as f64).collect(),
        _ => tensor.to_f32().unwrap().iter().map(|value| f64::from(*value)).collect(),
    }
}

#[test]
fn tensors_are_those_that_torch_saved() {
    let described: Value = serde_json::from_slice(&fs::read(fixture("whole.json")).unwrap()).unwrap();
    let described = described.as_object().unwrap();
    for name in ["whole.bin", "protocol-4.bin"] {
        let path = fixture(name);
        let file = TensorFile::open_checkpoint(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(file.names().len(), described.len());
        for (name, expected) in described {
            let tensor = file.require(name).unwrap();
            assert_eq!(format!("{:?}", tensor.dtype), expected["dtype"], "{name}");
            assert_eq!(serde_json::json!(tensor.shape), expected["shape"], "{name}");
            let values: Vec<f64> = expected["values"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
            assert_eq!(numbers(&file, name), values, "{name}");
            let offset = file.offset(name).unwrap();
            assert_eq!(&bytes[offset..offset + tensor.bytes.len()], tensor.bytes, "{name}");
        }
        assert_eq!(file.offset("tied"), file.offset("floats"));
        assert_eq!(file.offset("rest"), file.offset("first").map(|first| first + 12));
    }
}

#[test]
fn checkpoints_other_than_a_dict_of_plain_tensors_are_refused_by_name() {
    for (name, expected) in [
        ("evil.bin", "its data.pkl names \"posix.system\", which a file of tensors does not"),
        ("transposed.bin", "tensor \"weight\": is not stored row by row (strides [1, 3])"),
        ("overlapping.bin", "tensors \"one\" and \"other\" overlap"),
        ("nested.bin", "its data.pkl holds \"model\", which is not a tensor"),
        ("compressed.bin", "\"whole/byteorder\" is compressed or encrypted, which is not supported"),
        ("whole.json", "not a PyTorch checkpoint, or damaged"),
        ("nowhere.bin", "No such file"),
    ] {
        let path = fixture(name);
        let error = TensorFile::open_checkpoint(&path).err().unwrap().to_string();
        assert!(error.starts_with(&path.display().to_string()) && error.contains(expected), "{error}");
    }
}

#[test]
fn the_format_before_pytorch_1_6_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("old.bin");
    // A pickled magic number, then the version of the protocol: the first bytes that torch.save wrote.
    fs::write(&path, b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.").unwrap();
    let error = TensorFile::open_checkpoint(&path).err().unwrap().to_string();
    assert!(
        error.contains("has the format of PyTorch before version 1.6, which is not supported\nhint: load the model"),
        "{error}"
    );
}

/// Opens bytes as a file and reads all tensors; returns whether it could be opened.
fn read_all(directory: &Path, bytes: &[u8]) -> bool {
    let path = directory.join("damaged.bin");
    fs::write(&path, bytes).unwrap();
    let Ok(file) = TensorFile::open_checkpoint(&path) else { return false };
    let read: usize = file.names().iter().map(|name| file.require(name).unwrap().bytes.to_vec().len()).sum();
    assert!(read <= 2 * bytes.len(), "{read} bytes of tensors in a file of {}", bytes.len());
    true
}

#[test]
fn damaged_files_do_not_crash() {
    let directory = tempfile::tempdir().unwrap();
    let whole = fs::read(fixture("whole.bin")).unwrap();
    assert!(read_all(directory.path(), &whole));
    for length in 0..whole.len() {
        assert!(!read_all(directory.path(), &whole[..length]), "{length} of {} bytes", whole.len());
    }
    for index in 0..whole.len() {
        for mask in [0x01, 0x41, 0xff] {
            let mut bytes = whole.clone();
            bytes[index] ^= mask;
            read_all(directory.path(), &bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Several changes at once, in the pickle or in the archive's directory at the end of the file.
    #[test]
    fn no_changes_crash(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        in_program: bool,
    ) {
        let mut bytes = fs::read(fixture("whole.bin")).unwrap();
        let find = |pattern: &[u8]| bytes.windows(pattern.len()).position(|window| window == pattern).unwrap();
        let places = if in_program { find(b"\x80\x02")..find(b"b.") + 2 } else { find(b"PK\x01\x02")..bytes.len() };
        for (index, value) in changes {
            bytes[places.start + index.index(places.len())] = value;
        }
        let directory = tempfile::tempdir().unwrap();
        read_all(directory.path(), &bytes);
    }
}
