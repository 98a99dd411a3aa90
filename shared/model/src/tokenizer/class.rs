//! The tokenizer's class, and what transformers builds around the vocabulary for it.

use serde_json::{Map, Value, json};

use super::config::TokenizerConfig;
use super::file::{TokenizerFile, precompiled};

/// A tokenizer class of transformers, see `transformers/models/*/tokenization_*.py`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenizerClass {
    /// BERT's WordPiece.
    Bert,
    /// The same with RoBERTa's special tokens.
    MpNet,
    /// Byte-level BPE.
    Roberta,
    /// Unigram over words that begin with a space mark.
    XlmRoberta,
    /// Byte-level BPE over pieces that a regular expression splits.
    Qwen2,
    /// A class that uses `tokenizer.json` unchanged.
    Unchanged,
    /// A class that applies `do_lower_case` by code that embtune does not have.
    UnsupportedCase,
}

/// Families whose files name a wrong class: transformers uses `tokenizer.json` unchanged.
const UNCHANGED_FAMILIES: [&str; 1] = ["modernbert"];

/// Classes with a setting for lower case that embtune does not implement.
#[rustfmt::skip]
const UNSUPPORTED_CASE: [&str; 10] = [
    "AlbertTokenizer", "BertJapaneseTokenizer", "BigBirdTokenizer", "DebertaV2Tokenizer", "FunnelTokenizer",
    "HerbertTokenizer", "LayoutLMv2Tokenizer", "RoFormerTokenizer", "SplinterTokenizer", "XLNetTokenizer",
];

/// How Qwen2's class splits text: contractions, words, single digits, punctuation, line ends, spaces.
const QWEN2_PATTERN: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

impl TokenizerClass {
    /// The class that transformers takes for a tokenizer with this `tokenizer_class`, in a directory with this
    /// `config.json`.
    pub(super) fn new(name: Option<&str>, config: &Value) -> Self {
        let text = |key: &str| config.get(key).and_then(Value::as_str);
        let family = text("model_type").unwrap_or_default();
        if UNCHANGED_FAMILIES.contains(&family) {
            return Self::Unchanged;
        }
        match name.or(text("tokenizer_class")) {
            Some(name) => Self::from_name(name),
            None => match family {
                "bert" | "distilbert" | "electra" | "nomic_bert" => Self::Bert,
                "mpnet" => Self::MpNet,
                "roberta" => Self::Roberta,
                "xlm-roberta" => Self::XlmRoberta,
                "qwen3" => Self::Qwen2,
                _ => Self::Unchanged,
            },
        }
    }

    fn from_name(name: &str) -> Self {
        match name.strip_suffix("Fast").unwrap_or(name) {
            "BertTokenizer"
            | "ConvBertTokenizer"
            | "DistilBertTokenizer"
            | "DPRContextEncoderTokenizer"
            | "DPRQuestionEncoderTokenizer"
            | "ElectraTokenizer"
            | "LayoutLMTokenizer"
            | "MobileBertTokenizer"
            | "SqueezeBertTokenizer" => Self::Bert,
            "MPNetTokenizer" => Self::MpNet,
            "BartTokenizer" | "LongformerTokenizer" | "RobertaTokenizer" => Self::Roberta,
            "XLMRobertaTokenizer" => Self::XlmRoberta,
            "Qwen2Tokenizer" => Self::Qwen2,
            other if UNSUPPORTED_CASE.contains(&other) => Self::UnsupportedCase,
            _ => Self::Unchanged,
        }
    }

    /// Whether the class takes only the vocabulary from `tokenizer.json`.
    pub(super) fn takes_vocabulary_only(self) -> bool {
        !matches!(self, Self::Unchanged | Self::UnsupportedCase)
    }

