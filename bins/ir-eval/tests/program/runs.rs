//! Reports on run files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use embtune_tests::{Folder, workspace};

/// A file of the trec_eval fixture, which belongs to shared/metrics.
fn fixture(name: &str) -> PathBuf {
    workspace().join("shared/metrics/tests/trec_eval").join(name)
}

/// The edge cases of trec_eval: a tie, a query without relevant documents, one that was not run, and one not judged.
const QRELS: &str = "q1 0 a 1\nq1 0 b 0\nq1 0 c 2\nq2 0 x 0\nq3 0 a 1\n";
const RUN: &str = "q1 Q0 a 1 1.0 t\nq1 Q0 b 2 1.0 t\nq2 Q0 x 1 0.5 t\nq4 Q0 z 1 0.5 t\n";

#[test]
fn every_figure_equals_trec_eval() {
    let folder = Folder::new();
    let (qrels, run) = (fixture("qrels.txt"), fixture("run.txt"));
    let expected = std::fs::read_to_string(fixture("expected.tsv")).unwrap();
    let metrics: BTreeSet<&str> = expected.lines().map(|line| line.split('\t').nth(1).unwrap()).collect();
    let metrics: Vec<&str> = metrics.into_iter().collect();
    folder
        .run(&format!(
            "ir-eval --qrels {} --metrics {} --no-relevant zero --per-query values.tsv random={}",
            qrels.display(),
            metrics.join(","),
            run.display()
        ))
        .stdout();
    let values = folder.read("values.tsv");
    let mut lines = values.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let mut ours = BTreeMap::new();
    for line in lines {
        for (column, value) in header.iter().zip(&line).skip(1) {
            ours.insert((line[0], column.strip_prefix("random:").unwrap()), value.parse::<f64>().unwrap());
        }
    }
    for line in expected.lines() {
        let [query, metric, expected] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let expected: f64 = expected.parse().unwrap();
        // gdeval prints five digits.
        let tolerance = if metric.starts_with("err") { 5.000_001e-6 } else { 1e-12 };
        assert!((ours[&(query, metric)] - expected).abs() < tolerance, "{line}");
    }
    assert_eq!((expected.lines().count(), ours.len()), (42 * 68, 42 * 68), "queries, metrics");
}

#[test]
fn queries_that_are_missing_or_have_nothing_relevant_are_counted() {
    let folder = Folder::new();
    folder.write("qrels", QRELS);
    folder.write("run", RUN);
    let output =
        folder.run("ir-eval --qrels qrels --metrics map@10,mrr@10,ndcg@10,recall@10 s=run --format json").done();
    let messages = output.stderr();
    assert!(messages.contains("3 queries in the judgments, 2 evaluated, 1 without a relevant document"), "{messages}");
    assert!(
        messages.contains("s: 1 judged query is missing (first: \"q3\"); missing queries count as 0"),
        "{messages}"
    );
    let report = output.json();
    assert_eq!((&report["queries"], &report["evaluated_queries"]), (&3.into(), &2.into()));
    assert_eq!(report["systems"][0]["missing_queries"], 1);
    // q1 has map .25, mrr .5, ndcg .2398, recall .5; q3 has 0; q2 does not count.
    let metrics = &report["systems"][0]["metrics"];
    assert_eq!(metrics["map@10"], 0.125);
    assert_eq!(metrics["mrr@10"], 0.25);
    assert_eq!(metrics["recall@10"], 0.25);
    assert_eq!(format!("{:.4}", metrics["ndcg@10"].as_f64().unwrap()), "0.1199");
}

/// Two systems on 8 queries: `tuned` ranks every relevant document first, `base` second.
pub(crate) fn two_systems() -> Folder {
    let folder = Folder::new();
    let (mut qrels, mut base, mut tuned) = (String::from("query-id\tcorpus-id\tscore\n"), String::new(), String::new());
    for n in 0..8 {
        qrels += &format!("q{n}\td{n}\t1\n");
        base += &format!("q{n} Q0 x 1 0.9 t\nq{n} Q0 d{n} 2 0.8 t\n");
        tuned += &format!("q{n} Q0 d{n} 1 0.9 t\nq{n} Q0 x 2 0.8 t\n");
    }
    folder.write("qrels", &qrels);
    folder.write("base", &base);
    folder.write("tuned", &tuned);
    folder
}

