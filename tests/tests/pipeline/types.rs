//! Vectors of smaller types, in the filters that read them.

use std::collections::BTreeSet;

use embtune_tensors::TensorFile;
use embtune_tests::Folder;
use serde_json::{Value, json};

use crate::records;

/// The dtypes, and how many of the ten nearest documents each may lose on average, compared with f32.
const TYPES: [(&str, f64); 5] = [("f32", 0.0), ("f16", 0.1), ("bf16", 0.5), ("int8", 0.5), ("ubinary", 5.0)];

const EVALUATE: &str = "ir-eval --device cpu --qrels qrels.tsv";

/// The query for a document: its title, or its text if it has none.
fn title(document: &Value) -> &Value {
    document.get("title").unwrap_or(&document["text"])
}

/// A folder with queries (the titles), their judgments, and f32 vectors of both sides.
fn sides() -> Folder {
    let folder = Folder::with_corpus("tiny-xlmr");
    let corpus = records(&folder.read("corpus.jsonl"));
    let id = |document: &Value| document["_id"].as_str().unwrap().to_owned();
    let query =
        |document: &Value| format!("{}\n", json!({"_id": format!("q-{}", id(document)), "text": title(document)}));
    folder.write("queries.jsonl", corpus.iter().map(query).collect::<String>());
    let judgment = |document: &Value| format!("q-{}\t{}\t1\n", id(document), id(document));
    folder.write("qrels.tsv", corpus.iter().map(judgment).collect::<String>());
    embed(&folder, "query", "queries.jsonl -o q");
    embed(&folder, "document", "corpus.jsonl -o c");
    folder
}

fn embed(folder: &Folder, role: &str, flags: &str) {
    folder.run(&format!("embed --device cpu --model BASE --role {role} {flags}")).done();
}

/// The ten nearest documents of each query.
fn nearest(folder: &Folder, queries: &str, corpus: &str, flags: &str) -> Vec<BTreeSet<String>> {
    folder.run(&format!("{EVALUATE} {flags} --depth 10 --run found s={queries},{corpus}")).done();
    let run = folder.read("found");
    let mut hits: Vec<(&str, BTreeSet<String>)> = Vec::new();
    for line in run.lines() {
        let columns: Vec<&str> = line.split_whitespace().collect();
        if hits.last().is_none_or(|(query, _)| *query != columns[0]) {
            hits.push((columns[0], BTreeSet::new()));
        }
        hits.last_mut().unwrap().1.insert(columns[2].to_owned());
    }
    assert_eq!(hits.len(), 40);
    hits.into_iter().map(|(_, documents)| documents).collect()
}

#[test]
fn queries_and_documents_may_differ_in_type() {
    let folder = sides();
    for similarity in ["--similarity cosine", "--similarity dot"] {
        let exact = nearest(&folder, "q", "c", similarity);
        for (dtype, most_lost) in TYPES {
            embed(&folder, "document", &format!("--dtype {dtype} corpus.jsonl -o small"));
            let found = nearest(&folder, "q", "small", similarity);
            let lost: usize = exact.iter().zip(&found).map(|(exact, found)| exact.difference(found).count()).sum();
            assert!(lost as f64 / 40.0 <= most_lost, "{dtype}, {similarity}: {lost} of 400 lost");
        }
    }
}

#[test]
fn bits_on_both_sides_rank_by_hamming_distance() {
    let folder = sides();
    embed(&folder, "query", "--dtype ubinary queries.jsonl -o q1");
    embed(&folder, "document", "--dtype ubinary corpus.jsonl -o c1");
    let bytes = |role: &str, file: &str| -> Vec<(String, Vec<u64>)> {
        let line = format!("embed --device cpu --model BASE --role {role} --dtype ubinary {file}");
        let vector =
            |record: &Value| record["embedding"].as_array().unwrap().iter().map(|x| x.as_u64().unwrap()).collect();
        folder
            .run(&line)
            .records()
            .iter()
            .map(|record| (record["_id"].as_str().unwrap().to_owned(), vector(record)))
            .collect()
    };
    let corpus = bytes("document", "corpus.jsonl");
    folder.run(&format!("{EVALUATE} --similarity dot --depth 40 --run found s=q1,c1")).done();
    let queries = bytes("query", "queries.jsonl");
    for line in folder.read("found").lines() {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let of = |side: &[(String, Vec<u64>)], id: &str| side.iter().find(|(other, _)| other == id).unwrap().1.clone();
        let (query, document) = (of(&queries, columns[0]), of(&corpus, columns[2]));
        let hamming: u32 = query.iter().zip(&document).map(|(x, y)| (x ^ y).count_ones()).sum();
        assert_eq!(columns[4].parse::<f64>().unwrap(), 32.0 - 2.0 * f64::from(hamming), "{line}");
    }
}

#[test]
fn dimensions_must_be_the_same() {
    let folder = sides();
    for dtype in ["f32", "int8", "ubinary"] {
        embed(&folder, "document", &format!("--dtype {dtype} --truncate-dim 16 corpus.jsonl -o half"));
        let message = folder.run(&format!("{EVALUATE} s=q,half")).refusal();
        assert!(message.contains("q has vectors of 32 elements, half of 16"), "{message}");
        embed(&folder, "query", "--truncate-dim 16 queries.jsonl -o qhalf");
        folder.run(&format!("{EVALUATE} s=qhalf,half")).done();
    }
}

#[test]
fn negatives_are_mined_with_any_type() {
    let folder = sides();
    let corpus = records(&folder.read("corpus.jsonl"));
    let pair = |document: &Value| {
        let id = document["_id"].as_str().unwrap();
        let pair = json!({"anchor": title(document), "positive": document["text"], "anchor_id": format!("q-{id}"), "positive_id": id});
        format!("{pair}\n")
    };
    folder.write("pairs.jsonl", corpus.iter().map(pair).collect::<String>());
    for (dtype, _) in TYPES {
        embed(&folder, "document", &format!("--dtype {dtype} corpus.jsonl -o small"));
        let line = "mine-negatives --device cpu --queries q --corpus small --texts corpus.jsonl -n 2 pairs.jsonl";
        let mined = folder.run(line).records();
        let negatives = |pair: &Value| pair["negatives"].as_array().map_or(0, Vec::len);
        assert_eq!(mined.iter().map(negatives).sum::<usize>(), 80, "{dtype}");
    }
}

#[test]
fn a_damaged_scale_is_named() {
    let folder = sides();
    embed(&folder, "document", "--dtype int8 corpus.jsonl -o small");
    let mut bytes = folder.bytes("small");
    let scales = TensorFile::open(&folder.path("small")).unwrap().offset("scales").unwrap();
    bytes[scales..scales + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    folder.write("small", bytes);
    let message = folder.run(&format!("{EVALUATE} s=q,small")).refusal();
    assert!(message.contains("small: the vector of \"s01\" holds NaN or infinity"), "{message}");
}
