//! A text's vector depends only on the text, the model and the prompt.

use embtune_tensors::Embeddings;
use embtune_tests::Folder;
use serde_json::Value;

use crate::records;

/// Batches and threads change the order of sums, and so the last bits.
const ROUNDING: f32 = 1e-6;

const EMBED: &str = "embed --device cpu --model BASE";

/// Ids and vectors of the lines that `embed` prints.
fn parse(lines: &str) -> Vec<(String, Vec<f32>)> {
    let number = |value: &Value| value.as_f64().unwrap() as f32;
    let vector = |record: &Value| record["embedding"].as_array().unwrap().iter().map(number).collect();
    records(lines).iter().map(|record| (record["_id"].as_str().unwrap().to_owned(), vector(record))).collect()
}

fn vectors(folder: &Folder, flags: &str) -> Vec<(String, Vec<f32>)> {
    parse(&folder.run(&format!("{EMBED} {flags}")).stdout())
}

#[track_caller]
fn assert_near(left: &[(String, Vec<f32>)], right: &[(String, Vec<f32>)], tolerance: f32) {
    assert_eq!(left.len(), right.len());
    for ((left_id, left), (right_id, right)) in left.iter().zip(right) {
        assert_eq!((left_id, left.len()), (right_id, right.len()));
        for (x, y) in left.iter().zip(right) {
            assert!((x - y).abs() <= tolerance * y.abs().max(1.0), "{left_id}: {x} and {y}");
        }
    }
}

#[test]
fn neighbours_and_threads_do_not_matter() {
    let folder = Folder::with_corpus("tiny-bert");
    let expected = vectors(&folder, "--role document corpus.jsonl");
    assert_eq!((expected.len(), expected[0].1.len()), (40, 32));
    for flags in ["--batch-tokens 1", "--batch-tokens 100000", "--threads 1", "--threads 2"] {
        let other = vectors(&folder, &format!("--role document {flags} corpus.jsonl"));
        assert_near(&other, &expected, ROUNDING);
    }
}

#[test]
fn the_order_of_the_texts_does_not_matter() {
    let folder = Folder::with_corpus("tiny-bert");
    let mut expected = vectors(&folder, "--role document corpus.jsonl");
    // 17 and 40 have no common divisor, so every line occurs once.
    let corpus = folder.read("corpus.jsonl");
    let lines: Vec<&str> = corpus.lines().collect();
    let shuffled: String = (0..lines.len()).map(|n| format!("{}\n", lines[17 * n % lines.len()])).collect();
    folder.write("shuffled.jsonl", shuffled);
    let mut other = vectors(&folder, "--role document shuffled.jsonl");
    let first = lines[0];
    assert!(first.contains(&other[0].0) && !lines[1].contains(&other[1].0), "the output has the input's order");
    expected.sort_by(|left, right| left.0.cmp(&right.0));
    other.sort_by(|left, right| left.0.cmp(&right.0));
    assert_near(&other, &expected, ROUNDING);
}

#[test]
fn forms_hold_the_same_numbers() {
    let folder = Folder::with_corpus("tiny-bert");
    let flags = "--role document corpus.jsonl";
    let expected = vectors(&folder, flags);
    folder.run(&format!("{EMBED} {flags} -o v.safetensors")).done();
    folder.run(&format!("{EMBED} {flags} -o half.safetensors --dtype f16")).done();
    folder.run(&format!("{EMBED} {flags} -o v.npy")).done();
    folder.run(&format!("{EMBED} {flags} -o v.jsonl")).done();

    assert_near(&parse(&folder.read("v.jsonl")), &expected, 0.0);
    assert_near(&of_safetensors(&folder, "v.safetensors"), &expected, 0.0);
    // f16 has 11 significant bits.
    assert_near(&of_safetensors(&folder, "half.safetensors"), &expected, 1.0 / 2048.0);

    let npy = folder.bytes("v.npy");
    let header = usize::from(u16::from_le_bytes([npy[8], npy[9]]));
    let (header, data) = npy[10..].split_at(header);
    let header = std::str::from_utf8(header).unwrap();
    assert!(header.contains("'descr': '<f4'") && header.contains("'shape': (40, 32)"), "{header}");
    let numbers: Vec<f32> = data.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    assert_eq!(numbers, expected.into_iter().flat_map(|(_, vector)| vector).collect::<Vec<_>>());
}

fn of_safetensors(folder: &Folder, name: &str) -> Vec<(String, Vec<f32>)> {
    let file = Embeddings::open(&folder.path(name)).unwrap();
    file.ids().enumerate().map(|(row, id)| (id.to_owned(), file.rows_f32(row..row + 1).into_owned())).collect()
}

#[test]
fn lines_of_text_are_records_without_a_title() {
    let folder = Folder::with_corpus("tiny-bert");
    let lines = ["lift cells", "", "  the night watch ", "h\u{e4}il \u{2014} \u{96e8}"];
    let text = folder.run(&format!("{EMBED} --role query --text")).stdin(lines.join("\n")).stdout();
    let json: String =
        (1..).zip(lines).map(|(n, line)| format!("{}\n", serde_json::json!({"id": n, "text": line}))).collect();
    let json = folder.run(&format!("{EMBED} --role query")).stdin(json).records();
    let (text, json) = (records(&text), json);
    assert_eq!(text.len(), lines.len());
    for ((number, text), json) in (1..).zip(&text).zip(&json) {
        assert_eq!(text["_id"], number.to_string());
        assert_eq!(text["embedding"], json["embedding"]);
    }
}

#[test]
fn a_role_is_its_prompt() {
    let folder = Folder::with_corpus("tiny-bert");
    let of = |flags: &str| vectors(&folder, &format!("{flags} corpus.jsonl"));
    assert_eq!(
        of("--role query"),
        parse(&folder.run(&format!("{EMBED} corpus.jsonl --prompt")).arg("query: ").stdout())
    );
    assert_ne!(of("--role query"), of("--role document"));
    let ran = folder.run(&format!("{EMBED} corpus.jsonl")).done();
    let ran = ran.saying("warning: the model has prompts for queries and documents, but no --role is given");
    assert_ne!(parse(&ran.stdout()), of("--role query"));
}

#[test]
fn operands_are_read_one_after_the_other() {
    let folder = Folder::with_corpus("tiny-bert");
    let corpus = folder.read("corpus.jsonl");
    let half = corpus.match_indices('\n').nth(19).unwrap().0 + 1;
    folder.write("first.jsonl", &corpus[..half]);
    let expected = vectors(&folder, "--role document corpus.jsonl");
    let line = format!("{EMBED} --role document first.jsonl -");
    let both = folder.run(&line).stdin(&corpus[half..]).stdout();
    assert_near(&parse(&both), &expected, ROUNDING);
}

#[test]
fn other_fields_pass_through() {
    let folder = Folder::with_corpus("tiny-bert");
    let record = r#"{"lang":"de","id":7,"title":"T","text":"x","embedding":[0],"meta":{"b":1,"a":2}}"#;
    let out = folder.run(&format!("{EMBED} --role query")).stdin(record).stdout();
    assert!(
        out.starts_with(r#"{"lang":"de","id":7,"title":"T","text":"x","meta":{"b":1,"a":2},"embedding":["#),
        "{out}"
    );
}
