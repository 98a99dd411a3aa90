//! What transformers builds around a vocabulary, by the class of the tokenizer.

use serde_json::{Map, Value, json};

use super::Parts;
use super::settings::Settings;

/// A class that builds a tokenizer's parts itself, in `transformers/models/*/tokenization_*.py`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// WordPiece, as BERT has it.
    Bert,
    /// The same with RoBERTa's special tokens.
    MpNet,
    /// Byte-level BPE.
    Roberta,
    /// Unigram over words that are marked with a leading blank.
    XlmRoberta,
    /// Byte-level BPE over pieces that an expression cuts.
    Qwen2,
    /// `tokenizer.json` is taken as it is.
    AsItIs,
    /// A class that reads `do_lower_case` in a way of its own.
    OtherCase,
}

/// Families whose classes are known to be named wrongly: `tokenizer.json` is taken as it is.
const AS_IT_IS: [&str; 1] = ["modernbert"];

/// Classes that put text into lower case by a setting, and that embtune does not build.
const OTHER_CASE: [&str; 10] = [
    "AlbertTokenizer",
    "BertJapaneseTokenizer",
    "BigBirdTokenizer",
    "DebertaV2Tokenizer",
    "FunnelTokenizer",
    "HerbertTokenizer",
    "LayoutLMv2Tokenizer",
    "RoFormerTokenizer",
    "SplinterTokenizer",
    "XLNetTokenizer",
];

/// How Qwen2's class divides text: contractions, words, digits one by one, punctuation, line ends, blanks.
const QWEN2_PATTERN: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

impl Class {
    /// The class that is taken for a tokenizer of this name, in a directory with this `config.json`.
    pub(super) fn of(name: Option<&str>, config: &Value) -> Self {
        let text = |key: &str| config.get(key).and_then(Value::as_str);
        let family = text("model_type").unwrap_or_default();
        if AS_IT_IS.contains(&family) {
            return Self::AsItIs;
        }
        match name.or(text("tokenizer_class")) {
            Some(name) => Self::named(name),
            None => match family {
                "bert" | "distilbert" | "electra" | "nomic_bert" => Self::Bert,
                "mpnet" => Self::MpNet,
                "roberta" => Self::Roberta,
                "xlm-roberta" => Self::XlmRoberta,
                "qwen3" => Self::Qwen2,
                _ => Self::AsItIs,
            },
        }
    }

    fn named(name: &str) -> Self {
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
            other if OTHER_CASE.contains(&other) => Self::OtherCase,
            _ => Self::AsItIs,
        }
    }

    /// Whether only the vocabulary of `tokenizer.json` is taken.
    pub(super) fn builds(self) -> bool {
        !matches!(self, Self::AsItIs | Self::OtherCase)
    }

    /// Special tokens that the class has where nothing names others.
    pub(super) fn special(self) -> &'static [(&'static str, &'static str)] {
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
            Self::AsItIs | Self::OtherCase => &[],
        }
    }

    /// Adds what the class builds otherwise than `parts` say.
    pub(super) fn change(
        self,
        settings: &Settings,
        parts: &Parts,
        changes: &mut Map<String, Value>,
    ) -> Result<(), String> {
        if self == Self::OtherCase {
            return check_case(settings, &parts.normalizer);
        }
        let Some(built) = self.build(settings, parts)? else { return Ok(()) };
        for (key, new, old) in [
            ("normalizer", built.normalizer, &parts.normalizer),
            ("pre_tokenizer", built.pre_tokenizer, &parts.pre_tokenizer),
        ] {
            if essence(&new) != essence(old) {
                changes.insert(key.into(), new);
            }
        }
        // A key that is absent says nothing, nor does an empty affix.
        let says_nothing =
            |value: Option<&Value>| value.is_none_or(|value| value.is_null() || *value == "" || *value == false);
        let differs = |(key, new): &(&str, Value)| {
            let old = parts.model.rest.get(*key);
            old != Some(new) && !(says_nothing(old) && says_nothing(Some(new)))
        };
        let model: Map<String, Value> =
            built.model.into_iter().filter(differs).map(|(key, new)| (key.to_owned(), new)).collect();
        if !model.is_empty() {
            changes.insert("model".into(), model.into());
        }
        Ok(())
    }

    /// The parts around the vocabulary.
    fn build(self, settings: &Settings, parts: &Parts) -> Result<Option<Built>, String> {
        let kind = match self {
            Self::Bert | Self::MpNet => "WordPiece",
            Self::Roberta | Self::Qwen2 => "BPE",
            Self::XlmRoberta => "Unigram",
            Self::AsItIs | Self::OtherCase => return Ok(None),
        };
        // Files of old versions do not name it.
        if let Some(found) = parts.model.r#type.as_deref().filter(|found| *found != kind) {
            let class = settings.class.as_deref().unwrap_or("of this architecture");
            return Err(format!("tokenizer_class {class} is a {kind} model, but tokenizer.json holds a {found} model"));
        }
        let prefix_space = |default| settings.add_prefix_space.unwrap_or(default);
        let byte_level = |use_regex: bool| {
            let adds = prefix_space(false);
            json!({"type": "ByteLevel", "add_prefix_space": adds, "trim_offsets": true, "use_regex": use_regex})
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
                normalizer: precompiled(&parts.normalizer).cloned().unwrap_or_default(),
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
                    "handle_chinese_chars": settings.tokenize_chinese_chars.unwrap_or(true),
                    "strip_accents": settings.strip_accents,
                    "lowercase": settings.do_lower_case.unwrap_or(true),
                }),
                pre_tokenizer: json!({"type": "BertPreTokenizer"}),
                model: vec![
                    ("unk_token", json!(settings.special("unk_token", "[UNK]"))),
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

/// The table of characters that a sentencepiece model brings along, alone or among other steps.
pub(super) fn precompiled(normalizer: &Value) -> Option<&Value> {
    let is_one = |step: &&Value| step.get("type").is_some_and(|kind| kind == "Precompiled");
    Some(normalizer).filter(is_one).or_else(|| normalizer.get("normalizers")?.as_array()?.iter().find(is_one))
}

/// A part without what does not change ids: older names, and where a token's text begins and ends.
fn essence(part: &Value) -> Value {
    let Some(object) = part.as_object() else {
        return part.as_array().map_or_else(|| part.clone(), |list| list.iter().map(essence).collect());
    };
    let mut object: Map<String, Value> = object.iter().map(|(key, value)| (key.clone(), essence(value))).collect();
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

/// Refuses a `do_lower_case` that is not what `tokenizer.json` does.
fn check_case(settings: &Settings, normalizer: &Value) -> Result<(), String> {
    let lowers = |step: &Value| {
        step.get("type").is_some_and(|kind| kind == "Lowercase") || step.get("lowercase").is_some_and(|on| *on == true)
    };
    let steps = normalizer.get("normalizers").and_then(Value::as_array);
    let does = steps.map_or_else(|| lowers(normalizer), |steps| steps.iter().any(lowers));
    match settings.do_lower_case.filter(|says| *says != does) {
        Some(says) => Err(format!(
            "do_lower_case {says} is not what tokenizer.json does, and is not supported for {}",
            settings.class.as_deref().unwrap_or("this tokenizer")
        )),
        None => Ok(()),
    }
}
