//! Rows that belong to one pair, and records with several pairs.

use embtune_tensors::{Column, Shard};
use serde_json::{Value, json};

use crate::{folder, shard};

fn lines(records: &[Value]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}

/// How many negatives each pair has.
fn negatives(shard: &Shard) -> Vec<usize> {
    (0..shard.pairs()).map(|pair| shard.negatives(pair).len()).collect()
}

/// Scores of the positive, then of the negatives, of each pair.
fn scores(shard: &Shard) -> Vec<Vec<f32>> {
    let of_pair = |pair| {
        let negatives = shard.negatives(pair).map(|row| shard.score(Column::Negative, row).unwrap());
        [shard.score(Column::Positive, pair).unwrap()].into_iter().chain(negatives).collect()
    };
    (0..shard.pairs()).map(of_pair).collect()
}

#[test]
fn triplets_of_one_pair_keep_all_negatives() {
    let folder = folder();
    let row = |query: usize, negative: usize| {
        json!({"anchor": format!("query {query}"), "positive": format!("answer {query}"),
               "negative": format!("other {negative}"), "scores": [0.5, f64::from(negative as u32) / 8.0]})
    };
    let sorted: Vec<Value> = (0..4).flat_map(|query| (0..5).map(move |negative| row(query, negative))).collect();
    // A shuffled data set, with one duplicate row.
    let mut mixed: Vec<Value> = (0..5).flat_map(|negative| (0..4).map(move |query| row(query, negative))).collect();
    mixed.push(row(2, 3));
    for (rows, said) in [
        (&sorted, "20 pairs read, 4 written to 1 shard; merged: 16 rows into an earlier row of the pair"),
        (
            &mixed,
            "21 pairs read, 4 written to 1 shard; merged: 16 rows into an earlier row of the pair; \
                  dropped: 1 the same as an earlier pair",
        ),
    ] {
        let ran = folder.run("pairs2shards --model BASE -v -o s.safetensors").stdin(lines(rows)).done().saying(said);
        assert!(!ran.stderr().contains("warning"), "{ran}");
        let shard = Shard::open(&folder.path("s.safetensors")).unwrap();
        assert_eq!(negatives(&shard), [5; 4]);
        assert_eq!(scores(&shard), vec![[0.5, 0.0, 0.125, 0.25, 0.375, 0.5].to_vec(); 4]);
    }
    let ran = folder.run("pairs2shards --model BASE -v -o s.safetensors").stdin(lines(&sorted)).done();
    let _ = ran.saying("<stdin>:2: its negatives were added to the same pair at <stdin>:1\n");
}

#[test]
fn rows_that_are_far_apart_keep_their_negatives() {
    let folder = folder();
    let row = |query: usize, negative: usize| {
        format!(
            "{{\"anchor\":\"{query} is what number\",\"positive\":\"the number {query} it is\",\
                 \"negatives\":[\"no {negative}\"]}}\n"
        )
    };
    // The same pairs three windows later: with other negatives, then with these again, then with none.
    let bare = row(0, 1).replace("\"no 1\"", "");
    let rows: String = [1, 2, 2].into_iter().flat_map(|n| (0..5000).map(move |query| row(query, n))).collect();
    let ran = folder.run("pairs2shards --model BASE -o s.safetensors").stdin(rows + &bare).done();
    let _ = ran.saying("15001 pairs read, 10000 written to 1 shard; dropped: 5001 the same as an earlier pair\n");
    let shard = Shard::open(&folder.path("s.safetensors")).unwrap();
    assert_eq!(negatives(&shard), vec![1; 10_000]);
}

#[test]
fn a_pair_that_a_window_would_divide_stays_one() {
    let folder = folder();
    let row = |query: usize, negative: usize| {
        format!("{{\"anchor\":\"{query}\",\"positive\":\"p{query}\",\"negative\":\"n{negative}\"}}\n")
    };
    let rows: String = (0..4100).flat_map(|query| (0..3).map(move |negative| row(query, negative))).collect();
    let shard = shard(&folder, "", &rows);
    assert_eq!(negatives(&shard), vec![3; 4100]);
    // Unless it has more rows than a window.
    let rows: String = (0..40_000).map(|negative| row(0, negative)).collect();
    assert_eq!(negatives(&crate::shard(&folder, "", &rows)), [32_768, 7232]);
}

