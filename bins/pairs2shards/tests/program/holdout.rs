//! The held-out split.

use std::collections::HashSet;

use embtune_records::HoldoutSplit;
use embtune_tensors::{Column, Shard};
use embtune_text::jaccard;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use xxhash_rust::xxh3::xxh3_64;

use crate::folder;

const SPLIT: HoldoutSplit = HoldoutSplit { share: 0.3, seed: 42 };

fn run(pairs: &str) -> (embtune_tests::Folder, Shard, String) {
    let folder = folder();
    let flags = "--holdout 0.3 --holdout-dir heldout -o s.safetensors";
    let ran = folder.run(&format!("pairs2shards --model BASE {flags}")).stdin(pairs).done();
    let shard = Shard::open(&folder.path("s.safetensors")).unwrap();
    (folder, shard, ran.stderr())
}

/// Groups on one side of the split.
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
fn held_out_negatives_are_removed() {
    let (own, held_out, other) =
        (groups(false).next().unwrap(), groups(true).next().unwrap(), groups(false).nth(1).unwrap());
    // The third has an id that is held out, but its group counts; the last two have no groups.
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
    assert!(notice.contains("2 negatives removed"), "{notice}");
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
    assert!(notice.contains("held out: 2 pairs, 1 query left out because training pairs have the same"), "{notice}");
}

#[test]
fn a_text_that_is_trained_on_is_not_evaluated() {
    let (kept, held_out) = (groups(false).next().unwrap(), groups(true).next().unwrap());
    let clause = "The landlord shall repair the roof and the outer walls of the house within thirty days";
    let (near, other) = (format!("{clause} of notice"), "The deposit is paid back when the keys are returned.");
    let line = |id: &str, group: &str, text: &str, negatives: &[&str]| {
        let anchor = format!("an unlike question, number {id}");
        let pair = serde_json::json!({
            "anchor": anchor, "positive": text, "anchor_id": id, "positive_id": id, "group": group, "negatives": negatives,
        });
        format!("{pair}\n")
    };
    // The training pair with the text comes before one of the held-out pairs and after the others.
    let pairs = line("equal", &held_out, &clause.to_uppercase(), &[])
        + &line("trained", &kept, clause, &["A negative that is learnt from, too."])
        + &line("near", &held_out, &near, &[])
        + &line("negative", &held_out, "a negative that is learnt from  too", &[])
        + &line("kept", &held_out, other, &[]);
    let (folder, _, notice) = run(&pairs);
    assert_eq!(folder.read("heldout/corpus-ids.txt"), "kept\n");
    assert_eq!(folder.read("heldout/qrels.tsv"), "query-id\tcorpus-id\tscore\nkept\tkept\t1\n");
    assert_eq!(folder.read("heldout/queries.jsonl").lines().count(), 1);
    let said = "held out: 4 pairs, 2 pairs left out because training pairs have the same text, 1 pair left out \
                because training pairs have nearly the same text";
    assert!(notice.contains(said), "{notice}");
    let flags = "--holdout 0.3 --holdout-dir heldout -o s.safetensors";
    let said = folder.run(&format!("pairs2shards --model BASE -v {flags}")).stdin(pairs.clone()).done().stderr();
    assert!(said.contains("held out: text of document near left out: a training pair has nearly the same\n"), "{said}");
    let every = folder.run(&format!("pairs2shards --model BASE --near-duplicate 1 {flags}")).stdin(pairs).done();
    assert!(!every.stderr().contains("nearly"), "{}", every.stderr());
}

