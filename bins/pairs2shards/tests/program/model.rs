//! Texts that a model cannot take.

use crate::folder;

const PAIR: &str = "{\"anchor\":\"rain\",\"positive\":\"felt\"}\n";

#[test]
fn a_text_without_tokens_is_refused() {
    let folder = folder();
    folder.remove_special_tokens("BASE");
    folder.run("pairs2shards --model BASE -o s.safetensors").stdin(PAIR).done();
    // BERT's tokenizer removes it, but it does not count as blank.
    let replacement = "{\"anchor\":\"rain\",\"positive\":\"\\ufffd\"}\n";
    let message =
        folder.run("pairs2shards --model BASE --document-prompt= -o t.safetensors").stdin(replacement).refusal();
    assert!(message.contains("\"\u{fffd}\" has no tokens"), "{message}");
}
