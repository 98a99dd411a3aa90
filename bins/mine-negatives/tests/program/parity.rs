//! The negatives and scores of sentence-transformers' mine_hard_negatives for the same vectors.

use std::collections::HashMap;
use std::fs;

use embtune_tests::{Folder, fixture};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Figures {
    vectors: HashMap<String, Vec<f32>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    arguments: serde_json::Map<String, Value>,
    pairs: Vec<Mined>,
}

#[derive(Deserialize)]
struct Mined {
    query: String,
    positive: String,
    negatives: Vec<String>,
    scores: Vec<f64>,
}

#[test]
fn the_negatives_are_those_of_sentence_transformers() {
    let figures: Figures =
        serde_json::from_str(&fs::read_to_string(fixture("parity/mining/mining.json")).unwrap()).unwrap();
    let folder = Folder::new();
    let write = |file: &str, role: &str, kind: &str| {
        let mut rows: Vec<(&str, &[f32])> =
            figures.vectors.iter().map(|(id, row)| (id.as_str(), row.as_slice())).collect();
        rows.retain(|(id, _)| id.starts_with(kind));
        rows.sort_by_key(|(id, _)| *id);
        folder.write_vectors(file, role, &rows);
        rows.iter().map(|(id, _)| format!("{}\n", json!({"_id": id, "text": id}))).collect::<String>()
    };
    write("q", "query", "query");
    folder.write("corpus.jsonl", write("c", "document", "document"));
    assert!(!figures.cases.is_empty());
    for case in &figures.cases {
        let pair = |mined: &Mined| {
            let Mined { query, positive, .. } = mined;
            format!("{}\n", json!({"anchor": query, "positive": positive, "anchor_id": query, "positive_id": positive}))
        };
        folder.write("pairs.jsonl", case.pairs.iter().map(pair).collect::<String>());
        let flags: String =
            case.arguments.iter().map(|(name, value)| format!(" --{} {value}", name.replace('_', "-"))).collect();
        let line = format!("mine-negatives -q --queries q --corpus c --texts corpus.jsonl --near-duplicate 1{flags}");
        let records = folder.run(&format!("{line} pairs.jsonl")).records();
        assert_eq!(records.len(), case.pairs.len());
        for (record, expected) in records.iter().zip(&case.pairs) {
            assert_eq!(record["negative_ids"], json!(expected.negatives), "{flags}: {}", expected.query);
            let scores = record["scores"].as_array().unwrap().iter().map(|score| score.as_f64().unwrap());
            // For a pair without negatives, sentence-transformers writes no row, so the positive has no score.
            for (score, expected) in scores.zip(&expected.scores) {
                assert!((score - expected).abs() < 1e-5, "{flags}: {score} {expected}");
            }
        }
    }
}
