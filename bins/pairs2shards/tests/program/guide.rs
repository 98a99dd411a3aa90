//! A guide model's vectors.

use embtune_tensors::{Column, Shard};
use embtune_tests::Folder;

use crate::{folder, shard};

const GUIDE: &str = "--guide-queries gq --guide-corpus gc";
const PAIRS: &str = r#"{"anchor":"a","positive":"p","anchor_id":"q1","positive_id":"d1"}
{"anchor":"b","positive":"r","anchor_id":"q2","positive_id":"d2","negatives":["n","m"],"negative_ids":["d3","d1"]}
"#;

/// A folder with a model and a guide's vectors of two queries and three documents.
fn guided() -> Folder {
    let folder = folder();
    folder.write_vectors_of("guide", "gq", "query", &[("q1", &[1.0, 0.0]), ("q2", &[0.0, 2.0])]);
    let documents: [(&str, &[f32]); 3] = [("d1", &[0.0, 1.0]), ("d2", &[-1.0, 0.0]), ("d3", &[1e20, 0.0])];
    folder.write_vectors_of("guide", "gc", "document", &documents);
    folder
}

#[test]
fn every_text_has_its_vector_with_length_1() {
    let shard = shard(&guided(), GUIDE, PAIRS);
    assert_eq!((shard.guide_dimension(), shard.meta().guide.as_deref()), (Some(2), Some("guide")));
    let column = |column, rows: usize| (0..rows).map(|row| shard.guide(column, row).unwrap()).collect::<Vec<_>>();
    assert_eq!(column(Column::Anchor, 2), [[1.0, 0.0], [0.0, 1.0]]);
    assert_eq!(column(Column::Positive, 2), [[0.0, 1.0], [-1.0, 0.0]]);
    assert_eq!(column(Column::Negative, 2), [[1.0, 0.0], [0.0, 1.0]]);
}

#[test]
fn several_shards_have_the_vectors_of_their_pairs() {
    let folder = guided();
    folder.run(&format!("pairs2shards --model BASE --out shards --shard-pairs 1 {GUIDE}")).stdin(PAIRS).done();
    let second = Shard::open(&folder.path("shards/train-00001.safetensors")).unwrap();
    assert_eq!((second.pairs(), second.guide(Column::Positive, 0).unwrap()), (1, vec![-1.0, 0.0]));
    assert_eq!(second.meta().guide.as_deref(), Some("guide"));
}

#[test]
fn pairs_that_are_held_out_or_dropped_need_no_vectors() {
    let folder = guided();
    let blank = r#"{"anchor":" ","positive":"p","anchor_id":"q9","positive_id":"d9"}"#;
    assert_eq!(shard(&folder, GUIDE, &format!("{PAIRS}{blank}\n")).pairs(), 2);
    // With nearly all documents held out, hardly any pair is looked up.
    let pairs: String = (0..100)
        .map(|n| format!("{{\"anchor\":\"a{n}\",\"positive\":\"p\",\"anchor_id\":\"x{n}\",\"positive_id\":\"d1\"}}\n"))
        .collect();
    shard(&folder, &format!("{GUIDE} --holdout 0.999999 --holdout-dir heldout"), &pairs);
}

#[test]
fn a_pair_without_a_vector_is_refused_by_line_and_id() {
    let folder = guided();
    let run = |flags: &str, line: &str| {
        let pairs = format!("{PAIRS}{line}\n");
        folder.run(&format!("pairs2shards --model BASE {GUIDE} {flags}")).stdin(pairs)
    };
    for (line, expected) in [
        (r#"{"anchor":"c","positive":"p","positive_id":"d1"}"#, "no field \"anchor_id\": it names the query's vector"),
        (
            r#"{"anchor":"c","positive":"p","anchor_id":"q1"}"#,
            "no field \"positive_id\": it names the document's vector",
        ),
        (r#"{"anchor":"c","positive":"p","anchor_id":"q7","positive_id":"d1"}"#, "no vector of query \"q7\" in gq"),
        (r#"{"anchor":"c","positive":"p","anchor_id":"q1","positive_id":"x"}"#, "no vector of document \"x\" in gc"),
        (
            r#"{"anchor":"c","positive":"p","anchor_id":"q1","positive_id":"d1","negatives":["n"]}"#,
            "no field \"negative_ids\"",
        ),
        (
            r#"{"anchor":"c","positive":"p","anchor_id":"q1","positive_id":"d1","negatives":["n"],"negative_ids":["y"]}"#,
            "no vector of document \"y\" in gc",
        ),
    ] {
        let message = run("-o out", line).refusal();
        assert!(message.contains(&format!("pairs2shards: <stdin>:3: {expected}")), "{message}");
        assert!(message.contains("\nhint: --guide-queries and --guide-corpus need a vector"), "{message}");
        let skipped = run("--on-error skip -o out", line).ran().with_code(1);
        assert!(skipped.stderr().contains("2 written"), "{skipped}");
    }
}

#[test]
fn files_that_are_not_a_guide_are_refused() {
    let folder = guided();
    folder.write_vectors_of("other", "other", "document", &[("d1", &[1.0, 0.0])]);
    folder.write_vectors_of("guide", "wide", "document", &[("d1", &[1.0, 0.0, 0.0])]);
    folder.write_vectors_of("guide", "none", "document", &[("d1", &[])]);
    let nan: [(&str, &[f32]); 3] = [("d1", &[f32::NAN, 1.0]), ("d2", &[0.0, 1.0]), ("d3", &[0.0, 1.0])];
    folder.write_vectors_of("guide", "nan", "document", &nan);
    folder.write("junk", "no vectors are in here");
    for (queries, corpus, expected) in [
        ("gc", "gq", "gc: its vectors were made with --role document"),
        ("gq", "other", "gq and other were made by different models"),
        ("gq", "wide", "gq has vectors of 2 elements, wide of 3"),
        ("gq", "none", "none of 0"),
        ("gq", "nan", "nan: the vector of \"d1\" holds NaN or infinity"),
        ("gq", "BASE", "BASE: "),
        ("gq", "junk", "junk: not a valid safetensors file"),
        ("gq", "BASE/config.json", "BASE/config.json:1: not an object with an id and an embedding"),
    ] {
        let flags = format!("--guide-queries {queries} --guide-corpus {corpus}");
        let message = folder.run(&format!("pairs2shards --model BASE -o out {flags}")).stdin(PAIRS).refusal();
        assert!(message.contains("pairs2shards: ") && message.contains(expected), "{message}");
    }
    folder.run("pairs2shards --model BASE -o out --guide-queries gq").stdin(PAIRS).refusal();
}
