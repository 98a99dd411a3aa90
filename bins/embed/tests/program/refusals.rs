//! Flags and inputs that are refused, and outputs that fail.

use embtune_tests::Folder;

use crate::support::embed;

#[test]
fn flags_that_contradict_each_other() {
    let folder = Folder::with_corpus("tiny-bert");
    for (flags, expected) in [
        ("--field text --text", "cannot be used with"),
        ("--null", "--text"),
        ("--dtype bf16 -o v.npy", "npy has no bf16"),
        ("--dtype int4", "possible values: f32, f16, bf16, int8, ubinary"),
        ("--on-long shorten", "possible values: truncate, error, chunk"),
    ] {
        let message = embed(&folder, &format!("{flags} corpus.jsonl")).refusal();
        assert!(message.contains(expected), "{flags}: {message}");
    }
}

#[test]
fn outputs_that_fail() {
    let folder = Folder::with_corpus("tiny-bert");
    for flags in
        ["--dtype int8 --format safetensors", "--dtype ubinary --format npy", "--on-long chunk --chunks separate"]
    {
        let flags = format!("{flags} --max-seq-length 20 corpus.jsonl");
        let full = embed(&folder, &flags).to_full_disk().ran().with_code(2);
        let _ = full.saying("No space left on device");
        let _ = embed(&folder, &flags).to_closed_pipe().done();
    }
}

#[test]
fn duplicate_ids_are_refused_in_files() {
    let folder = Folder::with_corpus("tiny-bert");
    let double = "{\"id\":1,\"text\":\"a\"}\n\n{\"id\":\"1\",\"text\":\"b\"}\n";
    for dtype in ["f32", "int8", "ubinary"] {
        let message = embed(&folder, &format!("--dtype {dtype} -o v")).stdin(double).refusal();
        assert!(message.contains("<stdin>:3: duplicate id \"1\": another text has it at <stdin>:1"), "{message}");
    }
    // If there are several inputs, both are named.
    folder.write("one", "{\"id\":1,\"text\":\"a\"}\n{\"id\":2,\"text\":\"a\"}\n");
    folder.write("two", "{\"id\":1,\"text\":\"a\"}\n{\"id\":2,\"title\":\"t\",\"text\":\"a\"}\n");
    let message = embed(&folder, "-o v one two").refusal();
    assert!(message.contains("two:2: duplicate id \"2\": another text has it at one:2"), "{message}");
    assert_eq!(embed(&folder, "").stdin(double).records().len(), 2);
}

#[test]
fn texts_of_any_bytes_are_divided_or_refused() {
    let folder = Folder::with_corpus("tiny-xlmr");
    let flags = "--max-seq-length 8 --on-long chunk --chunks separate --on-error skip";
    let lines: [&[u8]; 6] = [
        br#"{"id":1,"text":"\u0000\u0000 \u0000"}"#,
        b"{\"id\":2,\"text\":\"\xff\"}",
        br#"{"id":3,"text":"e\u0301\u0301\u0301 \ud83d\ude00\ud83d\ude00\u200d\u96e8\u96e8\u96e8\u96e8\u96e8\u96e8\u96e8"}"#,
        br#"{"id":4,"text":"   \n\t   "}"#,
        br#"{"id":5,"text":""}"#,
        br#"{"id":6,"text":"\ud83d"}"#,
    ];
    let ran = embed(&folder, flags).stdin(lines.join(&b'\n')).ran().with_code(1);
    let ran = ran.saying("<stdin>:2: not UTF-8").saying("<stdin>:6: not JSON").saying("2 records skipped");
    let out = ran.stdout();
    for id in ["\"id\":1,", "\"id\":4,", "\"id\":5,"] {
        assert!(out.contains(id), "{out}");
    }
}

#[test]
fn a_prompt_that_leaves_no_room_for_a_text() {
    let folder = Folder::with_corpus("tiny-bert");
    let prompt = "the lift cells of a barge ".repeat(60);
    let message = embed(&folder, "corpus.jsonl").arg("--prompt").arg(&prompt).refusal();
    assert!(message.contains("the prompt fills the ") && message.contains("\nhint: shorten it"), "{message}");
}