#[test]
fn every_positive_of_a_record_is_a_pair() {
    let folder = folder();
    let records = [
        json!({"query": "rain", "pos": ["felt", "water", "clouds"], "neg": ["sand", "stone"],
               "pos_scores": [0.75, 0.5, 0.25], "neg_scores": [0.125, 0], "prompt": "which:", "type": "normal"}),
        json!({"query": "sand", "pos": ["stone"], "neg": [], "pos_scores": [1], "neg_scores": [], "prompt": "which:"}),
    ];
    let ran = folder.run("pairs2shards --model BASE -o s.safetensors").stdin(lines(&records)).done();
    let ran = ran.saying("using the query prompt of the pairs: \"which:\"\n");
    assert!(ran.stderr().contains("4 pairs read, 4 written") && !ran.stderr().contains("warning"), "{ran}");
    let found = Shard::open(&folder.path("s.safetensors")).unwrap();
    assert_eq!(scores(&found), [vec![0.75, 0.125, 0.0], vec![0.5, 0.125, 0.0], vec![0.25, 0.125, 0.0], vec![1.0]]);
    assert_eq!(found.meta().query_prompt, "which:");
    // The answers to one question are not negatives of each other.
    let question = |pair| found.hashes(Column::Anchor, pair).text;
    assert!(question(0) == question(1) && question(1) == question(2) && question(2) != question(3));
    // The prompt is put before the query as the flag's would be.
    let flag = lines(&records).replace(",\"prompt\":\"which:\"", "");
    let flag = shard(&folder, "--query-prompt which:", &flag);
    assert_eq!(found.fingerprint(), flag.fingerprint());
    let lengths = |shard: &Shard| (0..4).map(|row| shard.length(Column::Anchor, row)).collect::<Vec<_>>();
    assert_eq!(lengths(&found), lengths(&flag));
    assert!(lengths(&found)[0] > lengths(&shard(&folder, "--query-prompt=", &lines(&records)))[0]);
}

#[test]
fn a_shard_has_one_prompt() {
    let folder = folder();
    let record = |query: &str, prompt: Value| json!({"query": query, "pos": ["p"], "prompt": prompt});
    let two = lines(&[record("a", "x:".into()), record("b", "y:".into()), record("c", Value::Null)]);
    let message = folder.run("pairs2shards --model BASE -o out").stdin(two.clone()).refusal();
    let expected =
        "<stdin>:2: the query prompt is \"y:\", but \"x:\" in earlier pairs\nhint: a shard has one query prompt";
    assert!(message.contains(expected), "{message}");
    let skipped = folder.run("pairs2shards --model BASE --on-error skip -o s.safetensors").stdin(two.clone()).ran();
    let _ = skipped.with_code(1).saying("1 written").saying("2 records skipped");
    let flag = folder.run("pairs2shards --model BASE --query-prompt y: -o s.safetensors").stdin(two).done();
    let _ = flag
        .saying("1 pair has a different query prompt than --query-prompt, which takes precedence")
        .saying("3 written");
    // In other records a field of this name is ignored.
    let other = "{\"anchor\":\"a\",\"positive\":\"p\",\"prompt\":\"Write a query.\"}\n";
    assert_eq!(shard(&folder, "", other).meta().query_prompt, "query: ", "the model's own");
}

#[test]
fn labelled_lists_are_pairs_with_negatives() {
    let records = [json!({"anchor": "rain", "positive": ["felt", "sand", "stone"], "labels": [1, 0, 0]})];
    let found = shard(&folder(), "", &lines(&records));
    assert_eq!((negatives(&found), scores(&found)), (vec![2], vec![vec![1.0, 0.0, 0.0]]));
    let records = [json!({"anchor": "rain", "positive": ["felt", "sand"], "scores": [0.9, 0.1]})];
    let message = folder().run("pairs2shards --model BASE -o out").stdin(lines(&records)).refusal();
    assert!(message.contains("<stdin>:1: field \"scores\" beside 2 positives does not say which"), "{message}");
}

