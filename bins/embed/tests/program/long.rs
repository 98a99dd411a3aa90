//! Texts with more tokens than the model takes at once.

use embtune_tests::Folder;
use serde_json::{Value, json};

use crate::support::{ROUNDING, assert_near, embed, norm, of_file, vector, vectors};

/// Words that are single tokens, so that chunks end between words.
fn words(folder: &Folder, count: usize) -> Vec<String> {
    let tokenizer: Value = serde_json::from_slice(&folder.bytes("BASE/tokenizer.json")).unwrap();
    let vocabulary = tokenizer["model"]["vocab"].as_object().unwrap();
    let is_word = |token: &&String| token.len() > 2 && token.bytes().all(|byte| byte.is_ascii_lowercase());
    let words: Vec<&String> = vocabulary.keys().filter(is_word).collect();
    assert!(words.len() > 20);
    (0..count).map(|n| words[n * 7 % words.len()].clone()).collect()
}

/// A document as a line of JSON.
fn document(id: &str, text: &str) -> String {
    json!({"_id": id, "text": text}).to_string()
}

/// 18 tokens, two of them special: a chunk has 16 words.
const CHUNKS: &str = "--prompt= --max-seq-length 18 --on-long chunk";

#[test]
fn texts_that_are_cut_are_counted() {
    let folder = Folder::with_corpus("tiny-bert");
    let words = words(&folder, 40);
    let input = [document("short", "lift"), document("long", &words.join(" "))].join("\n");
    let flags = "--prompt= --max-seq-length 18";
    let ran = embed(&folder, flags).stdin(input.clone()).done();
    let ran = ran.saying("1 of 2 texts was longer than 18 tokens and was cut");
    let long: Value = serde_json::from_str(ran.stdout().lines().nth(1).unwrap()).unwrap();
    folder.write("first", document("long", &words[..16].join(" ")));
    assert_near(&[vector(&long)], &vectors(&folder, &format!("{flags} first")), ROUNDING);
    embed(&folder, &format!("{flags} -o v")).stdin(input).done();
    let meta = of_file(&folder, "v").0;
    assert_eq!((meta.meta().unwrap().truncated, meta.meta().unwrap().chunked), (1, 0));
}

#[test]
fn a_text_that_does_not_fit_can_be_an_error() {
    let folder = Folder::with_corpus("tiny-bert");
    let words = words(&folder, 40);
    let fits = document("fits", &words[..16].join(" "));
    let input = [fits.clone(), document("long", &words.join(" ")), fits.replace("fits", "again")].join("\n");
    let flags = "--prompt= --max-seq-length 18 --on-long error";
    let message = embed(&folder, flags).stdin(document("long", &words.join(" "))).refusal();
    assert!(
        message.contains("embed: the text of \"long\" has 42 tokens, and the model takes 18 at once\nhint: "),
        "{message}"
    );
    let skipped = embed(&folder, &format!("{flags} --on-error skip")).stdin(input.clone()).ran().with_code(1);
    let skipped = skipped.saying("skipped: the text of \"long\" has 42 tokens").saying("1 record skipped");
    let ids: Vec<Value> =
        skipped.stdout().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["_id"].clone()).collect();
    assert_eq!(ids, ["fits", "again"]);
    // No file is created.
    let before = folder.listing();
    assert_eq!(embed(&folder, &format!("{flags} -o v")).stdin(input).ran().with_code(2).listing, before);
    // A text that fits has the same vector as without the flag.
    folder.write("fits", fits);
    assert_near(&vectors(&folder, &format!("{flags} fits")), &vectors(&folder, "--prompt= fits"), ROUNDING);
}

