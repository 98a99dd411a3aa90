//! Texts that a model cannot take.

use crate::folder;

const PAIR: &str = "{\"anchor\":\"rain\",\"positive\":\"felt\"}\n";

#[test]
fn a_text_without_tokens_is_refused() {
    let folder = folder();
    let tokenizer = folder.read("BASE/tokenizer.json");
    let (before, _) = tokenizer.split_once("\"post_processor\"").unwrap();
    let (_, after) = tokenizer.split_once("\"decoder\"").unwrap();
    folder.write("BASE/tokenizer.json", format!("{before}\"post_processor\": null, \"decoder\"{after}"));
    let config = folder.read("BASE/tokenizer_config.json").replace("BertTokenizer", "PreTrainedTokenizerFast");
    folder.write("BASE/tokenizer_config.json", config);
    folder.run("pairs2shards --model BASE -o s.safetensors").stdin(PAIR).done();
    let zero_width = "{\"anchor\":\"rain\",\"positive\":\"\\u200b\"}\n";
    let message =
        folder.run("pairs2shards --model BASE --document-prompt= -o t.safetensors").stdin(zero_width).refusal();
    assert!(message.contains("\"\\u{200b}\" has no tokens"), "{message}");
}
