//! Which documents become negatives.

use serde_json::{Value, json};

use embtune_tests::Folder;

use crate::{MINE, at, pair, plane};

fn ids(record: &Value) -> Vec<&str> {
    record["negative_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect()
}

/// The ids of the only pair's negatives.
fn mined(folder: &Folder, flags: &str) -> Vec<String> {
    let records = folder.run(&format!("{MINE} {flags} pairs.jsonl")).records();
    assert_eq!(records.len(), 1);
    ids(&records[0]).into_iter().map(str::to_owned).collect()
}

#[test]
fn a_pair_gets_the_nearest_documents_that_are_not_its_own() {
    let folder = plane();
    folder.write(
        "pairs.jsonl",
        "{\"lang\":\"de\",\"query\":\"a\",\"positive\":\"p\",\"anchor_id\":\"q14\",\"positive_id\":\"d0\",\
         \"negatives\":[\"old\"],\"scores\":[1,2],\"negative_ranks\":[7]}\n",
    );
    let record = folder.run(&format!("{MINE} -n 2 pairs.jsonl")).records().remove(0);
    assert_eq!(record["negatives"], json!(["T1 text 1", "T2 text 2"]));
    assert_eq!(record["negative_ids"], json!(["d1", "d2"]));
    assert_eq!((&record["positive_rank"], &record["negative_ranks"]), (&json!(3), &json!([1, 2])));
    let scores: Vec<f64> = record["scores"].as_array().unwrap().iter().map(|score| score.as_f64().unwrap()).collect();
    for (score, degrees) in scores.iter().zip([14.0_f64, 4.0, 6.0]) {
        assert!((score - degrees.to_radians().cos()).abs() < 1e-6, "{scores:?}");
    }
    assert_eq!((&record["lang"], &record["anchor"]), (&json!("de"), &json!("a")));
}

#[test]
fn a_positive_below_the_hits_has_a_score_and_on_request_a_rank() {
    let folder = plane();
    folder.write("pairs.jsonl", pair("q0", "d8"));
    let record = folder.run(&format!("{MINE} -n 2 pairs.jsonl")).records().remove(0);
    assert_eq!(record["positive_rank"], Value::Null);
    assert!((record["scores"][0].as_f64().unwrap() - 80_f64.to_radians().cos()).abs() < 1e-6);
    assert_eq!(ids(&record), ["d0", "d1"]);
    let exact = folder.run(&format!("{MINE} -n 2 --exact-ranks pairs.jsonl")).records().remove(0);
    assert_eq!((&exact["positive_rank"], ids(&exact)), (&json!(9), ids(&record)));
}

#[test]
fn every_considered_document_is_taken_or_has_a_reason() {
    let folder = plane();
    let texts = |n: u8| match n {
        2 => "text 9, and then a part of d0",
        4 => "TEXT 5",
        5 | 7 => "text 5",
        6 => "The part of d0 that is its first part.",
        8 => "eight",
        _ => "The part of d0, that is its first part",
    };
    let groups = |n: u8| if n == 1 { "\"d0\"" } else { "null" };
    let document = |n: u8| format!("{{\"_id\":\"d{n}\",\"text\":\"{}\",\"group\":{}}}\n", texts(n), groups(n));
    folder.write("corpus.jsonl", (0..10).map(document).collect::<String>());
    folder.write("listed", "\nd3\n");
    let flags = "-n 3 --exclude-documents listed --max-score 0.9 --min-score 0.1 --range-min 1 --range-max 9";
    let record = folder.run(&format!("{MINE} {flags} pairs.jsonl")).records().remove(0);
    let dropped: Vec<String> = record["dropped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let score = one["score"].as_f64().unwrap();
            let degrees = score.acos().to_degrees().round();
            format!("{} {} {} {degrees}", one["rank"], one["id"].as_str().unwrap(), one["reason"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        dropped,
        [
            "1 d0 positive 0",
            "2 d1 group 10",
            "3 d2 max_score 20",
            "4 d3 excluded 30",
            "5 d4 range_min 40",
            "7 d6 near_duplicate 60",
            "8 d7 same_text 70",
            "10 d9 same_text 90",
        ]
    );
    assert_eq!((ids(&record), &record["negative_ranks"]), (vec!["d5", "d8"], &json!([6, 9])));
}

#[test]
fn a_positive_of_another_pair_with_the_same_query_is_not_a_negative() {
    let folder = plane();
    // Far apart, so that they are mined in different batches; the second one comes through another operand.
    let between = pair("q90", "d9").repeat(2000);
    folder.write("pairs.jsonl", &(pair("q0", "d0") + &between));
    folder.write("more.jsonl", pair("q0", "d1"));
    let records = folder.run(&format!("{MINE} -n 2 pairs.jsonl more.jsonl")).records();
    assert_eq!(records.len(), 2002);
    assert_eq!((ids(&records[0]), ids(&records[2001])), (vec!["d2", "d3"], vec!["d2", "d3"]));
}

#[test]
fn a_record_with_several_positives_is_as_many_pairs() {
    let folder = plane();
    let record =
        r#"{"query":"a","pos":["x","y"],"anchor_id":"q0","positive_ids":["d0","d2"],"prompt":"p: ","lang":"de"}"#;
    folder.write("pairs.jsonl", record);
    let records = folder.run(&format!("{MINE} -n 2 pairs.jsonl")).records();
    assert_eq!(records.len(), 2);
    for (record, (text, id)) in records.iter().zip([("x", "d0"), ("y", "d2")]) {
        assert_eq!((&record["positive"], &record["positive_id"]), (&json!(text), &json!(id)));
        assert_eq!(
            (ids(record), &record["query_prompt"], &record["lang"]),
            (vec!["d1", "d3"], &json!("p: "), &json!("de"))
        );
    }
    // If one document of a record has no vector, the whole record is bad.
    folder.write("pairs.jsonl", record.replace("d2", "d77"));
    let message = folder.run(&format!("{MINE} pairs.jsonl")).refusal();
    assert!(message.contains("pairs.jsonl:1: no vector of document \"d77\""), "{message}");
}

#[test]
fn numbers_that_are_too_large_for_a_float_pass_through() {
    let folder = plane();
    folder.write("pairs.jsonl", pair("q0", "d0").replace("}\n", ",\"n\":18446744073709551617,\"x\":[1.10]}\n"));
    let line = folder.run(&format!("{MINE} -n 1 pairs.jsonl")).stdout();
    assert!(line.contains(",\"n\":18446744073709551617,\"x\":[1.10],"), "{line}");
}

#[test]
fn documents_of_the_positives_group_are_not_negatives() {
    let folder = plane();
    let document = |n: u8, group: &str| format!("{{\"_id\":\"d{n}\",\"text\":\"text {n}\"{group}}}\n");
    // d0 to d6 are parts of one document, which is more than the first search finds.
    let texts = (0..10).map(|n| document(n, if n < 7 { ",\"group\":\"g\"" } else { "" }));
    folder.write("corpus.jsonl", texts.collect::<String>());
    assert_eq!(mined(&folder, "-n 2"), ["d7", "d8"], "by the group of the positive's document");
    folder.write("corpus.jsonl", (0..10).map(|n| document(n, "")).collect::<String>());
    folder.write("pairs.jsonl", pair("q0", "d0").replace("}\n", ",\"group\":\"d1\"}\n"));
    assert_eq!(mined(&folder, "-n 2"), ["d2", "d3"], "by the group of the pair, which is a document's id");
}

#[test]
fn a_text_that_ranked_higher_is_not_a_negative() {
    let folder = plane();
    let text = |n: u8| match n {
        0 => "of the positive",
        1 => "the positive",
        2 | 4 => "the same",
        3 => "three",
        _ => "other",
    };
    let texts = (0..10).map(|n| format!("{{\"_id\":\"d{n}\",\"title\":\"\",\"text\":\"{}\"}}\n", text(n)));
    folder.write("corpus.jsonl", texts.collect::<String>());
    folder.write("pairs.jsonl", pair("q0", "d0").replace("a part of d0", "the positive"));
    assert_eq!(mined(&folder, "-n 3"), ["d2", "d3", "d5"]);
    let titled = |n: u8| format!("{{\"_id\":\"d{n}\",\"title\":\"T{n}\",\"text\":\"{} {n}\"}}\n", text(n));
    folder.write("corpus.jsonl", (0..10).map(titled).collect::<String>());
    folder.write("pairs.jsonl", pair("q0", "d0").replace("a part of d0", "the positive 1"));
    assert_eq!(mined(&folder, "-n 3"), ["d2", "d3", "d4"], "the positive is the text without its title");
}

#[test]
fn batches_do_not_change_the_result() {
    let folder = plane();
    let some = |from: u32, to: u32| -> String {
        (from..to)
            .map(|n| {
                pair(["q0", "q14", "q90"][n as usize % 3], &format!("d{}", n % 10))
                    .replace("anchor of", &format!("anchor {n} of"))
            })
            .collect()
    };
    folder.write("all", some(0, 1100));
    folder.write("first", some(0, 500));
    folder.write("second", some(500, 1100));
    let flags = format!("{MINE} --relative-margin 0.1");
    let all = folder.run(&format!("{flags} all")).stdout();
    assert_eq!(all, folder.run(&format!("{flags} first")).stdout() + &folder.run(&format!("{flags} second")).stdout());
    assert_eq!(all.lines().count(), 1100);
}

#[test]
fn a_pipe_gives_what_a_file_gives() {
    let folder = plane();
    let pairs = pair("q0", "d0") + &pair("q14", "d3");
    folder.write("pairs.jsonl", &pairs);
    let piped = folder.run(MINE).stdin(pairs).stdout();
    assert_eq!(piped, folder.run(&format!("{MINE} pairs.jsonl")).stdout());
    assert_eq!(piped.lines().count(), 2);
}

#[test]
fn a_corpus_in_several_files_is_one_corpus() {
    let folder = plane();
    let parts = [0..3_u8, 3..4, 4..10];
    for (number, documents) in parts.into_iter().enumerate() {
        let vectors: Vec<_> = documents.map(|n| (format!("d{n}"), at(10.0 * f32::from(n)))).collect();
        let rows: Vec<(&str, &[f32])> = vectors.iter().map(|(id, vector)| (id.as_str(), &vector[..])).collect();
        folder.write_vectors(&format!("part-{number}"), "document", &rows);
    }
    folder.write("pairs.jsonl", [pair("q0", "d0"), pair("q14", "d5"), pair("q90", "d9")].concat());
    let mine = |corpus: &str| {
        let command = format!("mine-negatives -q --queries q --corpus {corpus} --texts corpus.jsonl -n 5");
        folder.run(&format!("{command} --exact-ranks pairs.jsonl")).stdout()
    };
    assert_eq!(mine("part-?"), mine("c"));
}

#[test]
fn a_pair_with_the_label_0_is_refused_and_its_document_may_be_a_negative() {
    let folder = plane();
    let no_answer = pair("q14", "d1").replace("}\n", ",\"label\":0}\n");
    folder.write("pairs.jsonl", pair("q14", "d0") + &no_answer);
    let message = folder.run(&format!("{MINE} pairs.jsonl")).refusal();
    assert!(message.contains("pairs.jsonl:2: the label is 0, so the positive does not answer"), "{message}");
    let ran = folder.run(&format!("{MINE} -n 1 --on-error skip pairs.jsonl")).ran().with_code(1);
    let record: Value = serde_json::from_str(ran.stdout().trim()).unwrap();
    assert_eq!(ids(&record), ["d1"], "the nearest document");
}
