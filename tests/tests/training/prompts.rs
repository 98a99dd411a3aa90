//! The prompts of the training pairs become those of the model.

use embtune_tests::Folder;
use serde_json::{Value, json};

use crate::dev::{DEV, figures, measured};
use crate::{start, train, weights};

const FILE: &str = "config_sentence_transformers.json";

/// Writes a shard with other prompts than those of the base model.
fn shard(folder: &Folder, query: &str, document: &str, out: &str) {
    let pairs = "pairs2shards --model BASE --document-max-length 64 --holdout 0.2";
    let command = folder.run(&format!("{pairs} --holdout-dir heldout-{out} pairs.jsonl -o {out}"));
    command.arg(format!("--query-prompt={query}")).arg(format!("--document-prompt={document}")).done();
}

fn json_of(folder: &Folder, file: &str) -> Value {
    serde_json::from_str(&folder.read(file)).unwrap()
}

#[test]
fn the_prompts_of_the_pairs_are_used_for_the_dev_set_and_saved_with_the_model() {
    let folder = start();
    // As with e5: prompts that the base model's files do not have, and a prompt name that embtune does not use.
    folder.write(&format!("BASE/{FILE}"), r#"{"prompts": {"s2s": "same: "}, "default_prompt_name": null}"#);
    shard(&folder, "query: ", "a \"passage\" | ", "train.safetensors");
    let ran = train(&folder, "TUNED", &format!("{DEV} --metric mrr@10")).done();
    let notice = r#"the trained model's prompts are those of the pairs: "query: " before queries (base: ""), "a \"passage\" | " before documents (base: "")"#;
    let ran = ran.saying(notice);

    let prompts = json!({"s2s": "same: ", "query": "query: ", "document": "a \"passage\" | "});
    assert_eq!(json_of(&folder, &format!("TUNED/{FILE}")), json!({"prompts": prompts, "default_prompt_name": null}));
    let card = folder.read("TUNED/README.md");
    assert!(card.contains(r#"{"query":"query: ","document":"a \"passage\" | "}"#), "{card}");
    assert!(card.contains("encode_query") && card.contains("prompt_name=\"query\""), "{card}");

    // The log has the figures that embed and ir-eval find without a flag for the prompts, before and after the
    // training.
    let figures = figures(&ran.stdout(), "mrr@10");
    let best = figures.iter().map(|(_, figure)| *figure).fold(0.0, f64::max);
    let found = measured(&folder, "TUNED", "mrr@10");
    assert!((found - best).abs() < 1e-6, "{found}, best of {figures:?}");
    folder.write(&format!("BASE/{FILE}"), json!({"prompts": prompts}).to_string());
    let found = measured(&folder, "BASE", "mrr@10");
    assert!((found - figures[0].1).abs() < 1e-6, "{found}, first of {figures:?}");
    let report = "ir-eval --device cpu --qrels heldout/qrels.tsv --metrics mrr@10 --format json";
    let report = folder.run(&format!("{report} --queries heldout/queries.jsonl --corpus corpus.jsonl m=TUNED")).json();
    let found = report["systems"][0]["metrics"]["mrr@10"].as_f64().unwrap();
    assert!((found - best).abs() < 1e-6, "ir-eval's own: {found}, best of {figures:?}");
}

#[test]
fn a_model_trained_without_its_prompts_has_none() {
    let folder = start();
    assert_eq!(json_of(&folder, &format!("BASE/{FILE}"))["prompts"]["query"], "query: ");
    shard(&folder, "", "passage: ", "train.safetensors");
    let _ = train(&folder, "TUNED", "").done().saying(r#"are those of the pairs: "" before queries (base: "query: ")"#);
    let mut expected = json_of(&folder, &format!("BASE/{FILE}"));
    expected["prompts"]["query"] = "".into();
    assert_eq!(json_of(&folder, &format!("TUNED/{FILE}")), expected);
    let vectors =
        |flags: &str| folder.run(&format!("embed --device cpu --model TUNED {flags} heldout/queries.jsonl")).stdout();
    assert_eq!(vectors("--role query"), vectors("--prompt="));
}

#[test]
fn the_base_model_s_own_prompts_change_nothing() {
    let folder = start();
    let ran = train(&folder, "TUNED", "").done();
    assert!(!ran.stderr().contains("prompts"), "{ran}");
    assert_eq!(folder.bytes(&format!("TUNED/{FILE}")), folder.bytes(&format!("BASE/{FILE}")));
}

#[test]
fn shards_with_different_prompts_are_refused() {
    let folder = start();
    shard(&folder, "query: ", "text: ", "other.safetensors");
    shard(&folder, "", "passage: ", "none.safetensors");
    for (set, expected) in [
        (
            "other",
            r#"other.safetensors has the prompt "text: " before its documents, but train.safetensors has "passage: ": a model has one prompt for each role"#,
        ),
        (
            "none",
            r#"none.safetensors has the prompt "" before its queries, but train.safetensors has "query: ": a model has one prompt for each role"#,
        ),
    ] {
        let message = train(&folder, "TUNED", &format!("{set}.safetensors")).refusal();
        assert!(message.contains(expected) && message.contains("\nhint: run pairs2shards again"), "{message}");
    }
}

#[test]
fn a_training_is_not_resumed_with_other_prompts() {
    let folder = start();
    let mut running = train(&folder, "TUNED", "--checkpoint-every 1").start();
    running.take_lines(3);
    running.signal(embtune_tests::Signal::INT);
    let _ = running.end().with_code(130);
    shard(&folder, "question: ", "passage: ", "train.safetensors");
    let message = train(&folder, "TUNED", "--resume").refusal();
    let expected = r#"the prompt of queries was "query: " when the training began, and is "question: " now"#;
    assert!(message.contains(expected), "{message}");
    assert!(!folder.listing().contains(&"TUNED/".into()));
    shard(&folder, "query: ", "passage: ", "train.safetensors");
    train(&folder, "TUNED", "--resume").done();
    train(&folder, "WHOLE", "").done();
    assert!(weights(&folder, "TUNED") == weights(&folder, "WHOLE"), "other weights");
}