#[test]
fn the_table_shows_systems_side_by_side_and_a_verdict() {
    let expected = "\
metric       base   tuned     diff       p
mrr@10     0.5000  1.0000  +0.5000  0.0078 **
recall@10  1.0000  1.0000  +0.0000  1.0000

*  p < 0.05: Fisher's randomisation test, two-sided, of this metric alone
** p < 0.05 when corrected for 2 metrics (Holm)

tuned is significantly better than base on mrr@10: +0.5000, 95 % CI +0.5000 to +0.5000, p = 0.0078, n = 8 queries \
(8 wins, 0 ties, 0 losses).
";
    let folder = two_systems();
    assert_eq!(folder.run("ir-eval --qrels qrels --metrics mrr@10,recall@10 base=base tuned=tuned").stdout(), expected);
    let same = folder.run("ir-eval --qrels qrels --metrics recall@10 base=base tuned=tuned").stdout();
    assert!(same.contains("tuned does not differ significantly from base on recall@10: +0.0000"), "{same}");
    let worse = folder.run("ir-eval --qrels qrels --primary mrr@5 --metrics recall@10 tuned=tuned base=base").stdout();
    assert!(worse.contains("base is significantly worse than tuned on mrr@5: -0.5000"), "{worse}");
}

#[test]
fn programs_get_the_same_figures() {
    let folder = two_systems();
    let report = folder.run("ir-eval --qrels qrels --metrics mrr@10 base=base tuned=tuned --format json").json();
    assert_eq!(report["primary"], "mrr@10");
    assert!(report["systems"][0].get("comparison").is_none());
    let tuned = &report["systems"][1];
    assert_eq!(tuned["compared_with"], "base");
    let comparison = &tuned["comparison"]["mrr@10"];
    assert_eq!(comparison["p"], 2.0 / 256.0);
    assert_eq!(comparison["p_exact"], true);
    assert_eq!(comparison["t"], serde_json::Value::Null, "all differences are the same: t is infinite");
    assert_eq!(comparison["t_p"], 0.0);
    assert_eq!((&comparison["wins"], &comparison["significant"]), (&8.into(), &true.into()));
    assert_eq!(
        folder.run("ir-eval --qrels qrels --metrics mrr@10 base=base tuned=tuned --format tsv").stdout(),
        "system\tmetric\tvalue\tdifference\tci_low\tci_high\tp\tp_holm\tt_p\twilcoxon_p\teffect_size\n\
         base\tmrr@10\t0.5\t\t\t\t\t\t\t\t\n\
         tuned\tmrr@10\t1\t0.5\t0.5\t0.5\t0.0078125\t0.0078125\t0\t0.0078125\t\n"
    );
    folder.run("ir-eval --qrels qrels --metrics mrr@10 base=base tuned=tuned --per-query values -o report").done();
    assert!(folder.read("values").starts_with("query\tbase:mrr@10\ttuned:mrr@10\nq0\t0.5\t1\n"));
    assert!(folder.read("report").starts_with("metric"));
}

#[test]
fn an_emitted_run_has_the_same_figures() {
    let folder = Folder::new();
    let (qrels, run) = (fixture("qrels.txt"), fixture("run.txt"));
    let (qrels, run) = (qrels.display(), run.display());
    let first = folder.run(&format!("ir-eval --qrels {qrels} s={run} --run {{}}.run --format json")).json();
    let again = folder.run(&format!("ir-eval --qrels {qrels} s=s.run --run {{}}.again --format json")).json();
    assert_eq!(first, again);
    assert_eq!(folder.read("s.run"), folder.read("s.again"));
}

#[test]
fn a_seed_gives_the_same_bytes_and_another_one_other_samples() {
    let folder = Folder::new();
    let run = fixture("run.txt");
    let shuffled: String = std::fs::read_to_string(&run)
        .unwrap()
        .lines()
        .enumerate()
        .map(|(n, line)| {
            let columns: Vec<&str> = line.split(' ').collect();
            format!("{} Q0 {} 0 {} t\n", columns[0], columns[2], n * 7919 % 1009)
        })
        .collect();
    folder.write("shuffled", &shuffled);
    let qrels = fixture("qrels.txt");
    let arguments = format!("ir-eval --qrels {} --format tsv a={} b=shuffled", qrels.display(), run.display());
    let first = folder.run(&arguments).stdout();
    assert_eq!(first, folder.run(&arguments).stdout());
    assert_ne!(first, folder.run(&format!("{arguments} --seed 1")).stdout());
}