#[test]
fn chunks_are_records_with_positions() {
    let folder = Folder::with_corpus("tiny-bert");
    let words = words(&folder, 40);
    let text = format!("h\u{e4} {}", words[1..].join(" "));
    let record = json!({"lang": "de", "_id": "a", "text": text, "n": 1});
    let input = [record.to_string(), document("short", "lift")].join("\n");
    let ran = embed(&folder, &format!("{CHUNKS} --chunks separate --chunk-overlap 4")).stdin(input).done();
    let ran = ran.saying("1 of 2 texts was longer than 18 tokens and was divided into 3 chunks");
    let records: Vec<Value> = ran.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        records.iter().map(|record| record["_id"].as_str().unwrap()).collect::<Vec<_>>(),
        ["a#0", "a#1", "a#2", "short"]
    );
    let characters: Vec<char> = text.chars().collect();
    for (number, chunk) in records[..3].iter().enumerate() {
        let place = |name: &str| chunk[name].as_u64().unwrap() as usize;
        assert_eq!(place("chunk"), number);
        assert_eq!(chunk["text"], characters[place("start")..place("end")].iter().collect::<String>());
        assert_eq!((&chunk["group"], &chunk["lang"], &chunk["n"]), (&json!("a"), &json!("de"), &json!(1)));
    }
    assert!(records[3].get("chunk").is_none() && records[3].get("group").is_none());
    // A chunk has 16 words, and the next one begins with the last 4 of them.
    assert_eq!(records[0]["start"], 0);
    assert_eq!(records[2]["end"], characters.len());
    let words_of = |n: usize| records[n]["text"].as_str().unwrap().split(' ').collect::<Vec<_>>();
    for number in 0..2 {
        let (before, after) = (words_of(number), words_of(number + 1));
        assert_eq!(before[before.len() - 4..], after[..4]);
    }
}

#[test]
fn a_chunk_is_a_document_with_the_same_vector() {
    let folder = Folder::with_corpus("tiny-bert");
    let words = words(&folder, 150);
    let title = words[..3].join(" ");
    let record = json!({"id": 1, "title": title, "text": words[3..].join(" "), "group": "g"});
    folder.write("long", record.to_string());
    for flags in ["--role query", "--prompt=", "--role document"] {
        let flags = format!("{flags} --max-seq-length 40");
        let line = |rest: &str| folder.run(&format!("embed --device cpu --model BASE {flags} {rest}"));
        let chunks = line("--on-long chunk --chunks separate long").stdout();
        folder.write("chunks", &chunks);
        let records: Vec<Value> = chunks.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(records.len() > 3 && records.iter().all(|record| record["title"] == title && record["group"] == "g"));
        let again: Vec<Vec<f32>> = line("chunks").records().iter().map(vector).collect();
        assert_near(&again, &records.iter().map(vector).collect::<Vec<_>>(), ROUNDING);
    }
}

#[test]
fn the_last_named_field_is_divided() {
    let folder = Folder::with_corpus("tiny-bert");
    let words = words(&folder, 60);
    let record = json!({"id": 1, "body": words[2..].join(" "), "head": words[..2].join(" "), "text": 7});
    folder.write("long", record.to_string());
    let chunks = embed(&folder, &format!("{CHUNKS} --chunks separate --field head --field body long")).records();
    assert!(chunks.len() > 3);
    for chunk in &chunks {
        let keys: Vec<&String> = chunk.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["id", "body", "head", "text", "group", "chunk", "start", "end", "embedding"]);
        assert_eq!((&chunk["head"], &chunk["text"]), (&record["head"], &json!(7)));
        assert!(chunk["body"].as_str().unwrap().split(' ').count() <= 14, "two of sixteen are the head's");
    }
}

#[test]
fn the_mean_is_weighted_by_tokens() {
    for model in ["tiny-mpnet", "tiny-bert"] {
        let folder = Folder::with_corpus(model);
        let words = words(&folder, 37);
        folder.write("long", [document("a", &words.join(" ")), document("b", "lift")].join("\n"));
        let parts = vectors(&folder, &format!("{CHUNKS} --chunk-overlap 0 --chunks separate long"));
        let means = vectors(&folder, &format!("{CHUNKS} --chunk-overlap 0 long"));
        assert_eq!((parts.len(), means.len()), (4, 2));
        let sum: Vec<f32> =
            (0..32).map(|n| (16.0 * parts[0][n] + 16.0 * parts[1][n] + 5.0 * parts[2][n]) / 37.0).collect();
        let length = if model == "tiny-mpnet" { norm(&sum) } else { 1.0 };
        let expected = vec![sum.iter().map(|x| x / length).collect(), parts[3].clone()];
        assert_near(&means, &expected, ROUNDING);
        embed(&folder, &format!("{CHUNKS} --chunk-overlap 0 long -o v")).done();
        let file = of_file(&folder, "v").0;
        let meta = file.meta().unwrap();
        assert_eq!((file.len(), meta.truncated, meta.chunked), (2, 0, 1));
    }
}

