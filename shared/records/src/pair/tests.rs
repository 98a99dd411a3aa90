use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{Record as _, Records, write_json_line};

/// The pairs of a record.
fn all(value: Value) -> Result<Vec<Pair>, String> {
    Vec::from_object(serde_json::from_str(&value.to_string()).unwrap())
}

/// The only pair of a record.
fn read(value: Value) -> Result<Pair, String> {
    let mut pairs = all(value)?;
    assert_eq!(pairs.len(), 1);
    Ok(pairs.remove(0))
}

/// The error of a record with an anchor, a positive and these fields, which may replace them.
fn refusal(fields: Value) -> String {
    let mut record = json!({"anchor": "q", "positive": "p"});
    record.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    all(record).unwrap_err()
}

#[test]
fn columns_of_other_tools_are_read() {
    let flag = read(json!({"query": "q", "pos": ["p"], "neg": ["n1", "n2"]})).unwrap();
    let st = read(json!({"anchor": "q", "positive": "p", "negative_1": "n1", "negative_2": "n2"})).unwrap();
    assert_eq!(flag, st);
    assert_eq!(flag.negatives, ["n1", "n2"]);
    // In the order of their numbers, even if one is missing.
    let columns = json!({"anchor": "q", "positive": "p", "negative_10": "n2", "negative_0": null, "negative_3": "n1"});
    assert_eq!(read(columns).unwrap(), st);
}

#[test]
fn every_positive_is_a_pair_with_its_own_score() {
    let record = json!({
        "query": "q", "pos": ["a", "b"], "neg": ["n", "m"], "pos_scores": [0.9, 0.8], "neg_scores": [0.2, 0.1],
        "positive_ids": [7, "x"], "prompt": "Represent: ", "type": "normal",
    });
    let pairs = all(record).unwrap();
    let seen = |pair: &Pair| (pair.positive.clone(), pair.positive_id.clone().unwrap(), pair.scores.clone().unwrap());
    let expected = [("a", "7", vec![0.9, 0.2, 0.1]), ("b", "x", vec![0.8, 0.2, 0.1])];
    assert_eq!(
        pairs.iter().map(seen).collect::<Vec<_>>(),
        expected.map(|(text, id, scores)| (text.to_owned(), id.to_owned(), scores))
    );
    for pair in &pairs {
        assert_eq!((pair.anchor.as_str(), &pair.negatives[..]), ("q", &["n".to_owned(), "m".to_owned()][..]));
        assert_eq!((pair.query_prompt.as_deref(), pair.rest.0.len()), (Some("Represent: "), 1));
        assert_eq!(&Vec::from_object(pair.to_object()).unwrap()[0], pair, "what is written reads back");
    }
    // In other formats a prompt may be anything, such as the request to a language model.
    let other = read(json!({"anchor": "q", "positive": "p", "prompt": "Write a query."})).unwrap();
    assert_eq!((other.query_prompt, other.rest.0.len()), (None, 1));
    let empty = json!({"query": "q", "pos": ["a"], "neg": ["n"], "pos_scores": [], "neg_scores": null, "prompt": ""});
    let empty = read(empty).unwrap();
    assert_eq!((empty.scores, empty.query_prompt), (None, None), "nothing is said");
}

