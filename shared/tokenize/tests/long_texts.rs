//! Long texts are cut as by the tokenizers crate, and divided into windows without loss.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use embtune_model::{ModelDir, TokenizerSpec};
use embtune_tokenize::{Parts, Tokenizer, Windows};
use proptest::prelude::*;
use tokenizers::{TruncationParams, TruncationStrategy};

/// A byte-level BPE like those of RoBERTa and Qwen, in which a space is part of the following word.
const BYTE_LEVEL: &str = r#"{
  "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null, "decoder": null,
  "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
  "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
    {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}], "pair": [],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}, "</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}},
  "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
    "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": VOCAB, "merges": MERGES}
}"#;

fn byte_level() -> String {
    // Each byte has a printable character (OpenAI's table), which is the byte itself if it is printable.
    let printable = |byte: &u32| (33..=126).contains(byte) || (161..=172).contains(byte) || (174..=255).contains(byte);
    let others = (0..256_u32).filter(|byte| !printable(byte)).zip(256..).map(|(_, letter)| letter);
    let letters = (0..256_u32).filter(printable).chain(others).filter_map(char::from_u32).map(String::from);
    let merges = ["\u{120} t", "h e", "\u{120}t he", "i n", "e r", "\u{120} a"];
    let merged = merges.iter().map(|merge| merge.replace(' ', ""));
    let tokens = ["<s>".to_owned(), "</s>".to_owned()].into_iter().chain(letters).chain(merged);
    let vocab: Vec<String> = tokens.zip(0..).map(|(token, id)| format!("{token:?}: {id}")).collect();
    let vocab = format!("{{{}}}", vocab.join(","));
    let merges: Vec<String> = merges.iter().map(|merge| format!("{merge:?}")).collect();
    BYTE_LEVEL.replace("VOCAB", &vocab).replace("MERGES", &format!("[{}]", merges.join(",")))
}

/// All kinds of tokenizers: WordPiece, Unigram after Metaspace, byte-level BPE.
fn files() -> &'static [PathBuf] {
    static FILES: OnceLock<(Vec<PathBuf>, tempfile::TempDir)> = OnceLock::new();
    let make = || {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity");
        let folder = tempfile::tempdir().unwrap();
        let made = folder.path().join("tokenizer.json");
        fs::write(&made, byte_level()).unwrap();
        let fixtures = ["tiny-bert", "tiny-xlmr"].map(|name| fixtures.join(name).join("tokenizer.json"));
        (fixtures.into_iter().chain([made]).collect(), folder)
    };
    &FILES.get_or_init(make).0
}

fn open(file: &Path, max_length: usize) -> Tokenizer {
    Tokenizer::open(&TokenizerSpec::from_file(file), max_length, None, 1).unwrap()
}

/// Ids cut by the tokenizers crate.
fn reference(file: &Path, text: &str, max_length: usize) -> (Vec<u32>, bool) {
    let mut tokenizer = tokenizers::Tokenizer::from_file(file).unwrap();
    tokenizer.with_padding(None);
    let truncation =
        TruncationParams { max_length, strategy: TruncationStrategy::LongestFirst, ..TruncationParams::default() };
    tokenizer.with_truncation(Some(truncation)).unwrap();
    let encoding = tokenizer.encode(text, true).unwrap();
    (encoding.get_ids().to_vec(), !encoding.get_overflowing().is_empty())
}

/// Ids of a text without special tokens: all tokenizers here put one before and one after it.
fn bare(file: &Path, text: &str) -> Vec<u32> {
    let ids = reference(file, text, usize::MAX / 2).0;
    ids[1..ids.len() - 1].to_vec()
}

/// Words and separators of real texts.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => prop::sample::select(&["the", "lift", "cells", "aerodynamic", "in", "h\u{e4}il", "1957", "\u{130}stanbul"][..]),
        4 => Just(" "),
        1 => prop::sample::select(&[". ", ", ", "\n", "  ", "\n\n", "\t", "!", "\u{96e8}", "e\u{301}", "\u{1f600}", "\0", "</s>"][..]),
    ];
    prop::collection::vec(piece, 0..400).prop_map(|pieces| pieces.concat())
}

