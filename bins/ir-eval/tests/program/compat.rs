//! Values, names and files of other programs (made by parity/make.py).

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use embtune_tests::{Folder, Run, workspace};
use serde_json::Value;

fn fixture(name: &str) -> PathBuf {
    workspace().join("bins/ir-eval/tests/parity").join(name)
}

fn evaluate(folder: &Folder, flags: &str) -> Run {
    let [qrels, queries, corpus] =
        ["qrels.tsv", "queries.npy", "corpus.npy"].map(|name| fixture(name).display().to_string());
    folder.run(&format!("ir-eval -q --device cpu --similarity dot --qrels {qrels} {flags} s={queries},{corpus}"))
}

fn figures(value: &Value) -> BTreeMap<String, f64> {
    value.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.as_f64().unwrap())).collect()
}

fn reference(name: &str) -> BTreeMap<String, f64> {
    figures(&serde_json::from_slice(&fs::read(fixture(name)).unwrap()).unwrap())
}

#[test]
fn sentence_transformers() {
    let folder = Folder::new();
    let report = evaluate(&folder, "--compat st --format json").json();
    let (ours, theirs) = (figures(&report["systems"][0]["metrics"]), reference("st.json"));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (name, value) in theirs {
        assert!((ours[&name] - value).abs() < 1e-12, "{name}: {} {value}", ours[&name]);
    }
    let (ours, theirs) =
        (evaluate(&folder, "--compat st --format csv").stdout(), fs::read_to_string(fixture("st.csv")).unwrap());
    let (ours, theirs): (Vec<&str>, Vec<&str>) = (ours.lines().collect(), theirs.lines().collect());
    assert_eq!((ours.len(), ours[0]), (2, theirs[0]), "the header");
    for (ours, theirs) in ours[1].split(',').zip(theirs[1].split(',')) {
        let [ours, theirs] = [ours, theirs].map(|cell| cell.parse::<f64>().unwrap());
        assert!((ours - theirs).abs() < 1e-12);
    }
    assert_eq!(ours[1].split(',').count(), theirs[1].split(',').count());
}

#[test]
fn beir() {
    let folder = Folder::new();
    let theirs = reference("beir.json");
    let metrics = |kind: &str| [1, 3, 5, 10, 100, 1000].map(|k| format!("{kind}@{k}")).join(",");
    let all = ["ndcg", "map", "recall", "precision", "capped-recall", "accuracy"].map(metrics).join(",");
    let report = evaluate(&folder, &format!("--compat beir --metrics {all} --format json")).json();
    assert_eq!(figures(&report["systems"][0]["metrics"]), theirs);
    // By default, its own four metrics.
    let report = evaluate(&folder, "--compat beir --format json").json();
    let names: Vec<String> = figures(&report["systems"][0]["metrics"]).into_keys().collect();
    assert_eq!(names.len(), 24);
    assert!(names.iter().all(|name| theirs.contains_key(name)), "{names:?}");
}

/// Ties of floats that are different as doubles, infinities and zeros among them, missing queries and negative grades.
#[test]
fn trec_eval_keeps_scores_in_32_bits() {
    let folder = Folder::new();
    let expected = fs::read_to_string(fixture("single.tsv")).unwrap();
    let rows: Vec<Vec<&str>> = expected.lines().map(|line| line.split('\t').collect()).collect();
    let metrics: Vec<&str> = rows.iter().take_while(|row| row[0] == "q0").map(|row| row[1]).collect();
    let differing = |flags: &str| {
        let [qrels, run] = ["single.qrels", "single.run"].map(|name| fixture(name).display().to_string());
        let names = metrics.join(",");
        folder.run(&format!("ir-eval -q --qrels {qrels} {flags} --metrics {names} --per-query v.tsv s={run}")).done();
        let values = folder.read("v.tsv");
        let ours: BTreeMap<&str, Vec<f64>> = values
            .lines()
            .skip(1)
            .map(|line| line.split_once('\t').unwrap())
            .map(|(query, values)| (query, values.split('\t').map(|value| value.parse().unwrap()).collect()))
            .collect();
        let differs = |(index, row): &(usize, &Vec<&str>)| {
            (ours[row[0]][index % metrics.len()] - row[2].parse::<f64>().unwrap()).abs() > 1e-12
        };
        rows.iter().enumerate().filter(differs).map(|(_, row)| format!("{} {}", row[0], row[1])).collect::<Vec<_>>()
    };
    assert_eq!(differing("--compat trec"), Vec::<String>::new());
    assert!(differing("--no-relevant zero").len() > 20, "the fixture has such ties");
}

#[test]
fn trec_eval_counts_queries_without_a_relevant_document() {
    let folder = Folder::new();
    folder.write("qrels", "q1 0 a 1\nq1 0 b 0\nq1 0 c 2\nq2 0 x 0\nq3 0 a 1\n");
    folder.write("run", "q1 Q0 a 1 1.0 t\nq1 Q0 b 2 1.0 t\nq2 Q0 x 1 0.5 t\nq4 Q0 z 1 0.5 t\n");
    // The output of trec_eval 10 -c for these files.
    let line = "ir-eval -q --qrels qrels --compat trec --metrics map,mrr,ndcg@10,recall@10 --format trec s=run";
    let expected = "\
runid                 \tall\ts
num_q                 \tall\t3
map                   \tall\t0.0833
recip_rank            \tall\t0.1667
ndcg_cut_10           \tall\t0.0799
recall_10             \tall\t0.1667
";
    assert_eq!(folder.run(line).stdout(), expected);
}
