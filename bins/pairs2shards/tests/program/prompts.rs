//! Prompts of the model and of flags.

use embtune_tensors::Column;

use crate::{folder, shard};

const PAIR: &str = "{\"anchor\":\"rain\",\"positive\":\"felt\",\"negatives\":[\"rain\"]}\n";

#[test]
fn prompts_are_put_before_the_texts() {
    let folder = folder();
    let flags = "--query-prompt felt --document-prompt rain";
    let prompted = shard(&folder, flags, PAIR);
    let meta = prompted.meta();
    assert_eq!((meta.query_prompt.as_str(), meta.document_prompt.as_str()), ("felt", "rain"));
    let written_out = "{\"anchor\":\"feltrain\",\"positive\":\"rainfelt\",\"negatives\":[\"rainrain\"]}\n";
    let plain = shard(&folder, "--query-prompt= --document-prompt=", written_out);
    for column in Column::ALL {
        assert_eq!(prompted.tokens(column, 0).unwrap(), plain.tokens(column, 0).unwrap(), "{column:?}");
    }
    // Masks use the text without the prompt.
    assert_eq!(prompted.hashes(Column::Anchor, 0).text, prompted.hashes(Column::Negative, 0).text);
}

#[test]
fn an_empty_prompt_overrides_the_models() {
    let folder = folder();
    folder.write("BASE/config_sentence_transformers.json", r#"{"prompts":{"query":"felt"}}"#);
    let (own, none) = (shard(&folder, "", PAIR), shard(&folder, "--query-prompt=", PAIR));
    assert_eq!((own.meta().query_prompt.as_str(), none.meta().query_prompt.as_str()), ("felt", ""));
    assert_eq!(none.tokens(Column::Anchor, 0).unwrap(), none.tokens(Column::Negative, 0).unwrap());
    assert!(own.length(Column::Anchor, 0) > none.length(Column::Anchor, 0));
}

#[test]
fn a_prompt_that_leaves_no_room_is_refused() {
    let folder = folder();
    let long = "rain ".repeat(600);
    for (side, length) in [("query", "--query-max-length 8"), ("document", "--document-max-length 16")] {
        let run = folder.run(&format!("pairs2shards --model BASE {length} -o out"));
        let message = run.arg(format!("--{side}-prompt={long}")).stdin(PAIR).refusal();
        let tokens = &length[length.len() - 2..].trim();
        let expected = format!(
            "the {side} prompt fills the {tokens} tokens at which a {side} is cut: nothing of its text would be left\n\
             hint: shorten it, or raise --{side}-max-length"
        );
        assert!(message.contains(&expected), "{message}");
    }
    // Also when it comes with the pairs.
    let pair = format!("{{\"query\":\"rain\",\"pos\":[\"felt\"],\"prompt\":\"{long}\"}}\n");
    let message = folder.run("pairs2shards --model BASE --query-max-length 8 -o out").stdin(pair).refusal();
    assert!(message.contains("the query prompt fills the 8 tokens"), "{message}");
    assert!(!folder.path("out").exists());
}
