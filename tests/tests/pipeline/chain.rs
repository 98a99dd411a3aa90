//! The filters one after the other, joined by files or by pipes, and the files that every stage writes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use embtune_tensors::Shard;
use embtune_tests::Folder;
use serde_json::{Value, json};

use crate::{losses, records, whole};

#[test]
fn documents_become_a_better_model_and_a_report() {
    let folder = whole("tiny-bert");
    pairs_name_their_documents(&folder);
    negatives_are_other_documents(&folder);
    every_pair_is_trained_on_or_held_out(&folder);
    the_loss_falls(&folder);
    the_tuned_model_replaces_the_base(&folder);
    the_report_is_that_of_its_runs(&folder);
}

fn texts<'a>(records: &'a [Value], field: &str) -> Vec<&'a str> {
    records.iter().map(|record| record[field].as_str().unwrap()).collect()
}

fn pairs_name_their_documents(folder: &Folder) {
    let (corpus, pairs) = (records(&folder.read("corpus.jsonl")), records(&folder.read("pairs.jsonl")));
    let documents: BTreeSet<&str> = texts(&corpus, "_id").into_iter().collect();
    let positives: BTreeSet<&str> = texts(&pairs, "positive_id").into_iter().collect();
    assert_eq!(positives, documents, "every document has a query");
    assert!(pairs.len() > 3 * documents.len(), "{} pairs", pairs.len());
    let ids = texts(&pairs, "anchor_id");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "ids of queries differ");
}

fn negatives_are_other_documents(folder: &Folder) {
    let (pairs, mined) = (records(&folder.read("pairs.jsonl")), records(&folder.read("mined.jsonl")));
    assert_eq!(texts(&mined, "anchor_id"), texts(&pairs, "anchor_id"), "the same pairs in the same order");
    let held_out = records(&folder.read("heldout/queries.jsonl"));
    let held_out: BTreeSet<&str> = texts(&held_out, "_id").into_iter().collect();
    for pair in &mined {
        let negatives = pair["negative_ids"].as_array().unwrap();
        let expected = if held_out.contains(pair["anchor_id"].as_str().unwrap()) { 0 } else { 2 };
        let texts = pair.get("negatives").map_or(0, |texts| texts.as_array().unwrap().len());
        assert_eq!((negatives.len(), texts), (expected, expected), "{pair}");
        assert!(!negatives.contains(&pair["positive_id"]), "{pair}");
    }
}

fn every_pair_is_trained_on_or_held_out(folder: &Folder) {
    let shard = Shard::open(&folder.path("train.safetensors")).unwrap();
    let queries = records(&folder.read("heldout/queries.jsonl"));
    let pairs = records(&folder.read("mined.jsonl"));
    assert!(!queries.is_empty());
    assert_eq!(shard.pairs() + queries.len(), pairs.len());
    // All queries of a document are on the same side of the split.
    let qrels = folder.read("heldout/qrels.tsv");
    let held_out: BTreeSet<&str> = qrels.lines().skip(1).map(|line| line.split('\t').nth(1).unwrap()).collect();
    let theirs = pairs.iter().filter(|pair| held_out.contains(pair["positive_id"].as_str().unwrap()));
    assert_eq!(theirs.count(), queries.len());
}

fn the_loss_falls(folder: &Folder) {
    let log = folder.read("log.jsonl");
    let steps = records(&log);
    let pairs = Shard::open(&folder.path("train.safetensors")).unwrap().pairs();
    assert_eq!(steps.len(), 6 * pairs.div_ceil(16), "epochs, batches");
    for (number, step) in (1..).zip(&steps) {
        assert_eq!(step["step"], number);
        assert!(step["grad_norm"].as_f64().unwrap() > 0.0, "{step}");
    }
    let (first, last) = losses(&log);
    assert!(last < 0.95 * first, "mean loss {first} in the first epoch, {last} in the last");
}

fn the_tuned_model_replaces_the_base(folder: &Folder) {
    let listing = folder.listing();
    let inside = |model: &str| listing.iter().filter_map(|name| name.strip_prefix(model)).collect::<BTreeSet<_>>();
    let mut expected = inside("BASE/");
    expected.extend(["README.md", "model.onnx"]);
    assert_eq!(inside("TUNED/"), expected);

    for file in
        ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "config_sentence_transformers.json"]
    {
        assert_eq!(folder.read(&format!("TUNED/{file}")), folder.read(&format!("BASE/{file}")), "{file}");
    }
    for file in ["config.json", "1_Pooling/config.json"] {
        let json = |model: &str| serde_json::from_str::<Value>(&folder.read(&format!("{model}/{file}"))).unwrap();
        // Pooling modes that the base model does not have are written as false.
        let (base, tuned) = (json("BASE"), json("TUNED"));
        for (name, value) in base.as_object().unwrap() {
            assert_eq!(tuned[name], *value, "{file}: {name}");
        }
    }
    assert!(folder.bytes("TUNED/model.safetensors") != folder.bytes("BASE/model.safetensors"), "nothing was learned");
    // The graph is that of st2onnx.
    let onnx = folder.bytes("TUNED/model.onnx");
    folder.run("st2onnx TUNED").done();
    assert!(folder.bytes("TUNED/model.onnx") == onnx, "st2onnx and mnrl-train write different graphs");
}

