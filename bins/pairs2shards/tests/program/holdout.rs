//! The held-out split.

use std::collections::HashSet;

use embtune_records::Split;
use embtune_tensors::{Column, Shard};
use xxhash_rust::xxh3::xxh3_64;

use crate::folder;

const SPLIT: Split = Split { share: 0.3, seed: 42 };

fn run(pairs: &str) -> (embtune_tests::Folder, Shard, String) {
    let folder = folder();
    let flags = "--holdout 0.3 --holdout-dir heldout -o s.safetensors";
    let ran = folder.run(&format!("pairs2shards --model BASE {flags}")).stdin(pairs).done();
    let shard = Shard::open(&folder.path("s.safetensors")).unwrap();
    (folder, shard, ran.stderr())
}

/// Groups that are on this side.
fn groups(held_out: bool) -> impl Iterator<Item = String> {
    (0..).map(|n| format!("g{n}")).filter(move |group| SPLIT.holds_out(group) == held_out)
}

#[test]
fn all_chunks_of_a_document_are_on_one_side() {
    let pairs: String = (0..200)
        .map(|n| {
            let (document, group) = (n / 2, n / 10);
            format!("{{\"anchor\":\"question {n}\",\"positive\":\"answer {n}\",\"anchor_id\":\"q{n}\",\"positive_id\":\"d{document}\",\"group\":\"g{group}\"}}\n")
        })
        .collect();
    let (folder, shard, notice) = run(&pairs);
    let held_out: HashSet<usize> = (0..20).filter(|group| SPLIT.holds_out(&format!("g{group}"))).collect();
    assert!(!held_out.is_empty() && held_out.len() < 20);
    let ids = folder.read("heldout/corpus-ids.txt");
    let expected: Vec<String> = (0..100).filter(|d| held_out.contains(&(d / 5))).map(|d| format!("d{d}")).collect();
    assert_eq!(ids.lines().collect::<Vec<_>>(), expected);
    let queries: Vec<String> = (0..200).filter(|q| held_out.contains(&(q / 10))).map(|q| format!("q{q}")).collect();
    let judged = folder.read("heldout/qrels.tsv");
    let rows: Vec<Vec<&str>> = judged.lines().skip(1).map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), queries);
    assert!(rows.iter().all(|row| ids.lines().any(|id| id == row[1])));
    assert_eq!(folder.read("heldout/queries.jsonl").lines().count(), queries.len());
    // The shard knows documents by their hashes.
    let held_out: HashSet<u64> = ids.lines().map(|id| xxh3_64(id.as_bytes())).collect();
    assert_eq!(shard.pairs(), 200 - queries.len());
    assert!((0..shard.pairs()).all(|row| !held_out.contains(&shard.hashes(Column::Positive, row).document)));
    assert!(notice.contains(&format!("; held out: {} pairs", queries.len())), "{notice}");
}

#[test]
fn a_negative_that_is_held_out_is_taken_out() {
    let (own, held_out, other) =
        (groups(false).next().unwrap(), groups(true).next().unwrap(), groups(false).nth(1).unwrap());
    // The id of the third is on the other side, but its group counts; the last two have no groups.
    let pairs = format!(
        "{{\"anchor\":\"a\",\"positive\":\"p\",\"positive_id\":\"{own}\",\"negatives\":[\"one\",\"two\",\"three\"],\
         \"negative_ids\":[\"x\",\"y\",\"{held_out}\"],\"negative_groups\":[\"{other}\",\"{held_out}\",\"{other}\"],\"scores\":[4,1,2,3]}}\n\
         {{\"anchor\":\"b\",\"positive\":\"p\",\"positive_id\":\"{own}\",\"negatives\":[\"four\",\"five\"],\
         \"negative_ids\":[\"{held_out}\",\"{other}\"]}}\n"
    );
    let (_folder, shard, notice) = run(&pairs);
    assert_eq!((shard.negatives(0), shard.negatives(1)), (0..2, 2..3));
    let texts: Vec<u64> = (0..3).map(|row| shard.hashes(Column::Negative, row).text).collect();
    assert_eq!(texts, ["one", "three", "five"].map(|text| xxh3_64(text.as_bytes())));
    assert_eq!(shard.hashes(Column::Negative, 1).group, xxh3_64(other.as_bytes()), "masks go by the group");
    assert_eq!((shard.score(Column::Negative, 0), shard.score(Column::Negative, 1)), (Some(1.0), Some(3.0)));
    assert!(notice.contains("2 negatives taken out"), "{notice}");
    assert!(notice.contains("hint: give mine-negatives the same --holdout and --seed"), "{notice}");
}

#[test]
fn a_query_of_a_training_pair_is_not_evaluated() {
    let (kept, held_out) = (groups(false).next().unwrap(), groups(true).next().unwrap());
    let pair = |anchor: &str, id: &str, group: &str| {
        format!(
            "{{\"anchor\":\"{anchor}\",\"positive\":\"text of {id}\",\"anchor_id\":\"{id}\",\"positive_id\":\"{group}\"}}\n"
        )
    };
    // The training pair comes last.
    let pairs = pair("Who pays the rent?", "q1", &held_out)
        + &pair("who repairs", "q2", &held_out)
        + &pair("who pays the  rent", "q3", &kept);
    let (folder, shard, notice) = run(&pairs);
    assert_eq!(folder.read("heldout/qrels.tsv"), format!("query-id\tcorpus-id\tscore\nq2\t{held_out}\t1\n"));
    assert_eq!(folder.read("heldout/queries.jsonl"), "{\"_id\":\"q2\",\"text\":\"who repairs\"}\n");
    assert_eq!(folder.read("heldout/corpus-ids.txt"), format!("{held_out}\n"));
    assert_eq!(shard.pairs(), 1);
    assert!(notice.contains("held out: 2 pairs, 1 queries left out, because training pairs have them too"), "{notice}");
}

#[test]
fn what_belongs_together_is_asked_for_together() {
    let folder = folder();
    for flags in ["--holdout 0.1", "--holdout-dir heldout"] {
        let message = folder.run(&format!("pairs2shards --model BASE -o out {flags}")).refusal();
        assert!(message.contains("--holdout and --holdout-dir go together"), "{message}");
    }
    let line = "{\"anchor\":\"a\",\"positive\":\"p\"}\n";
    let message =
        folder.run("pairs2shards --model BASE --holdout 0.1 --holdout-dir heldout").stdin(line).ran().stderr();
    assert!(message.contains("<stdin>:1: --holdout needs a field \"group\" or \"positive_id\""), "{message}");
}