/// Compares all texts in the written files.
#[test]
fn no_held_out_text_is_near_a_training_pairs() {
    let words =
        ["tenant", "landlord", "rent", "deposit", "roof", "notice", "month", "repair", "key", "house", "shall", "pay"];
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let picks: Vec<[usize; 2]> = (0..600).map(|_| [0; 2].map(|_: usize| random.random_range(0..240))).collect();
    let mut sentence =
        |length: usize| -> Vec<&str> { (0..length).map(|_| words[random.random_range(0..12)]).collect() };
    let mut pool: Vec<Vec<&str>> = (0..60).map(|_| sentence(24)).collect();
    // Every third text is another one with a word changed.
    for n in (0..pool.len() - 1).step_by(3) {
        pool[n + 1] = pool[n].clone();
        pool[n + 1][n % 24] = "quietly";
    }
    // Three of four texts occur in one pair only.
    let mut text = |pick: usize| pool.get(pick).cloned().unwrap_or_else(|| sentence(24));
    let pairs: Vec<[String; 3]> = (0..)
        .zip(picks)
        .map(|(n, [anchor, positive])| [text(anchor).join(" "), text(positive).join("  "), format!("g{}", n % 40)])
        .collect();
    let lines: String = pairs
        .iter()
        .enumerate()
        .map(|(n, [anchor, positive, group])| {
            let (anchor, id) = (format!("{anchor}?"), format!("d{n}"));
            format!(
                "{}\n",
                serde_json::json!({"anchor": anchor, "positive": positive, "positive_id": id, "group": group})
            )
        })
        .collect();
    let (folder, _, notice) = run(&lines);
    let trained =
        |column: usize| pairs.iter().filter(|[_, _, group]| !SPLIT.holds_out(group)).map(move |pair| &pair[column]);
    let queries = folder.read("heldout/queries.jsonl");
    let queries: Vec<serde_json::Value> = queries.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids = folder.read("heldout/corpus-ids.txt");
    let documents = ids.lines().map(|id| &pairs[id[1..].parse::<usize>().unwrap()]);
    let left_out = ["have the same,", "have nearly the same,", "have the same text", "have nearly the same text"];
    assert!(left_out.iter().all(|words| notice.contains(words)), "{notice}");
    // The standard deviation of the estimate is 0.04 at the threshold of 0.8: texts clearly above it are found.
    let (mut compared, mut leaks) = (0, 0);
    for (column, text) in
        queries.iter().map(|query| (0, query["text"].as_str().unwrap())).chain(documents.map(|pair| (1, &*pair[1])))
    {
        for other in trained(column) {
            compared += 1;
            leaks += usize::from(jaccard(text, other) > 0.9);
        }
    }
    assert!(leaks == 0 && compared > 1000, "{leaks} of {compared}: {notice}");
}

#[test]
fn holdout_and_holdout_dir_require_each_other() {
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

#[test]
fn a_pair_with_the_label_0_is_not_a_relevant_judgment() {
    let group = groups(true).next().unwrap();
    let pair = |n: usize, label: usize| {
        format!(
            "{{\"anchor\":\"question {n}\",\"anchor_id\":\"q{n}\",\"positive\":\"text {n} {label}\",\"positive_id\":\"d{n}-{label}\",\"group\":\"{group}\",\"label\":{label}}}\n"
        )
    };
    let folder = folder();
    let pairs = (0..3).flat_map(|n| [pair(n, 1), pair(n, 0)]).collect::<String>();
    let flags = "--near-duplicate 1 --holdout 0.3 --holdout-dir heldout -o s.safetensors";
    let other = format!(
        "{{\"anchor\":\"a\",\"positive\":\"b\",\"group\":\"{}\",\"label\":1}}\n",
        groups(false).next().unwrap()
    );
    folder.run(&format!("pairs2shards --model BASE {flags}")).stdin(pairs + &other).done();
    let qrels = folder.read("heldout/qrels.tsv");
    for n in 0..3 {
        assert!(
            qrels.contains(&format!("q{n}\td{n}-1\t1\n")) && qrels.contains(&format!("q{n}\td{n}-0\t0\n")),
            "{qrels}"
        );
    }
}

#[test]
fn a_held_out_set_without_queries_is_reported() {
    let (held, other) = (groups(true).next().unwrap(), groups(false).next().unwrap());
    let pair = |group: &str| {
        format!(
            "{{\"anchor\":\"question of {group}\",\"positive\":\"text of {group}\",\"positive_id\":\"d\",\"group\":\"{group}\"}}\n"
        )
    };
    let warning = "the held-out set has no query, so nothing can be measured with it\nhint: raise --holdout";
    for (pairs, is_empty) in [(pair(&other), true), (pair(&other) + &pair(&held), false)] {
        let folder = folder();
        let flags = "--holdout 0.3 --holdout-dir heldout -o s.safetensors";
        let said = folder.run(&format!("pairs2shards --model BASE {flags}")).stdin(pairs).done().stderr();
        assert_eq!(said.contains(warning), is_empty, "{said}");
    }
}
