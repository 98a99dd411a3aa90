//! Number formats, truncated vectors, normalisation.

use embtune_tests::Folder;

use crate::support::{ROUNDING, assert_near, embed, norm, of_file, vector, vectors};

/// The header of an npy file, and its data.
fn npy(folder: &Folder, name: &str) -> (String, Vec<u8>) {
    let bytes = folder.bytes(name);
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let (header, data) = bytes[10..].split_at(header);
    (String::from_utf8(header.to_vec()).unwrap(), data.to_vec())
}

#[test]
fn every_type_is_the_same_in_every_format() {
    let folder = Folder::with_corpus("tiny-xlmr");
    let exact = vectors(&folder, "corpus.jsonl");
    // Tolerances: half a unit in the last place of a number below 1, and half a step of int8.
    for (dtype, tolerance) in [("f32", 0.0), ("f16", 2.5e-4), ("bf16", 2e-3), ("int8", 0.5 / 127.0)] {
        embed(&folder, &format!("--dtype {dtype} corpus.jsonl -o v")).done();
        let (file, rows) = of_file(&folder, "v");
        assert_eq!((file.dim(), file.meta().unwrap().dtype.as_str()), (32, dtype));
        assert_near(&rows, &exact, tolerance);
        let json = vectors(&folder, &format!("--dtype {dtype} corpus.jsonl"));
        if dtype == "int8" {
            for ((bytes, row), exact) in json.iter().zip(&rows).zip(&exact) {
                let largest = exact.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
                let expected: Vec<f32> = exact.iter().map(|x| (x / (largest / 127.0)).round_ties_even()).collect();
                assert_eq!(*bytes, expected);
                assert_near(&[bytes.iter().map(|x| x * (largest / 127.0)).collect()], std::slice::from_ref(row), 1e-7);
            }
        } else {
            assert_eq!(json, rows, "{dtype}");
        }
    }
}

#[test]
fn bits_are_signs_in_every_format() {
    let folder = Folder::with_corpus("tiny-bert");
    let exact = vectors(&folder, "corpus.jsonl");
    embed(&folder, "--dtype ubinary corpus.jsonl -o v").done();
    let (file, rows) = of_file(&folder, "v");
    let signs = |row: &Vec<f32>| row.iter().map(|x| if *x > 0.0 { 1.0 } else { -1.0 }).collect();
    assert_eq!(rows, exact.iter().map(signs).collect::<Vec<Vec<f32>>>());
    assert_eq!((file.dim(), file.meta().unwrap().dtype.as_str()), (32, "ubinary"));

    let packed: Vec<u8> = exact
        .iter()
        .flat_map(|row| row.chunks(8).map(|bits| bits.iter().fold(0, |byte, x| byte << 1 | u8::from(*x > 0.0))))
        .collect();
    embed(&folder, "--dtype ubinary corpus.jsonl -o v.npy").done();
    let (header, data) = npy(&folder, "v.npy");
    assert!(header.contains("'descr': '|u1'") && header.contains("'shape': (40, 4)"), "{header}");
    assert_eq!(data, packed);
    let json = vectors(&folder, "--dtype ubinary corpus.jsonl").concat();
    assert_eq!(json, packed.iter().map(|byte| f32::from(*byte)).collect::<Vec<_>>());

    embed(&folder, "--dtype int8 corpus.jsonl -o v.npy").done();
    let (header, data) = npy(&folder, "v.npy");
    assert!(header.contains("'descr': '|i1'") && header.contains("'shape': (40, 32)"), "{header}");
    let json = vectors(&folder, "--dtype int8 corpus.jsonl").concat();
    assert_eq!(data.iter().map(|byte| f32::from(*byte as i8)).collect::<Vec<_>>(), json);
}

#[test]
fn integers_are_integers_in_json() {
    let folder = Folder::with_corpus("tiny-bert");
    for dtype in ["int8", "ubinary"] {
        let out = embed(&folder, &format!("--text --dtype {dtype}")).stdin("lift\n").stdout();
        let numbers = out.split_once("\"embedding\":[").unwrap().1;
        assert!(!numbers.contains('.') && !numbers.contains('e'), "{numbers}");
    }
}

