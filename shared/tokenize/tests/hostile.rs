//! A `tokenizer.json` with any change is refused by name or accepted; it does not panic or hang.

use std::fs;
use std::path::{Path, PathBuf};

use embtune_model::TokenizerSpec;
use embtune_tokenize::{Parts, TokenizeError, Tokenizer};
use serde_json::{Value, json};

fn fixture(model: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity").join(model).join("tokenizer.json")
}

fn read(model: &str) -> Value {
    serde_json::from_slice(&fs::read(fixture(model)).unwrap()).unwrap()
}

/// Opens a tokenizer with this content and tokenises some texts.
fn try_out(content: &Value) -> Result<(), TokenizeError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokenizer.json");
    fs::write(&file, content.to_string()).unwrap();
    let tokenizer = Tokenizer::open(&TokenizerSpec::from_file(&file), 16, Some(500), 1)?;
    let long = "Lift of thin cells, 1957; \u{96e8}\u{96e8} ".repeat(20);
    let endless = format!("{}!x", "a".repeat(64));
    for text in ["", "the lift", &endless, "a1 [CLS] </s> e\u{301}\0\u{fffd}", &long] {
        let tokens = tokenizer.encode(&[text], "query: ")?.remove(0);
        assert!(tokens.ids.len() <= 16 && tokens.ids.iter().all(|id| *id < 500));
        let _ = tokenizer.windows(&[Parts { head: "title ", body: text }], 0)?;
    }
    Ok(())
}

fn refusal(content: &Value) -> String {
    try_out(content).unwrap_err().to_string()
}

/// JSON pointers to all values outside of the vocabulary; of long lists, to the first values.
fn places(value: &Value, place: &str, found: &mut Vec<String>) {
    found.push(place.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter().take(12) {
                places(value, &format!("{place}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(values) => {
            (0..).zip(values.iter().take(3)).for_each(|(n, value)| places(value, &format!("{place}/{n}"), found));
        }
        _ => {}
    }
}

#[test]
fn every_change_is_refused_by_name_or_accepted() {
    let others = [
        json!(null),
        json!(0),
        json!(-1),
        json!(u64::MAX),
        json!(1e308),
        json!(true),
        json!(""),
        json!("\u{301}(a+"),
        json!([]),
        json!({}),
        json!([null]),
    ];
    let (mut taken, mut refused) = (0, 0);
    for model in ["tiny-bert", "tiny-xlmr", "tiny-roberta", "tiny-qwen3"] {
        let whole = read(model);
        try_out(&whole).unwrap();
        let mut found = Vec::new();
        places(&whole, "", &mut found);
        for place in found {
            let mut changes: Vec<Value> = Vec::new();
            for other in &others {
                let mut changed = whole.clone();
                *changed.pointer_mut(&place).unwrap() = other.clone();
                changes.push(changed);
            }
            if let Some((parent, name)) = place.rsplit_once('/') {
                let mut removed = whole.clone();
                if let Some(fields) = removed.pointer_mut(parent).and_then(Value::as_object_mut) {
                    fields.remove(name);
                    changes.push(removed);
                }
            }
            for changed in changes {
                match try_out(&changed) {
                    Ok(()) => taken += 1,
                    Err(error) => {
                        let message = error.to_string();
                        let names_file = message.contains("tokenizer.json: ") && !message.ends_with(": ");
                        let names_length = message.starts_with("texts are cut at 16 tokens");
                        assert!(names_file || names_length, "{model} {place}: {message}");
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(taken > 100 && refused > 1000, "{taken} taken, {refused} refused");
}

#[test]
fn a_panic_of_the_library_becomes_an_error_that_names_the_file() {
    let changed = |model: &str, part: &str, value: Value| {
        let mut content = read(model);
        content[part] = value;
        content
    };
    let message = refusal(&changed("tiny-bert", "pre_tokenizer", json!({"type": "FixedLength", "length": 0})));
    assert!(message.contains("tokenizer.json: the tokenizers library cannot use it: "), "{message}");
    let template = json!({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "B", "type_id": 0}}], "pair": [], "special_tokens": {}});
    let message = refusal(&changed("tiny-bert", "post_processor", template));
    assert!(message.contains("tokenizer.json: "), "{message}");
    let table = json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"});
    let message = refusal(&changed("tiny-xlmr", "normalizer", table));
    assert!(message.contains("tokenizer.json: "), "{message}");
}

#[test]
fn expressions_that_try_every_way_are_refused() {
    for pattern in ["(a+)+$x", "(\\p{L}+)+\\d", "(a|aa)+\\d", "(\\w+\\s?)+!\\d"] {
        for (part, value) in [
            (
                "pre_tokenizer",
                json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false}),
            ),
            ("normalizer", json!({"type": "Replace", "pattern": {"Regex": pattern}, "content": " "})),
        ] {
            let mut content = read("tiny-bert");
            content[part] = value;
            let message = refusal(&content);
            assert!(message.contains("tokenizer.json: one of its regular expressions takes too long"), "{message}");
        }
    }
}

#[test]
fn a_special_token_without_an_embedding_is_refused() {
    let open = |words| Tokenizer::open(&TokenizerSpec::from_file(&fixture("tiny-bert")), 16, Some(words), 1);
    let message = open(2).err().unwrap().to_string();
    assert!(
        message.ends_with(
            "token \"[CLS]\" has the id 2, but the model has 2 word embeddings; the tokenizer puts it around every text"
        ),
        "{message}"
    );
}

#[test]
fn a_length_without_room_is_not_the_files_fault() {
    for length in [0, 1, 2] {
        let error = Tokenizer::open(&TokenizerSpec::from_file(&fixture("tiny-bert")), length, None, 1).err().unwrap();
        let expected =
            format!("texts are cut at {length} tokens, which leaves no room beside the 2 special tokens around each");
        assert_eq!(error.to_string(), expected);
    }
}