    /// The default special tokens of the class, by their roles.
    pub(super) fn default_special_tokens(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Bert => &[
                ("unk_token", "[UNK]"),
                ("sep_token", "[SEP]"),
                ("pad_token", "[PAD]"),
                ("cls_token", "[CLS]"),
                ("mask_token", "[MASK]"),
            ],
            Self::MpNet => &[
                ("bos_token", "<s>"),
                ("eos_token", "</s>"),
                ("unk_token", "[UNK]"),
                ("sep_token", "</s>"),
                ("pad_token", "<pad>"),
                ("cls_token", "<s>"),
                ("mask_token", "<mask>"),
            ],
            Self::Roberta | Self::XlmRoberta => &[
                ("bos_token", "<s>"),
                ("eos_token", "</s>"),
                ("unk_token", "<unk>"),
                ("sep_token", "</s>"),
                ("pad_token", "<pad>"),
                ("cls_token", "<s>"),
                ("mask_token", "<mask>"),
            ],
            Self::Qwen2 => &[("eos_token", "<|endoftext|>"), ("pad_token", "<|endoftext|>")],
            Self::Unchanged | Self::UnsupportedCase => &[],
        }
    }

    /// Adds to `overrides` the parts that the class builds differently from `file`.
    pub(super) fn override_parts(
        self,
        config: &TokenizerConfig,
        file: &TokenizerFile,
        overrides: &mut Map<String, Value>,
    ) -> Result<(), String> {
        if self == Self::UnsupportedCase {
            return check_case(config, &file.normalizer);
        }
        let Some(built) = self.build(config, file)? else { return Ok(()) };
        for (key, new, old) in [
            ("normalizer", built.normalizer, &file.normalizer),
            ("pre_tokenizer", built.pre_tokenizer, &file.pre_tokenizer),
        ] {
            if normalized(&new) != normalized(old) {
                overrides.insert(key.into(), new);
            }
        }
        // An absent key, null, an empty affix and false are equivalent.
        let is_default =
            |value: Option<&Value>| value.is_none_or(|value| value.is_null() || *value == "" || *value == false);
        let differs = |(key, new): &(&str, Value)| {
            let old = file.model.rest.get(*key);
            old != Some(new) && !(is_default(old) && is_default(Some(new)))
        };
        let model: Map<String, Value> =
            built.model.into_iter().filter(differs).map(|(key, new)| (key.to_owned(), new)).collect();
        if !model.is_empty() {
            overrides.insert("model".into(), model.into());
        }
        Ok(())
    }

    /// The tokenizer that the class builds around the vocabulary; `None` if it uses the file unchanged.
    fn build(self, config: &TokenizerConfig, file: &TokenizerFile) -> Result<Option<Built>, String> {
        let kind = match self {
            Self::Bert | Self::MpNet => "WordPiece",
            Self::Roberta | Self::Qwen2 => "BPE",
            Self::XlmRoberta => "Unigram",
            Self::Unchanged | Self::UnsupportedCase => return Ok(None),
        };
        // Old versions do not write the type.
        if let Some(found) = file.model.r#type.as_deref().filter(|found| *found != kind) {
            let class = config.class.as_deref().unwrap_or("of this architecture");
            return Err(format!("tokenizer_class {class} is a {kind} model, but tokenizer.json holds a {found} model"));
        }
        let prefix_space = |default| config.add_prefix_space.unwrap_or(default);
        let byte_level = |use_regex: bool| {
            let add_prefix_space = prefix_space(false);
            json!({"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": true, "use_regex": use_regex})
        };
        let bpe = || ["fuse_unk", "byte_fallback", "ignore_merges"].map(|key| (key, json!(false))).into();
        Ok(Some(match self {
            Self::Roberta => Built { normalizer: Value::Null, pre_tokenizer: byte_level(true), model: bpe() },
            Self::Qwen2 => Built {
                normalizer: json!({"type": "NFC"}),
                pre_tokenizer: json!({"type": "Sequence", "pretokenizers": [
                    {"type": "Split", "pattern": {"Regex": QWEN2_PATTERN}, "behavior": "Isolated", "invert": false},
                    byte_level(false),
                ]}),
                model: bpe(),
            },
            Self::XlmRoberta => Built {
                normalizer: precompiled(&file.normalizer).cloned().unwrap_or_default(),
                pre_tokenizer: json!({"type": "Sequence", "pretokenizers": [
                    {"type": "WhitespaceSplit"},
                    {
                        "type": "Metaspace",
                        "replacement": "\u{2581}",
                        "prepend_scheme": if prefix_space(true) { "always" } else { "never" },
                        "split": true,
                    },
                ]}),
                model: vec![("unk_id", json!(3)), ("byte_fallback", json!(false))],
            },
            _ => Built {
                normalizer: json!({
                    "type": "BertNormalizer",
                    "clean_text": true,
                    "handle_chinese_chars": config.tokenize_chinese_chars.unwrap_or(true),
                    "strip_accents": config.strip_accents,
                    "lowercase": config.do_lower_case.unwrap_or(true),
                }),
                pre_tokenizer: json!({"type": "BertPreTokenizer"}),
                model: vec![
                    ("unk_token", json!(config.special("unk_token", "[UNK]"))),
                    ("continuing_subword_prefix", json!("##")),
                    ("max_input_chars_per_word", json!(100)),
                ],
            },
        }))
    }
}

/// The parts that a class builds.
struct Built {
    normalizer: Value,
    pre_tokenizer: Value,
    model: Vec<(&'static str, Value)>,
}

/// A part in a form that can be compared: without keys that do not affect ids, and with older names replaced.
fn normalized(part: &Value) -> Value {
    let Some(object) = part.as_object() else {
        return part.as_array().map_or_else(|| part.clone(), |list| list.iter().map(normalized).collect());
    };
    let mut object: Map<String, Value> = object.iter().map(|(key, value)| (key.clone(), normalized(value))).collect();
    object.remove("trim_offsets");
    object.remove("str_rep");
    if object.get("type").is_some_and(|kind| kind == "Metaspace") {
        if let Some(adds) = object.remove("add_prefix_space") {
            let scheme = if adds == false { "never" } else { "always" };
            object.entry("prepend_scheme").or_insert_with(|| scheme.into());
        }
        object.entry("split").or_insert(true.into());
    }
    object.into()
}

/// Refuses a `do_lower_case` that contradicts `tokenizer.json`.
fn check_case(config: &TokenizerConfig, normalizer: &Value) -> Result<(), String> {
    let lowers = |step: &Value| {
        step.get("type").is_some_and(|kind| kind == "Lowercase") || step.get("lowercase").is_some_and(|on| *on == true)
    };
    let steps = normalizer.get("normalizers").and_then(Value::as_array);
    let in_file = steps.map_or_else(|| lowers(normalizer), |steps| steps.iter().any(lowers));
    match config.do_lower_case.filter(|setting| *setting != in_file) {
        Some(setting) => Err(format!(
            "do_lower_case {setting} contradicts tokenizer.json, and is not supported for {}",
            config.class.as_deref().unwrap_or("this tokenizer")
        )),
        None => Ok(()),
    }
}
