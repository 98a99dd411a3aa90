//! Nothing of the evaluation is trained on, as the outputs alone show.

use std::collections::BTreeSet;

use embtune_tensors::{Column, Shard};
use embtune_tests::{Folder, workspace};
use serde_json::json;
use xxhash_rust::xxh3::xxh3_64;

use crate::records;

/// A folder with mined pairs whose documents are grouped in twos; some queries belong to several documents.
fn mined(flags: &str) -> Folder {
    let folder = Folder::with_corpus("tiny-bert");
    let parts = records(&folder.read("corpus.jsonl")).into_iter().enumerate().map(|(number, mut document)| {
        document["group"] = json!(format!("volume {}", number / 2));
        format!("{document}\n")
    });
    let parts: String = parts.collect();
    folder.write("corpus.jsonl", parts);
    folder.run("docs2queries --generator extractive -n 3 corpus.jsonl -o some.jsonl").done();
    // Some pairs get the same question, and have no group.
    let pairs = records(&folder.read("some.jsonl")).into_iter().enumerate().map(|(number, mut pair)| {
        if number % 7 == 0 {
            pair["anchor"] =
                json!(if number % 2 == 0 { "What has to be kept dry?" } else { "what has to be kept  dry" });
            pair.as_object_mut().unwrap().remove("group");
        }
        format!("{pair}\n")
    });
    let pairs: String = pairs.collect();
    folder.write("pairs.jsonl", pairs);
    for (role, texts) in [("query", "--field anchor --id anchor_id pairs.jsonl"), ("document", "corpus.jsonl")] {
        folder.run(&format!("embed --device cpu --model BASE --role {role} {texts} -o {role}")).done();
    }
    let mine = "mine-negatives --device cpu --queries query --corpus document --texts corpus.jsonl -n 4";
    folder.run(&format!("{mine} {flags} pairs.jsonl -o mined.jsonl")).done();
    folder
}

fn hash(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

/// Checks the split of mined pairs; returns the number of negatives in the shard.
fn check(folder: &Folder, flags: &str) -> usize {
    let split = format!("pairs2shards --model BASE {flags} --holdout-dir heldout mined.jsonl -o train.safetensors");
    folder.run(&split).done();
    let corpus = records(&folder.read("corpus.jsonl"));
    let qrels = folder.read("heldout/qrels.tsv");
    let judged: Vec<(&str, &str)> = qrels
        .lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            (cells[0], cells[1])
        })
        .collect();
    let ids = folder.read("heldout/corpus-ids.txt");
    let held_out: BTreeSet<&str> = ids.lines().collect();
    assert!(!judged.is_empty() && held_out.len() < corpus.len(), "{} held out", held_out.len());
    assert!(judged.iter().all(|(_, document)| held_out.contains(document)));
    // Whole groups are held out.
    let of = |id: &str| corpus.iter().find(|document| document["_id"] == id).unwrap()["group"].as_str().unwrap();
    let groups: BTreeSet<&str> = held_out.iter().map(|id| of(id)).collect();
    let kept = corpus.iter().filter(|document| !groups.contains(document["group"].as_str().unwrap()));
    let kept: BTreeSet<u64> = kept.map(|document| hash(document["_id"].as_str().unwrap())).collect();

    let queries = records(&folder.read("heldout/queries.jsonl"));
    let normal = |text: &str| text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ").replace('?', "");
    let evaluated: BTreeSet<String> = queries.iter().map(|query| normal(query["text"].as_str().unwrap())).collect();
    assert_eq!(
        queries.iter().map(|query| query["_id"].as_str().unwrap()).collect::<BTreeSet<_>>(),
        judged.iter().map(|(query, _)| *query).collect()
    );
    let shard = Shard::open(&folder.path("train.safetensors")).unwrap();
    let trained: BTreeSet<u64> = (0..shard.pairs()).map(|row| shard.hashes(Column::Anchor, row).text).collect();
    let texts = records(&folder.read("mined.jsonl"));
    let mut anchors =
        texts.iter().map(|pair| pair["anchor"].as_str().unwrap()).filter(|text| trained.contains(&hash(text)));
    assert!(anchors.all(|anchor| !evaluated.contains(&normal(anchor))), "a query on both sides");

    let forbidden: BTreeSet<u64> = groups.iter().chain(&held_out).map(|name| hash(name)).collect();
    let rows = [(Column::Positive, shard.pairs()), (Column::Negative, shard.negative_rows())];
    for (column, row) in rows.into_iter().flat_map(|(column, rows)| (0..rows).map(move |row| (column, row))) {
        let hashes = shard.hashes(column, row);
        assert!(kept.contains(&hashes.document), "{column:?} {row} is a part of a document that is held out");
        assert!(!forbidden.contains(&hashes.group) && !forbidden.contains(&hashes.document), "{column:?} {row}");
    }
    shard.negative_rows()
}

#[test]
fn mining_in_the_training_part_loses_no_negative() {
    let flags = "--holdout 0.3 --seed 7";
    let folder = mined(flags);
    let negatives = check(&folder, flags);
    let pairs = Shard::open(&folder.path("train.safetensors")).unwrap().pairs();
    assert_eq!(negatives, 4 * pairs);
}

#[test]
fn negatives_from_the_whole_corpus_are_taken_out() {
    let folder = mined("");
    for seed in 0..10 {
        let negatives = check(&folder, &format!("--holdout 0.3 --seed {seed}"));
        let pairs = Shard::open(&folder.path("train.safetensors")).unwrap().pairs();
        assert!(negatives < 4 * pairs, "seed {seed}: none was from the other side");
    }
}

#[test]
fn the_queries_of_the_evaluation_are_not_trained_on() {
    let folder = Folder::with_corpus("tiny-bert");
    for file in ["queries.jsonl", "qrels.tsv"] {
        folder.write(file, "");
    }
    let path = |name: &str| folder.path(name).display().to_string();
    let command = |settings: &str| {
        let run = format!("make -C {} -n run NAME=none BIN=bin {settings}", workspace().display());
        let run = run + &format!(" MODEL={} CORPUS={}", path("BASE"), path("corpus.jsonl"));
        let printed = folder.run(&run).done().stdout();
        let stage = printed.lines().find(|line| line.contains("make/stage.py") && line.contains("bin/pairs2shards"));
        stage.map(str::to_owned).unwrap_or_else(|| panic!("no such stage\n{printed}"))
    };
    let (queries, qrels) = (path("queries.jsonl"), path("qrels.tsv"));
    let given = command(&format!("QUERIES={queries} QRELS={qrels}"));
    assert!(given.contains(&format!(" --exclude-queries {queries} ")) && !given.contains("--holdout"), "{given}");
    // The queries are an input of the stage, so that it runs again when they change.
    let inputs = given.split("--outputs").next().unwrap();
    assert!(inputs.contains(&queries) && !given.contains(&qrels), "{given}");
    let split = command("");
    assert!(split.contains(" --holdout 0.1 ") && !split.contains("--exclude-queries"), "{split}");
}
