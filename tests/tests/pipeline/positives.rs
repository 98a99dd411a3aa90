//! Queries with several positives, by the commands of README.md and of mine-negatives(1).

use std::collections::{BTreeMap, BTreeSet};

use embtune_tensors::Shard;
use serde_json::json;

use crate::flow::{records, start};

#[test]
fn queries_with_several_positives_are_mined_and_trained_on() {
    let folder = start("tiny-bert");
    let corpus = records(&folder.read("corpus.jsonl"));
    // Every third query has one positive, the next two, the next three; pairs of one query are not neighbours.
    let mut pairs = Vec::new();
    for round in 0..3 {
        for query in 0..12 {
            if round <= query % 3 {
                let document = &corpus[(5 * query + round) % corpus.len()];
                pairs.push(json!({
                    "anchor": format!("question number {query}"), "anchor_id": format!("q{query}"),
                    "positive": document["text"], "positive_id": document["_id"],
                }));
            }
        }
    }
    let lines: String = pairs.iter().map(|pair| format!("{pair}\n")).collect();
    folder.write("pairs.jsonl", lines);
    folder
        .shell(
            "embed --device cpu --model BASE --role query --field anchor --id anchor_id pairs.jsonl -o queries.safetensors
             embed --device cpu --model BASE --role document corpus.jsonl -o corpus.safetensors
             mine-negatives --device cpu --queries queries.safetensors --corpus corpus.safetensors --texts corpus.jsonl \\
               -n 3 pairs.jsonl -o mined.jsonl
             pairs2shards --model BASE mined.jsonl -o train.safetensors",
        )
        .done();
    let mined = records(&folder.read("mined.jsonl"));
    assert_eq!(mined.len(), pairs.len());
    let mut positives: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for pair in &mined {
        let id = |field: &str| pair[field].as_str().unwrap();
        positives.entry(id("anchor_id")).or_default().insert(id("positive_id"));
    }
    for (pair, read) in mined.iter().zip(&pairs) {
        assert_eq!((&pair["anchor"], &pair["positive_id"]), (&read["anchor"], &read["positive_id"]));
        let negatives = pair["negative_ids"].as_array().unwrap();
        assert_eq!(negatives.len(), 3, "{pair}");
        let own = &positives[pair["anchor_id"].as_str().unwrap()];
        assert!(negatives.iter().all(|id| !own.contains(id.as_str().unwrap())), "{pair}");
    }
    let shard = Shard::open(&folder.path("train.safetensors")).unwrap();
    assert_eq!((shard.pairs(), shard.negative_rows()), (pairs.len(), 3 * pairs.len()));
}