#[test]
fn json_numbers_read_back_as_the_same_floats() {
    let folder = Folder::with_corpus("tiny-bert");
    let out = embed(&folder, "corpus.jsonl").stdout();
    embed(&folder, "corpus.jsonl -o v").done();
    for (line, row) in out.lines().zip(of_file(&folder, "v").1) {
        let numbers = line.rsplit_once('[').unwrap().1.trim_end_matches("]}");
        let shortest: Vec<String> = row.iter().map(|x| format!("{x:?}")).collect();
        let parsed: Vec<f32> = numbers.split(',').map(|x| x.parse().unwrap()).collect();
        assert_eq!(parsed, row);
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).count();
        // The digits are compared, because exponents may be written in different ways.
        assert!(numbers.split(',').zip(&shortest).all(|(x, y)| digits(x) <= digits(y)), "{numbers}");
    }
}

#[test]
fn truncated_vectors_are_normalized_again() {
    for (model, is_normalized) in [("tiny-xlmr", true), ("tiny-bert", false)] {
        let folder = Folder::with_corpus(model);
        let whole = vectors(&folder, "corpus.jsonl");
        let cut = |row: &Vec<f32>| {
            let first = &row[..24];
            let length = if is_normalized { norm(first) } else { 1.0 };
            first.iter().map(|x| x / length).collect()
        };
        let expected: Vec<Vec<f32>> = whole.iter().map(cut).collect();
        assert_near(&vectors(&folder, "--truncate-dim 24 corpus.jsonl"), &expected, ROUNDING);
        embed(&folder, "--truncate-dim 24 corpus.jsonl -o v").done();
        let (file, rows) = of_file(&folder, "v");
        assert_near(&rows, &expected, ROUNDING);
        assert_eq!((file.dim(), file.meta().unwrap().normalized), (24, is_normalized));
        assert_eq!(vectors(&folder, "--truncate-dim 32 corpus.jsonl"), whole);
    }
    let folder = Folder::with_corpus("tiny-bert");
    let message = embed(&folder, "--truncate-dim 33 corpus.jsonl").refusal();
    assert!(message.contains("--truncate-dim 33 is more than the 32 elements of the model's vectors"), "{message}");
    assert!(embed(&folder, "--truncate-dim 0 corpus.jsonl").refusal().contains("--truncate-dim"));
    let message = embed(&folder, "--truncate-dim 20 --dtype ubinary corpus.jsonl").refusal();
    assert!(
        message.contains("--dtype ubinary packs 8 dimensions into a byte, and 20 is not a multiple of 8"),
        "{message}"
    );
}

#[test]
fn vectors_may_stay_unnormalized() {
    let folder = Folder::with_corpus("tiny-xlmr");
    let (unit, raw) = (vectors(&folder, "corpus.jsonl"), vectors(&folder, "--no-normalize corpus.jsonl"));
    assert!(raw.iter().all(|row| (norm(row) - 1.0).abs() > 1e-3));
    let divided: Vec<Vec<f32>> = raw.iter().map(|row| row.iter().map(|x| x / norm(row)).collect()).collect();
    assert_near(&divided, &unit, ROUNDING);
    let first: Vec<Vec<f32>> = raw.iter().map(|row| row[..8].to_vec()).collect();
    assert_near(&vectors(&folder, "--no-normalize --truncate-dim 8 corpus.jsonl"), &first, ROUNDING);
    embed(&folder, "--no-normalize corpus.jsonl -o v").done();
    assert!(!of_file(&folder, "v").0.meta().unwrap().normalized);
}

#[test]
fn an_empty_input_has_a_shape() {
    let folder = Folder::with_corpus("tiny-bert");
    for (dtype, columns) in [("f32", 32), ("int8", 32), ("ubinary", 4)] {
        embed(&folder, &format!("--dtype {dtype} -o v.npy")).done();
        assert!(npy(&folder, "v.npy").0.contains(&format!("'shape': (0, {columns})")));
        embed(&folder, &format!("--dtype {dtype} -o v")).done();
        assert_eq!((of_file(&folder, "v").0.dim(), of_file(&folder, "v").1.len()), (32, 0));
    }
    let record = embed(&folder, "--text --dtype ubinary").stdin("\n").records().remove(0);
    assert_eq!(vector(&record).len(), 4);
}