#[test]
fn batches_do_not_change_chunks() {
    let folder = Folder::with_corpus("tiny-bert");
    let flags = "--max-seq-length 30 --on-long chunk --chunks separate corpus.jsonl";
    let expected = vectors(&folder, flags);
    assert!(expected.len() > 60, "{}", expected.len());
    for other in ["--batch-tokens 1", "--threads 1", "--batch-tokens 100000"] {
        assert_near(&vectors(&folder, &format!("{other} {flags}")), &expected, ROUNDING);
    }
}

#[test]
fn a_title_that_leaves_no_room_is_cut_and_counted() {
    let folder = Folder::with_corpus("tiny-bert");
    let words = words(&folder, 60);
    let record = json!({"id": 1, "title": words[..30].join(" "), "text": words[30..].join(" ")});
    folder.write("long", record.to_string());
    let ran = embed(&folder, &format!("{CHUNKS} --chunk-overlap 0 --chunks separate long")).done();
    let ran = ran.saying("in 1 text, the text before each chunk took more than half of it and was cut");
    assert_eq!(ran.stdout().lines().count(), 4, "8 words of 30 beside 8 of the title");
    let _ = embed(&folder, &format!("{CHUNKS} -o v long")).done();
    assert_eq!(of_file(&folder, "v").0.meta().unwrap().truncated, 1);
}

#[test]
fn chunks_have_ids_in_files() {
    let folder = Folder::with_corpus("tiny-bert");
    let words = words(&folder, 40).join(" ");
    folder.write("long", document("a", &words));
    embed(&folder, &format!("{CHUNKS} --chunks separate --chunk-overlap 0 long -o v")).done();
    assert_eq!(of_file(&folder, "v").0.ids().collect::<Vec<_>>(), ["a#0", "a#1", "a#2"]);
    folder.write("double", [document("a#1", "lift"), document("a", &words)].join("\n"));
    let message = embed(&folder, &format!("{CHUNKS} --chunks separate double -o w")).refusal();
    assert!(message.contains("duplicate id \"a#1\": another text has it"), "{message}");
}

#[test]
fn chunks_come_from_the_cache() {
    let folder = Folder::with_corpus("tiny-bert");
    let words = words(&folder, 40).join(" ");
    folder.write("long", [document("a", &words), document("b", "lift")].join("\n"));
    for flags in ["--chunks separate", "--chunks mean"] {
        let line = format!("{CHUNKS} {flags} --cache C long");
        let first = embed(&folder, &line).stdout();
        let ran = embed(&folder, &format!("{line} -v")).done().saying("2 of 2 texts were in the cache");
        assert_eq!(ran.stdout(), first);
        assert_eq!(first.lines().count(), if flags.ends_with("mean") { 2 } else { 4 });
    }
    let line = "--prompt= --max-seq-length 18 --on-long error --on-error skip --cache C long";
    for _ in 0..2 {
        let ran = embed(&folder, line).ran().with_code(1).saying("has 42 tokens");
        assert_eq!(ran.stdout().lines().count(), 1);
    }
}

#[test]
fn flags_of_chunks_have_limits() {
    let folder = Folder::with_corpus("tiny-bert");
    let message = embed(&folder, &format!("{CHUNKS} --chunk-overlap 8 corpus.jsonl")).refusal();
    assert!(
        message.contains("--chunk-overlap 8 is too much: 16 tokens fit into a chunk, and at most 7 may overlap"),
        "{message}"
    );
    let _ = embed(&folder, &format!("{CHUNKS} --chunk-overlap 7 corpus.jsonl")).done();
    for flag in ["--chunks mean", "--chunk-overlap 2"] {
        let message = embed(&folder, &format!("{flag} corpus.jsonl")).refusal();
        assert!(message.contains("requires --on-long chunk"), "{message}");
    }
}

#[test]
fn a_huge_text_has_many_chunks() {
    let folder = Folder::with_corpus("tiny-bert");
    let line = json!({"id": "big", "text": "lift cells of gullskin ".repeat(20_000)}).to_string();
    let records = embed(&folder, "--on-long chunk --chunks separate --dtype ubinary").stdin(line.clone()).records();
    let starts = records.iter().map(|record| record["start"].as_u64().unwrap()).collect::<Vec<_>>();
    assert!(records.len() > 500 && starts.is_sorted());
    assert_eq!(embed(&folder, "--on-long chunk").stdin(line).records().len(), 1);
}