fn divide(tokenizer: &Tokenizer, head: &str, body: &str, overlap: usize) -> Windows {
    tokenizer.windows(&[Parts { head, body }], overlap).unwrap().remove(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The part of a text that is not tokenised does not matter.
    #[test]
    fn texts_are_cut_as_the_reference_cuts_them(text in texts(), max_length in 3_usize..40) {
        for file in files() {
            let tokens = open(file, max_length).encode(&[&text], "").unwrap().remove(0);
            prop_assert_eq!((tokens.ids, tokens.truncated), reference(file, &text, max_length));
        }
    }

    /// The windows without their overlaps are the whole text; each is full except the last.
    #[test]
    fn windows_hold_the_text(text in texts(), max_length in 5_usize..40, overlap in 0_usize..20) {
        for file in files() {
            let tokenizer = open(file, max_length);
            let overlap = overlap.min(tokenizer.most_overlap());
            let Windows { windows, head_truncated, tokens } = divide(&tokenizer, "", &text, overlap);
            let mut whole = Vec::new();
            for (number, window) in windows.iter().enumerate() {
                let is_last = number + 1 == windows.len();
                prop_assert!(window.ids.len() == max_length || is_last);
                prop_assert!(window.own + 2 == window.ids.len() && !head_truncated);
                let own = &window.ids[1..window.ids.len() - 1];
                whole.extend_from_slice(if number == 0 { own } else { &own[overlap..] });
                prop_assert!(number == 0 || own.len() > overlap, "a window without anything new");
                prop_assert!(text.get(window.span.clone()).is_some());
            }
            prop_assert_eq!(tokens, whole.len() + 2);
            prop_assert_eq!(whole, bare(file, &text));
        }
    }

    /// With a head, a text that fits is as it was; of one that does not, each window begins with the head.
    #[test]
    fn heads_stand_before_each_window(text in texts(), max_length in 12_usize..40) {
        for file in files() {
            let tokenizer = open(file, max_length);
            let head = "the lift: ";
            let Windows { windows, head_truncated, .. } = divide(&tokenizer, head, &text, 2);
            let whole = tokenizer.encode(&[&text], head).unwrap().remove(0);
            if !whole.truncated {
                prop_assert_eq!((windows.len(), &windows[0].ids), (1, &whole.ids));
            }
            for window in &windows[1..] {
                let head_and_special = window.ids.len() - window.own - 1;
                prop_assert_eq!(&window.ids[..head_and_special], &windows[0].ids[..head_and_special]);
                prop_assert!(head_truncated || head_and_special > 1);
                prop_assert!(window.own >= (max_length - 2) / 2 || Some(window) == windows.last());
            }
        }
    }
}

#[test]
fn texts_of_many_pieces_lose_nothing() {
    let corpus =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/pipeline/corpus.jsonl"));
    let text = corpus.unwrap().repeat(20);
    assert!(text.len() > 250_000, "{}", text.len());
    for file in files() {
        let tokenizer = open(file, 256);
        let windows = divide(&tokenizer, "", &text, 10).windows;
        let own = windows.iter().map(|window| &window.ids[1..window.ids.len() - 1]);
        let whole: Vec<u32> =
            own.enumerate().flat_map(|(n, own)| &own[if n == 0 { 0 } else { 10 }..]).copied().collect();
        assert!(whole == bare(file, &text), "{}", file.display());
        assert!(windows.windows(2).all(|pair| pair[1].span.start < pair[0].span.end), "spans overlap as windows do");
        assert!(windows[0].span.start == 0 && text[windows[windows.len() - 1].span.end..].trim().is_empty());
    }
}

/// Texts that are tokenised in pieces, with the difficulty of each.
fn long_texts() -> Vec<(&'static str, String)> {
    let han = "\u{4e0a}\u{4e0d}\u{591c}\u{96e8}\u{5b66}\u{5b69}\u{6821}\u{957f}";
    let cycle = |text: &str, step: usize, count: usize| -> String {
        let characters: Vec<char> = text.chars().collect();
        (0..count).map(|n| characters[(n * step + n / 7 + n * n % 11) % characters.len()]).collect()
    };
    let words = |count: usize| "The lift of thin cells, 1957. ".repeat(count);
    vec![
        ("no blanks", cycle(han, 3, 150_000)),
        ("punctuation instead of blanks", cycle(&format!("{han}\u{3002}\u{ff0c}"), 7, 150_000)),
        ("one letter", "a".repeat(500_001)),
        ("one letter, and words", format!("{} lift cells {}", "a".repeat(400_003), "b".repeat(200_000))),
        ("two letters in turn", "an".repeat(250_001)),
        ("a syllable", "hahaha".repeat(90_000) + "h"),
        ("one character of Han", "\u{591c}".repeat(170_000)),
        ("combining marks", format!("e{} lift", "\u{301}".repeat(300_000))),
        ("zero width", format!("the {} lift", "\u{200b}".repeat(200_000))),
        ("blanks", format!("the{}lift", " ".repeat(500_000))),
        ("line ends", format!("the{}lift", "\r\n".repeat(250_000))),
        ("digits", "1234567890".repeat(50_000)),
        ("nothing that shows, then words", format!("{}{}", "\u{200b}\t ".repeat(100_000), words(20_000))),
        ("words, then none", format!("{}{}", words(5), cycle(han, 5, 150_000))),
        ("unknown words", format!("{}. ", "\u{1f600}\u{4f60}x".repeat(40)).repeat(2_000)),
        ("marks between letters", "e\u{301}a\u{308}\u{304}".repeat(60_000)),
        ("special tokens", "lift</s>cells[SEP]".repeat(30_000)),
    ]
}

#[test]
fn long_texts_are_cut_as_the_reference_cuts_them() {
    let qwen = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity/tiny-qwen3/tokenizer.json");
    for (what, text) in long_texts() {
        for file in files().iter().chain([&qwen]) {
            let whole = reference(file, &text, usize::MAX / 2).0;
            // Qwen's puts one token after each text, and none before.
            let before = usize::from(*file != qwen);
            let (first, last) = (whole[..before].to_vec(), whole[whole.len() - 1]);
            let content = &whole[before..whole.len() - 1];
            for room in [1, 40, 500, 40_000] {
                let tokens = open(file, before + room + 1).encode(&[&text], "").unwrap().remove(0);
                let kept = &content[..room.min(content.len())];
                let expected = [&first[..], kept, &[last]].concat();
                assert_eq!(tokens.truncated, content.len() > room, "{what}, {room}: {}", file.display());
                assert!(tokens.ids == expected, "{what}, {room}: {}", file.display());
            }
        }
    }
}

/// All tokens come, and in their order, where nothing but the models' own way with endless words divides a word.
#[test]
fn long_texts_come_whole() {
    for (what, text) in long_texts() {
        for file in files() {
            let windows = divide(&open(file, 512), "", &text, 0).windows;
            let whole: Vec<u32> =
                windows.iter().flat_map(|window| &window.ids[1..window.ids.len() - 1]).copied().collect();
            let expected = bare(file, &text);
            let is_divided = whole != expected;
            let by = (0..).zip(whole.iter().zip(&expected)).find(|(_, (a, b))| a != b);
            let is_word_piece = file.ends_with("tiny-bert/tokenizer.json");
            assert!(!is_divided || !is_word_piece, "{what}: {by:?}");
            // A token may be divided once in 256 kB.
            assert!(whole.len().abs_diff(expected.len()) <= 8, "{what}: {} for {}", whole.len(), expected.len());
            assert!(windows.iter().all(|window| text.get(window.span.clone()).is_some()));
        }
    }
}

#[test]
fn a_text_without_blanks_is_divided_too() {
    let text = "\u{96e8}\u{591c}".repeat(200_000);
    for file in files() {
        let windows = divide(&open(file, 512), "", &text, 0).windows;
        assert!(windows.len() > 500 || file.ends_with("tiny-xlmr/tokenizer.json"), "{}", windows.len());
        assert!(windows.windows(2).all(|pair| pair[0].span.end <= pair[1].span.start + 3));
    }
}

#[test]
fn a_head_takes_half_of_a_window_at_most() {
    let tokenizer = open(&files()[0], 20);
    let Windows { windows, head_truncated, .. } = divide(&tokenizer, &"lift ".repeat(40), &"cells ".repeat(40), 0);
    assert!(head_truncated && windows.iter().all(|window| window.own <= 9));
    assert_eq!(windows[0].ids.len(), 20);
    // A head without a body is a text like any other.
    let Windows { windows, head_truncated, .. } = divide(&tokenizer, "lift cells ", "", 0);
    assert_eq!((windows.len(), windows[0].own, windows[0].span.clone(), head_truncated), (1, 0, 0..0, false));
}

#[test]
fn spans_are_those_of_the_text_before_it_is_put_into_lower_case() {
    let body = "\u{130}\u{130} lift \u{130} cells";
    let (folder, fixture) = (tempfile::tempdir().unwrap(), files()[0].parent().unwrap());
    for entry in fs::read_dir(fixture).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    fs::remove_file(folder.path().join("modules.json")).unwrap();
    fs::write(folder.path().join("sentence_bert_config.json"), r#"{"do_lower_case": true}"#).unwrap();
    let model = ModelDir::open(folder.path()).unwrap();
    let tokenizer = Tokenizer::open(model.tokenizer(), 64, None, 1).unwrap();
    let whole = divide(&tokenizer, "", body, 0).windows.remove(0);
    assert_eq!(whole.span, 0..body.len());
    let ids = tokenizer.encode(&[body], "").unwrap().remove(0).ids;
    assert_eq!(whole.ids, ids);
    let narrow = Tokenizer::open(model.tokenizer(), 4, None, 1).unwrap();
    for window in divide(&narrow, "", body, 0).windows {
        assert!(!body[window.span].is_empty());
    }
}
