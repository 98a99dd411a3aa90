//! Scores and labels.

use embtune_tensors::{Column, TensorFile};

use crate::{folder, shard};

#[test]
fn scores_and_labels_are_in_the_shard() {
    let pairs = r#"{"anchor":"a","positive":"p","negatives":["n","m"],"scores":[0.1,-3,1e-3]}
{"anchor":"b","positive":"q","label":1}
{"anchor":"c","positive":"r","negatives":["n"],"label":1}
{"anchor":"d","positive":"s","score":0.25}
{"anchor":"e","positive":"t","scores":0.75}
{"anchor":"f","positive":"u"}
"#;
    let shard = shard(&folder(), "", pairs);
    let positives: Vec<_> = (0..6).map(|row| shard.score(Column::Positive, row)).collect();
    assert_eq!(positives, [Some(0.1), Some(1.0), None, Some(0.25), Some(0.75), None]);
    let negatives: Vec<_> = (0..3).map(|row| shard.score(Column::Negative, row)).collect();
    assert_eq!(negatives, [Some(-3.0), Some(1e-3), None]);
}

#[test]
fn several_shards_keep_the_scores_of_their_pairs() {
    let folder = folder();
    let pairs: String = (0..5).map(|n| format!("{{\"anchor\":\"a{n}\",\"positive\":\"p\",\"label\":{n}}}\n")).collect();
    folder.run("pairs2shards --model BASE --out shards --shard-pairs 2").stdin(pairs).done();
    for n in 0..5 {
        let shard = embtune_tensors::Shard::open(&folder.path(&format!("shards/train-0000{}.safetensors", n / 2)));
        assert_eq!(shard.unwrap().score(Column::Positive, n % 2), Some(n as f32));
    }
}

#[test]
fn a_shard_without_scores_has_no_tensors_for_them() {
    let folder = folder();
    shard(&folder, "", "{\"anchor\":\"a\",\"positive\":\"p\",\"negatives\":[\"n\"]}\n");
    let names = TensorFile::open(&folder.path("s.safetensors")).unwrap().names();
    assert_eq!(names.len(), 16, "five tensors a column and negative.cu_rows: {names:?}");
}

#[test]
fn labels_that_are_not_finite_numbers_are_refused_by_line() {
    let folder = folder();
    let good = "{\"anchor\":\"a\",\"positive\":\"p\",\"label\":0}\n";
    for (fields, expected) in [
        ("\"label\":\"yes\"", "field \"label\" must be a number, found a string"),
        ("\"label\":true", "field \"label\" must be a number, found a boolean"),
        ("\"score\":1e300", "field \"score\": 1e300 is too large for a number of 32 bits"),
        ("\"score\":1e999", "field \"score\": inf is too large for a number of 32 bits"),
        ("\"scores\":[NaN]", "not JSON: "),
        ("\"scores\":[1,2]", "expected 1 score (positive, then negatives), found 2"),
        ("\"scores\":[1,null],\"negatives\":[\"n\"]", "field \"scores\" must be a list of numbers, found null"),
    ] {
        let pairs = format!("{good}{{\"anchor\":\"b\",\"positive\":\"q\",{fields}}}\n");
        let message = folder.run("pairs2shards --model BASE -o out").stdin(pairs).refusal();
        assert!(message.contains(&format!("pairs2shards: <stdin>:2: {expected}")), "{message}");
    }
}
