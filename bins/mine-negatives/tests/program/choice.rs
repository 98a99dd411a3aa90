//! The limits on ranks and scores, and the round-trip filter. The query at 0° has the scores cos 0°, cos 10°, …:
//! 1, .985, .940, .866, .766, .643, .5, .342, .174, 0.

use serde_json::json;

use crate::{MINE, pair, plane};

/// The last digits of the ids of the negatives that q0 with the positive `positive` gets.
fn mined(positive: &str, flags: &str) -> String {
    let folder = plane();
    folder.write("pairs.jsonl", pair("q0", positive));
    let record = folder.run(&format!("{MINE} {flags} pairs.jsonl")).records().remove(0);
    record["negative_ids"].as_array().unwrap().iter().map(|id| &id.as_str().unwrap()[1..]).collect()
}

#[test]
fn the_range_skips_the_best() {
    assert_eq!(mined("d0", ""), "123", "3 negatives");
    assert_eq!(mined("d0", "--range-min 2"), "345");
    assert_eq!(mined("d0", "--range-min 2 --range-max 4 -n 2"), "34");
}

#[test]
fn scores_have_limits() {
    assert_eq!(mined("d0", "--max-score 0.9"), "345");
    assert_eq!(mined("d0", "--min-score 0.9"), "12", "fewer, never padded");
    assert_eq!(mined("d0", "--max-score 0.5 --min-score 0.4"), "6");
    assert_eq!(mined("d0", "--max-score -1"), "");
}

#[test]
fn margins_are_measured_from_the_positive() {
    assert_eq!(mined("d0", "--absolute-margin 0.2"), "456");
    assert_eq!(mined("d2", "--absolute-margin 0.2"), "567");
    assert_eq!(mined("d2", "--relative-margin 0.5"), "789");
    assert_eq!(mined("d2", "--absolute-margin 0"), "345", "only what is farther than the positive");
    // The range counts the candidates that remain after the margin.
    assert_eq!(mined("d0", "--absolute-margin 0.2 --range-min 2"), "678");
    // At most --range-max documents are looked at.
    assert_eq!(mined("d0", "--absolute-margin 0.2 --range-max 5"), "45");
}

#[test]
fn with_several_positives_the_lowest_score_counts() {
    let folder = plane();
    folder.write("pairs.jsonl", &(pair("q0", "d0") + &pair("q0", "d4")));
    let records = folder.run(&format!("{MINE} -n 2 --absolute-margin 0 pairs.jsonl")).records();
    assert_eq!(records[0]["negative_ids"], json!(["d5", "d6"]));
    assert_eq!(records[0]["negative_ids"], records[1]["negative_ids"]);
    assert_ne!(records[0]["scores"][0], records[1]["scores"][0], "each pair has its own positive's score");
}

#[test]
fn random_negatives_depend_on_the_seed_only() {
    let drawn = |flags: &str| mined("d0", &format!("--range-max 9 --sampling random {flags}"));
    let seeds: Vec<String> = (0..20).map(|seed| drawn(&format!("--seed {seed}"))).collect();
    assert!(seeds.iter().any(|ids| *ids != seeds[0]), "{seeds:?}");
    for ids in &seeds {
        assert!(ids.len() == 3 && ids.bytes().is_sorted() && !ids.contains('0'), "the hardest first: {ids}");
    }
    assert_eq!(drawn("--seed 3"), seeds[3]);
    assert_eq!(mined("d0", "--range-max 9 --sampling random --min-score 0.9"), "12");
}

#[test]
fn the_summary_counts_what_was_dropped() {
    let folder = plane();
    let output = folder
        .run("mine-negatives --queries q --corpus c --texts corpus.jsonl --max-score 0.9 --min-score 0.7 pairs.jsonl")
        .done();
    let expected = "1 pair, 2 negatives, 1 pair with fewer than 3; documents skipped: \
                    1 positive, 2 by --max-score, 5 by --min-score\n";
    assert!(output.stderr().ends_with(expected), "{}", output.stderr());
    assert!(output.stderr().contains("1 query searched among 10 documents in 0."), "{}", output.stderr());
}

const MINE_ONE: &str = "mine-negatives --queries q --corpus c --texts corpus.jsonl -n 1";

#[test]
fn a_pair_whose_document_is_not_found_is_dropped() {
    let folder = plane();
    // By 14° d1, d2 and d0 are found first.
    let pairs = pair("q14", "d0") + &pair("q90", "d9") + &pair("q14", "d5").replace("anchor of", "another anchor of");
    folder.write("pairs.jsonl", pairs);
    let ran = |flags: &str| folder.run(&format!("{MINE_ONE} {flags} pairs.jsonl")).done();
    let ranks = |flags: &str| {
        let lines = ran(flags).stdout();
        let records = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        records.map(|record| record["positive_rank"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ranks("--exact-ranks"), [json!(3), json!(1), json!(6)]);
    assert_eq!(ranks("--keep-rank 6"), [json!(3), json!(1), json!(6)]);
    assert_eq!(ranks("--keep-rank 5"), [json!(3), json!(1)]);
    assert_eq!(ranks("--keep-rank 2"), [json!(1)]);
    let few = ran("--keep-rank 2 -v").stderr();
    assert!(few.contains("pair of query \"q14\" dropped: the rank of its positive is 3\n"), "{few}");
    assert!(few.contains("--keep-rank has kept 1 of 3 pairs"), "{few}");
    assert!(few.contains("1 pair, 1 negative, 2 pairs dropped by --keep-rank"), "{few}");
    assert!(!ran("--keep-rank 6").stderr().contains("has kept"), "nothing was dropped");
    let exact = ran("--keep-rank 1 --exact-ranks -v").stderr();
    assert!(exact.contains("the rank of its positive is 6\n"), "{exact}");
}

#[test]
fn dropped_pairs_do_not_change_the_others() {
    let folder = plane();
    folder.write("pairs.jsonl", pair("q14", "d0") + &pair("q90", "d9"));
    let all = folder.run(&format!("{MINE_ONE} pairs.jsonl")).stdout();
    let kept = folder.run(&format!("{MINE_ONE} --keep-rank 1 pairs.jsonl")).stdout();
    assert_eq!(all.lines().skip(1).collect::<Vec<_>>(), kept.lines().collect::<Vec<_>>());
}