#[test]
fn labelled_lists_are_split() {
    let pairs = all(json!({
        "anchor": "q", "positive": ["n", "a", "m", "b"], "labels": [0, 1, 0, 1], "positive_ids": [1, 2, 3, 4],
    }));
    let pairs = pairs.unwrap();
    assert_eq!(pairs.iter().map(|pair| pair.positive.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(pairs[1].positive_id.as_deref(), Some("4"));
    for pair in &pairs {
        assert_eq!(pair.negatives, ["n", "m"]);
        assert_eq!(pair.negative_ids.as_deref(), Some(&["1".to_owned(), "3".to_owned()][..]));
        assert_eq!((&pair.scores, pair.rest.0.len()), (&Some(vec![1.0, 0.0, 0.0]), 0));
    }
    let scored = read(json!({"anchor": "q", "positive": ["a", "n"], "labels": [1, 0], "scores": [0.7, 0.4]})).unwrap();
    assert_eq!(scored.scores, Some(vec![0.7, 0.4]));
    for (fields, expected) in [
        (json!({"positive": ["a"], "labels": [1, 0]}), "1 positive but 2 labels"),
        (json!({"positive": ["a", "b"], "label": [0, 0]}), "field \"label\" names no text of the list"),
        (
            json!({"positive": ["a", "b"], "labels": [2, 0]}),
            "field \"labels\" of a list must hold 1 and 0 only, found 2",
        ),
        (json!({"positive": ["a"], "labels": [true]}), "field \"labels\" must be a list of numbers, found a boolean"),
        (json!({"positive": ["a"], "labels": [1], "negative_2": "n"}), "so there must be no \"negative_2\""),
    ] {
        let message = refusal(fields);
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn mismatches_are_reported() {
    assert_eq!(all(json!({"positive": "p"})).unwrap_err(), "no field \"anchor\" or \"query\"");
    assert_eq!(all(json!({"anchor": "q"})).unwrap_err(), "no field \"positive\" or \"pos\"");
    assert_eq!(all(json!({"anchor": "q", "pos": null})).unwrap_err(), "no field \"positive\" or \"pos\"");
    for (fields, expected) in [
        (json!({"positive": []}), "field \"positive\" must be a list of at least one string"),
        (json!({"positive": ["a", null]}), "field \"positive\" must be a string, or a list of strings, found null"),
        (json!({"negatives": [1]}), "field \"negatives\" must be a string, or a list of strings, found a number"),
        (json!({"negatives": ["n"], "negative_ids": []}), "1 negatives but 0 negative_ids"),
        (json!({"scores": [1, 2]}), "expected 1 score (positive, then negatives), found 2"),
        (json!({"positive": ["a", "b"], "scores": [1, 2]}), "does not say which of them are answers"),
        (json!({"positive": ["a", "b"], "positive_id": "d"}), "2 positives but 1 positive_id"),
        (json!({"positive": ["a", "b"], "positive_ids": ["d"]}), "2 positives but 1 positive_ids"),
        (json!({"positive": ["a", "b"], "positive_ids": ["d", ""]}), "field \"positive_ids\" is empty"),
        (json!({"positive": ["a", "b"], "positive_ids": ["d", {}]}), "\"positive_ids\" must be a string or a number"),
        (json!({"pos_scores": [1, 2]}), "1 positives but 2 pos_scores"),
        (json!({"neg": ["n"], "pos_scores": [1]}), "1 negatives but 0 neg_scores"),
        (json!({"neg": ["n"], "neg_scores": [1]}), "1 positives but 0 pos_scores"),
        (json!({"pos_scores": ["x"]}), "field \"pos_scores\" must be a list of numbers, found a string"),
        (json!({"pos_scores": [1e39]}), "field \"pos_scores\": 1e39 is too large"),
    ] {
        let message = refusal(fields);
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn a_label_is_the_score_of_a_pair_without_negatives() {
    for name in ["score", "label", "labels"] {
        let pair = read(json!({"anchor": "q", "positive": "p", name: 0.25, "lang": "de"})).unwrap();
        assert_eq!((&pair.scores, pair.rest.0.len()), (&Some(vec![0.25]), 1), "{name}");
        assert_eq!(Vec::from_object(pair.to_object()).unwrap(), [pair]);
    }
    let score = |mut value: Value| {
        value["anchor"] = "q".into();
        value["positive"] = "p".into();
        read(value).unwrap().scores
    };
    assert_eq!(score(json!({"scores": 0.5, "label": 1})), Some(vec![0.5]), "scores come first");
    assert_eq!(score(json!({"score": null, "label": 1})), Some(vec![1.0]), "null is absent");
    // It is unclear which text has the score.
    assert_eq!(score(json!({"negatives": ["n"], "label": 1})), None);
}

#[test]
fn labels_are_finite_numbers() {
    let message = refusal(json!({"label": "entailment"}));
    assert_eq!(message, "field \"label\" must be a number, found a string");
    assert_eq!(refusal(json!({"labels": [1]})), "field \"labels\" must be a number, found an array");
    let message = refusal(json!({"score": 1e39}));
    assert_eq!(message, "field \"score\": 1e39 is too large for a number of 32 bits");
    let message = refusal(json!({"scores": [1, -1e300], "negatives": ["n"]}));
    assert_eq!(message, "field \"scores\": -1e300 is too large for a number of 32 bits");
    assert!(refusal(json!({"scores": [null]})).starts_with("field \"scores\" must be a list of numbers, found null"));
}

#[test]
fn negatives_are_removed_with_their_ids_and_scores() {
    let mut pair = read(json!({
        "anchor": "q", "positive": "p", "negatives": ["a", "b", "c"], "negative_ids": [1, 2, 3],
        "negative_groups": ["g", "g", "h"], "scores": [9, 1, 2, 3],
    }))
    .unwrap();
    assert_eq!(pair.negative_group_or_id(2), Some("h"));
    pair.retain_negatives(|pair, index| pair.negative_ids.as_ref().unwrap()[index] != "2");
    assert_eq!(
        (&pair.negatives[..], &pair.scores),
        (&["a".to_owned(), "c".to_owned()][..], &Some(vec![9.0, 1.0, 3.0]))
    );
    assert_eq!(
        (pair.negative_ids.unwrap(), pair.negative_groups.unwrap()),
        (vec!["1".to_owned(), "3".to_owned()], vec!["g".to_owned(), "h".to_owned()])
    );
    let bare = read(json!({"anchor": "q", "positive": "p", "negatives": ["a"], "negative_ids": [1]})).unwrap();
    assert_eq!((bare.negative_group_or_id(0), bare.negative_group_or_id(1)), (Some("1"), None));
    let message = read(json!({"anchor": "q", "positive": "p", "negatives": ["a"], "negative_groups": []}));
    assert_eq!(message.unwrap_err(), "1 negatives but 0 negative_groups");
}

proptest! {
    #[test]
    fn a_pair_reads_back_as_written(
        anchor in ".*", positive in ".*", negatives in prop::collection::vec(".*", 0..4),
        id in "[a-z]{1,5}", extra in ".*",
    ) {
        let pair = Pair {
            anchor, positive,
            negative_ids: Some(vec![id.clone(); negatives.len()]),
            negative_groups: Some(vec![id.clone(); negatives.len()]),
            scores: Some(vec![0.5; negatives.len() + 1]),
            negatives, anchor_id: Some(id.clone()), positive_id: None, group: Some(id),
            query_prompt: Some("p".into()), rest: Object([("extra".to_owned(), extra.as_str().into())].into()),
        };
        let mut line = Vec::new();
        write_json_line(&pair.to_object(), &mut line).unwrap();
        let back = Records::<Vec<Pair>, _>::new("x", line.as_slice(), 1 << 20).next().unwrap().unwrap();
        prop_assert_eq!(back, [pair]);
    }
}
