//! Dropped pairs and the reasons.

use embtune_tensors::{Column, Shard};

use crate::folder;

const PAIRS: &str = r#"{"anchor":"When does the tenant have to pay the rent for the flat?","positive":"The rent is due on the first working day of every month, and is paid by a transfer to the landlord's account."}
{"anchor":" ","positive":"The roof is repaired by the landlord."}
{"anchor":"When does the tenant have to pay the rent for the flat?","positive":"The rent is due on the first working day of every month, and is paid by a transfer to the landlord's account."}
{"anchor":"when does the tenant have to pay the rent for the flat","positive":"The rent is due on the first working day of each month, and is paid by a transfer to the landlord's account."}
{"anchor":"Who has to repair the roof of the house?","positive":"The rent is due on the first working day of every month, and is paid by a transfer to the landlord's account."}
{"anchor":"When does the tenant have to pay the rent for the flat?","positive":"Every repair of the roof and of the outer walls is a matter of the landlord."}
{"anchor":"How long is the period of notice for the tenant?","positive":"Three months."}
{"anchor":"What is the highest deposit that may be asked for?","positive":"Three months' rent."}
"#;

fn texts(shard: &Shard) -> usize {
    shard.pairs()
}

#[test]
fn duplicates_and_near_duplicates_are_dropped_by_line() {
    let folder = folder();
    let ran = folder.run("pairs2shards --model BASE -v -o s.safetensors").stdin(PAIRS).done();
    let message = ran.stderr();
    for expected in [
        "<stdin>:2: dropped: blank\n",
        "<stdin>:3: dropped: the same as an earlier pair\n",
        "<stdin>:4: dropped: nearly the same as an earlier pair\n",
        "8 pairs read, 5 written to 1 shard; dropped: 1 blank, 1 the same as an earlier pair, 1 nearly the same as an earlier pair",
    ] {
        assert!(message.contains(expected), "{expected}\n{message}");
    }
    assert_eq!(
        message.matches("dropped: ").count(),
        4,
        "one anchor with two texts, and two anchors with one text, are kept\n{message}"
    );
    assert_eq!(texts(&Shard::open(&folder.path("s.safetensors")).unwrap()), 5);
    let strict = folder.run("pairs2shards --model BASE --near-duplicate 1 -o s.safetensors").stdin(PAIRS).done();
    assert!(strict.stderr().contains("6 written"), "{strict}");
}

#[test]
fn evaluation_queries_are_not_trained_on() {
    let folder = folder();
    folder.write("one.jsonl", "{\"_id\":\"1\",\"text\":\" WHO has to repair the roof, of the house\"}\n");
    folder.write("two.jsonl", "{\"_id\":\"1\",\"text\":\"How long is the period of notice for the tenants?\"}\n");
    let flags = "--exclude-queries one.jsonl --exclude-queries two.jsonl";
    let ran = folder.run(&format!("pairs2shards --model BASE -v {flags} -o s.safetensors")).stdin(PAIRS).done();
    let message = ran.stderr();
    for expected in [
        "<stdin>:5: dropped: with a query of --exclude-queries\n",
        "<stdin>:7: dropped: with nearly a query of --exclude-queries\n",
        "1 with a query of --exclude-queries, 1 with nearly a query of --exclude-queries",
    ] {
        assert!(message.contains(expected), "{expected}\n{message}");
    }
    let message = folder.run("pairs2shards --model BASE --exclude-queries none -o out").stdin(PAIRS).refusal();
    assert!(message.contains("none: No such file"), "{message}");
    folder.write("bad.jsonl", "{\"_id\":\"1\",\"text\":\"x\"}\n{\"_id\":\"2\"}\n");
    let message = folder.run("pairs2shards --model BASE --exclude-queries bad.jsonl -o out").stdin(PAIRS).refusal();
    assert!(message.contains("bad.jsonl:2: no field \"text\""), "{message}");
}

#[test]
fn texts_that_are_cut_are_counted_by_column() {
    let folder = folder();
    let long = "rain ".repeat(50);
    let pairs = format!(
        "{{\"anchor\":\"{long}\",\"positive\":\"p\"}}\n\
         {{\"anchor\":\"a\",\"positive\":\"{long}\",\"negatives\":[\"n\",\"{long} m\",\"{long} o\"]}}\n"
    );
    let flags = "--query-max-length 8 --document-max-length 16";
    let ran = folder.run(&format!("pairs2shards --model BASE {flags} -o s.safetensors")).stdin(pairs).done();
    let expected = "; too long and cut: 1 anchor at 8 tokens, 1 positive at 16 tokens, 2 negatives at 16 tokens\n";
    assert!(ran.stderr().ends_with(expected), "{ran}");
    let shard = Shard::open(&folder.path("s.safetensors")).unwrap();
    assert_eq!((shard.meta().truncated, shard.length(Column::Negative, 1)), (4, 16));
}

#[test]
fn batches_do_not_change_what_is_dropped() {
    let folder = folder();
    // The second half repeats the first, more than a batch later.
    let pair = |n: usize| format!("{{\"anchor\":\"{n} is what number\",\"positive\":\"the number {n} it is\"}}\n");
    let pairs: String = (0..5000).chain(0..5000).map(pair).collect();
    let ran = folder.run("pairs2shards --model BASE --near-duplicate 1 -o s.safetensors").stdin(pairs).done();
    assert!(ran.stderr().contains("10000 pairs read, 5000 written"), "{ran}");
}