fn the_report_is_that_of_its_runs(folder: &Folder) {
    let report = folder.read("report.tsv");
    let again = "ir-eval --qrels heldout/qrels.tsv --format tsv base=base.run tuned=tuned.run";
    assert_eq!(folder.run(again).stdout(), report);
    let figures = report.lines().filter(|line| line.starts_with("base\t") || line.starts_with("tuned\t"));
    for line in figures {
        let value: f64 = line.split('\t').nth(2).unwrap().parse().unwrap();
        assert!((0.0..=1.0).contains(&value), "{line}");
    }
    let json = "ir-eval --qrels heldout/qrels.tsv --format json base=base.run tuned=tuned.run";
    let json = folder.run(json).done().json();
    assert_eq!(json["evaluated_queries"], records(&folder.read("heldout/queries.jsonl")).len());
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let (first, second) = (whole("tiny-bert"), whole("tiny-bert"));
    assert_eq!(first.listing(), second.listing());
    for name in first.listing() {
        // These two contain times.
        if !name.ends_with('/') && name != "log.jsonl" && name != "TUNED/README.md" {
            assert!(first.bytes(&name) == second.bytes(&name), "{name} differs");
        }
    }
}

#[test]
fn the_pipeline_works_with_xlm_roberta() {
    let folder = whole("tiny-xlmr");
    the_loss_falls(&folder);
    the_tuned_model_replaces_the_base_of_xlmr(&folder);
    the_report_is_that_of_its_runs(&folder);
}

fn the_tuned_model_replaces_the_base_of_xlmr(folder: &Folder) {
    assert!(folder.listing().contains(&"TUNED/2_Normalize/".to_owned()), "{:?}", folder.listing());
    let vectors = folder.run("embed --device cpu --model TUNED --text").stdin("lift cells\n").records();
    let length: f64 = vectors[0]["embedding"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap().powi(2)).sum();
    assert!((length - 1.0).abs() < 1e-5, "the model normalises: {length}");
}

/// A training whose weights are compared.
const TRAIN: &str = "mnrl-train --device cpu --model BASE --batch-size 16 --epochs 1 --warmup-steps 0";

#[test]
fn pipes_give_what_files_give() {
    let folder = Folder::with_corpus("tiny-bert");
    let piped = "docs2queries --generator extractive < corpus.jsonl | pairs2shards --model BASE";
    folder.shell(&format!("{piped} | {TRAIN} --threads 2 --out PIPED")).done();
    folder.run("docs2queries --generator extractive corpus.jsonl -o pairs.jsonl").done();
    folder.run("pairs2shards --model BASE pairs.jsonl -o train.safetensors").done();
    folder.run(&format!("{TRAIN} --threads 2 --out FILED train.safetensors")).done();
    assert!(folder.bytes("PIPED/model.safetensors") == folder.bytes("FILED/model.safetensors"), "weights differ");
}

/// The corpus a hundred times, with different words each time so that no sentence repeats: far more than pipes hold.
fn long_corpus(folder: &Folder) -> String {
    let documents = records(&folder.read("corpus.jsonl"));
    (0..100).fold(String::new(), |mut lines, n| {
        for document in &documents {
            let mut copy = document.clone();
            copy["_id"] = format!("{}-{n}", document["_id"].as_str().unwrap()).into();
            copy["text"] = document["text"].as_str().unwrap().replace(". ", &format!(" on line {n}. ")).into();
            let _ = writeln!(lines, "{copy}");
        }
        lines
    })
}

#[test]
fn a_reader_may_leave_early() {
    let folder = Folder::with_corpus("tiny-bert");
    folder.write("long.jsonl", long_corpus(&folder));
    folder.run("docs2queries --generator extractive corpus.jsonl -o pairs.jsonl").done();
    folder.shell("for n in {1..100}; do cat pairs.jsonl; done > long.pairs.jsonl").done();
    folder.run("embed --device cpu --model BASE --role document corpus.jsonl -o c.safetensors").done();
    let queries =
        "embed --device cpu --model BASE --role query --field anchor --id anchor_id pairs.jsonl -o q.safetensors";
    folder.run(queries).done();
    for line in [
        "docs2queries --generator extractive long.jsonl | head -n 1",
        "embed --device cpu --model BASE --role document long.jsonl | head -n 1",
        "mine-negatives --device cpu --queries q.safetensors --corpus c.safetensors --texts corpus.jsonl \
         long.pairs.jsonl | head -n 1",
        "docs2queries --generator extractive long.jsonl | pairs2shards --model BASE | head -c 1",
    ] {
        let ran = folder.shell(line).done();
        assert!(!ran.stdout.is_empty(), "{ran}");
        assert!(!ran.stderr().contains("pipe"), "{ran}");
    }
}

#[test]
fn a_training_outlives_the_reader_of_its_log() {
    let folder = Folder::with_corpus("tiny-bert");
    folder
        .shell(
            "docs2queries --generator extractive corpus.jsonl | pairs2shards --model BASE |
         mnrl-train --device cpu --model BASE --out TUNED --epochs 2 --batch-size 4 --threads 1 | head -n 1 > log.jsonl",
        )
        .done();
    assert_eq!(records(&folder.read("log.jsonl")).len(), 1);
    folder.run("embed --device cpu --model TUNED --role query --text").stdin("hail\n").done();
}

#[test]
fn queries_with_several_positives_are_mined_and_trained_on() {
    let folder = Folder::with_corpus("tiny-bert");
    let corpus = records(&folder.read("corpus.jsonl"));
    // Queries have one, two or three positives in turn, and the pairs of a query are not adjacent.
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
