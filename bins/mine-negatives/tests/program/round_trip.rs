//! The round-trip filter.

use serde_json::json;

use crate::plane::{pair, plane};

const MINE: &str = "mine-negatives --queries q --corpus c --texts corpus.jsonl -n 1";

#[test]
fn a_pair_whose_document_is_not_found_is_dropped() {
    let folder = plane();
    // By 14° d1, d2 and d0 are found first.
    let pairs = pair("q14", "d0") + &pair("q90", "d9") + &pair("q14", "d5").replace("anchor of", "another anchor of");
    folder.write("pairs.jsonl", pairs);
    let ran = |flags: &str| folder.run(&format!("{MINE} {flags} pairs.jsonl")).done();
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
    let all = folder.run(&format!("{MINE} pairs.jsonl")).stdout();
    let kept = folder.run(&format!("{MINE} --keep-rank 1 pairs.jsonl")).stdout();
    assert_eq!(all.lines().skip(1).collect::<Vec<_>>(), kept.lines().collect::<Vec<_>>());
}
