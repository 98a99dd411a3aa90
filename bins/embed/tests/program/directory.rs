//! Model directories, and the files that a run leaves in its folder.

use std::fs;

use embtune_tests::{Folder, Run};
use serde_json::{Value, json};

use crate::support::{vector, vectors};

/// Runs embed without a role.
fn embed(folder: &Folder, flags: &str) -> Run {
    folder.run(&format!("embed --device cpu --model BASE {flags} corpus.jsonl"))
}

#[test]
fn the_default_prompt_is_used_without_a_role_and_reported() {
    let folder = Folder::with_corpus("tiny-bert");
    let config = r#"{"prompts": {"a": "Represent this: ", "query": null}, "default_prompt_name": "a"}"#;
    folder.write("BASE/config_sentence_transformers.json", config);
    let ran = embed(&folder, "-o default.safetensors").ran().with_code(0);
    let _ = ran.saying("no --role is given: the model's default prompt, \"a\", is put before each text");
    embed(&folder, "--verify default.safetensors --min-cosine 0.999999").arg("--prompt").arg("Represent this: ").done();
    // The default prompt does not apply to a role without a prompt.
    embed(&folder, "--role query -o query.safetensors").done();
    embed(&folder, "--prompt= --verify query.safetensors --min-cosine 0.999999").done();
    folder.write("BASE/config_sentence_transformers.json", r#"{"default_prompt_name": "b"}"#);
    let message = embed(&folder, "").refusal();
    assert!(
        message.contains("BASE/config_sentence_transformers.json: default_prompt_name \"b\" is not one of its prompts")
    );
}

#[test]
fn a_guessed_pooling_is_a_warning() {
    let folder = Folder::with_corpus("tiny-xlmr");
    fs::remove_dir_all(folder.path("BASE/1_Pooling")).unwrap();
    fs::remove_file(folder.path("BASE/modules.json")).unwrap();
    let ran = embed(&folder, "--role document").ran().with_code(0);
    let _ =
        ran.saying("warning: BASE: no modules.json: the pooling is guessed to be mean, because no file says otherwise");
}

#[test]
fn a_token_without_a_word_embedding_is_reported_with_its_text() {
    let folder = Folder::with_corpus("tiny-modernbert");
    let mut tokenizer: Value = serde_json::from_str(&folder.read("BASE/tokenizer.json")).unwrap();
    let flags = json!({"single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    let mut token = json!({"id": 400, "content": "<new>"});
    token.as_object_mut().unwrap().extend(flags.as_object().unwrap().clone());
    tokenizer["added_tokens"].as_array_mut().unwrap().push(token);
    folder.write("BASE/tokenizer.json", tokenizer.to_string());
    assert_eq!(vectors(&folder, "corpus.jsonl").len(), 40, "no text contains the token");
    for flags in ["", "--on-long chunk"] {
        let line = format!("embed --device cpu --model BASE --role document --text {flags}");
        let message = folder.run(&line).stdin("a harbour\nthe <new> tide\n").refusal();
        let expected = "token \"<new>\" has the id 400, but the model has 400 word embeddings; it is in the text \"the <new> tide\"";
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_text_without_tokens_has_a_vector_of_zeros() {
    let folder = Folder::with_corpus("tiny-qwen3");
    let mut tokenizer: Value = serde_json::from_str(&folder.read("BASE/tokenizer.json")).unwrap();
    tokenizer["post_processor"] = Value::Null;
    folder.write("BASE/tokenizer.json", tokenizer.to_string());
    for flags in ["", "--on-long chunk"] {
        let line = format!("embed --device cpu --model BASE --role document {flags}");
        let records = folder.run(&line).stdin("{\"_id\":1,\"text\":\"\"}\n{\"_id\":2,\"text\":\"tide\"}\n").records();
        let zeros = |index: usize| vector(&records[index]).iter().all(|x| *x == 0.0);
        assert!(zeros(0) && !zeros(1));
    }
}

/// ONNX Runtime's telemetry would write files into the home directory and into /tmp.
#[test]
fn a_run_leaves_nothing_but_its_output() {
    let folder = Folder::with_corpus("tiny-bert");
    for name in ["home", "cache", "tmp"] {
        std::fs::create_dir(folder.path(name)).unwrap();
    }
    let script = "\
        export HOME=$PWD/home XDG_CACHE_HOME=$PWD/cache TMPDIR=$PWD/tmp
        embed --device cpu --model BASE --role document corpus.jsonl -o v & wait $!
        find home cache tmp -mindepth 1
        ls /tmp/mat-debug-$!.log 2>/dev/null || true";
    assert_eq!(folder.shell(script).stdout(), "");
    assert!(folder.path("v").is_file());
}