#[test]
fn contradictions_are_reported_and_kept() {
    let folder = folder();
    let pair = |n: usize, label: f64| json!({"anchor": format!("a{n}"), "positive": format!("p{n}"), "label": label});
    let rows = [pair(1, 1.0), pair(2, 0.25), pair(1, 0.0), pair(2, 0.75), pair(1, 1.0), pair(3, 0.0), pair(1, 0.0)];
    let ran = folder.run("pairs2shards --model BASE -o s.safetensors").stdin(lines(&rows)).done();
    let ran = ran.saying("7 pairs read, 5 written to 1 shard; dropped: 2 the same as an earlier pair");
    let ran = ran.saying("warning: 2 pairs contradict an earlier one: the same texts with a different label or score");
    let _ = ran.saying("(<stdin>:3 has 0, <stdin>:1 has 1)");
    let found = Shard::open(&folder.path("s.safetensors")).unwrap();
    assert_eq!(scores(&found), [vec![1.0], vec![0.25], vec![0.0], vec![0.75], vec![0.0]]);
    // A teacher that scored a negative, or the positive, differently.
    let row = |scores: [f64; 2]| json!({"anchor": "a", "positive": "p", "negative": "n", "scores": scores});
    let rows = [row([1.0, 0.25]), row([1.0, 0.5]), row([1.0, 0.5])];
    let ran = folder.run("pairs2shards --model BASE -o s.safetensors").stdin(lines(&rows)).done();
    let _ = ran.saying("1 pair contradicts").saying("(<stdin>:2 and <stdin>:1 have different scores for a negative)");
    assert_eq!(scores(&Shard::open(&folder.path("s.safetensors")).unwrap()), [[1.0, 0.25, 0.5]]);
    let rows = [
        json!({"anchor": "a", "positive": "p", "negatives": ["n"], "scores": [3, 1]}),
        json!({"anchor": "a", "positive": "p", "negatives": ["m"], "scores": [2, 1]}),
    ];
    let ran = folder.run("pairs2shards --model BASE -o s.safetensors").stdin(lines(&rows)).done();
    let _ = ran.saying("2 written").saying("1 pair contradicts").saying("(<stdin>:2 has 2, <stdin>:1 has 3)");
}

#[test]
fn unusable_negatives_are_dropped_and_counted() {
    let folder = folder();
    let rows = [
        json!({"anchor": "a", "positive": "p", "negatives": ["n", "", " \t", "p", "n", "m"],
               "negative_ids": [1, 2, 3, 4, 5, 6], "scores": [9, 1, 2, 3, 4, 5, 6]}),
        json!({"query": "b", "pos": ["x", "y"], "neg": ["y"]}),
    ];
    let ran = folder.run("pairs2shards --model BASE -o s.safetensors").stdin(lines(&rows)).done();
    let said = "3 written to 1 shard; negatives dropped: 2 blank, 3 the same as a positive, 1 repeated";
    let _ = ran.saying(said);
    let found = Shard::open(&folder.path("s.safetensors")).unwrap();
    assert_eq!(negatives(&found), [2, 0, 0]);
    assert_eq!([0, 1].map(|row| found.score(Column::Negative, row).unwrap()), [1.0, 6.0]);
}

#[test]
fn ignored_fields_that_look_like_data_are_reported() {
    let row = json!({"anchor": "a", "positive": "p", "hard_negatives": ["n"], "lang": "de", "positive_rank": 3});
    let ran = folder().run("pairs2shards --model BASE -o s.safetensors").stdin(lines(&[row])).done();
    let expected = "fields that look like texts, labels or scores are ignored: \"hard_negatives\" (1 pair)\n";
    let _ = ran.saying(expected);
}

#[test]
fn pairs_of_different_documents_are_not_near_duplicates() {
    let folder = folder();
    let product = |n: usize, id: Value, label: Value| {
        json!({
            "anchor": format!("What does the electric kettle K{n} of our series for the home and the small office cost, with delivery?"),
            "positive": format!(
                "The electric kettle K{n} holds 1.7 litres, is made of steel, switches itself off when the water boils, \
                 and comes with a warranty of two years."
            ),
            "positive_id": id, "label": label,
        })
    };
    let written = |rows: Vec<Value>| {
        folder.run("pairs2shards --model BASE -o s.safetensors").stdin(lines(&rows)).done();
        Shard::open(&folder.path("s.safetensors")).unwrap().pairs()
    };
    let all = |id: fn(usize) -> Value, label: fn(usize) -> Value| {
        written((10..90).map(|n| product(n, id(n), label(n))).collect())
    };
    assert_eq!(all(|n| format!("k{n}").into(), |_| Value::Null), 80);
    assert!(all(|_| Value::Null, |_| Value::Null) < 20);
    assert!(all(|_| "k".into(), |_| Value::Null) < 20, "one document");
    assert!(all(|_| Value::Null, |n| (n % 2).into()) > 1, "of each label");
    // The same texts are one pair, whatever their ids.
    assert_eq!(written(vec![product(1, "a".into(), Value::Null), product(1, "b".into(), Value::Null)]), 1);
}
