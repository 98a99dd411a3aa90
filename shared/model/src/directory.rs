//! A model directory as a whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::encoder::Refusal;
use crate::modules::Head;
use crate::{
    AnyEncoder, Dense, DenseWeights, EncoderConfig, ModelError, OnnxEncoder, Parameter, Pooling, Weights, fingerprint,
    json,
};

/// Heads for other uses of the encoder (bge-m3's), which sentence-transformers does not read.
const OTHER_HEADS: [&str; 2] = ["colbert_linear.pt", "sparse_linear.pt"];

const TOKENIZER: &str = "tokenizer.json";

/// Weights, the form that is preferred first.
pub(crate) const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// Lists of several files that hold the weights together.
const SHARDED: [&str; 2] = ["model.safetensors.index.json", "pytorch_model.bin.index.json"];

/// What a text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A search query.
    Query,
    /// A document that is searched.
    Document,
}

impl Role {
    /// Names of its prompt, the preferred one first.
    fn prompt_names(self) -> &'static [&'static str] {
        match self {
            Self::Query => &["query"],
            Self::Document => &["document", "passage", "corpus"],
        }
    }
}

/// How a directory's model turns a text into a vector; `E` is its encoder.
#[derive(Debug, Clone)]
pub struct ModelDir<E = EncoderConfig> {
    root: PathBuf,
    encoder: E,
    head: Head,
    prompts: BTreeMap<String, String>,
    max_seq_length: usize,
    do_lower_case: bool,
    /// Files of the encoder, relative to the root.
    weights: Vec<PathBuf>,
    /// The weights of each Dense module, relative to the root.
    dense_weights: Vec<PathBuf>,
}

/// A directory whose encoder embtune computes itself, or through an ONNX file of the directory.
pub type AnyModelDir = ModelDir<AnyEncoder>;

#[derive(Deserialize, Default)]
struct RawTransformer {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

#[derive(Deserialize, Default)]
struct RawSentenceTransformers {
    #[serde(default)]
    prompts: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
struct RawTokenizer {
    /// Some writers put 1e30 for "no limit".
    model_max_length: Option<f64>,
}

impl ModelDir {
    /// Reads the configuration of a directory whose encoder embtune knows; weights and tokenizer are only looked for.
    ///
    /// # Errors
    /// A file that is missing or damaged, a model that embtune does not know.
    pub fn open(root: &Path) -> Result<Self, ModelError> {
        let model = AnyModelDir::open_any(root)?;
        match &model.encoder {
            AnyEncoder::Known(config) => Ok(model.with_encoder(config.clone())),
            AnyEncoder::Onnx(file) => Err(ModelError::Unsupported {
                directory: root.display().to_string(),
                what: format!("{}\nhint: only embed runs such a model, through its {}", file.why, file.name()),
            }),
        }
    }

    /// The encoder.
    pub fn config(&self) -> &EncoderConfig {
        &self.encoder
    }

    /// Elements of a text's vector.
    pub fn dimension(&self) -> usize {
        self.dense().last().map_or(self.encoder.hidden_size(), |dense| dense.out_features)
    }

    /// Every tensor that makes a text's vector: the encoder's, then those of [`ModelDir::dense`].
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut parameters = self.encoder.parameters();
        parameters.extend(self.dense().iter().flat_map(Dense::parameters));
        parameters
    }

    /// The encoder's weights: `model.safetensors`, or where there is none `pytorch_model.bin`.
    pub fn weights_file(&self) -> PathBuf {
        self.weights.first().map_or_else(PathBuf::new, |file| self.root.join(file))
    }

    /// Maps the weights and checks their shapes.
    ///
    /// # Errors
    /// A damaged file, a tensor that is missing or has another shape.
    pub fn weights(&self) -> Result<Weights, ModelError> {
        Weights::open(self)
    }
}

impl AnyModelDir {
    /// Reads a directory's configuration; weights and tokenizer are only looked for. An encoder that embtune does not
    /// know, or whose weights it cannot read, is the directory's ONNX file, if there is one.
    ///
    /// # Errors
    /// A file that is missing or damaged, a model that embtune can neither compute nor run.
    pub fn open_any(root: &Path) -> Result<Self, ModelError> {
        if !root.is_dir() {
            return Err(ModelError::content(root, "no such model directory"));
        }
        let config_file = root.join("config.json");
        let json: Value = json::read(&config_file)?;
        let encoder = match EncoderConfig::from_json(&json) {
            Ok(config) => find_weights(root, Path::new("")).map(|weights| (AnyEncoder::Known(config), vec![weights])),
            Err(Refusal::Content(what)) => return Err(ModelError::content(&config_file, what)),
            Err(Refusal::Unsupported(what)) => {
                Err(ModelError::Unsupported { directory: root.display().to_string(), what })
            }
        };
        let (encoder, weights) = match encoder {
            Ok(known) => known,
            Err(error) => {
                let onnx = OnnxEncoder::find(root, &json, error)?;
                (AnyEncoder::Onnx(onnx.encoder), onnx.files)
            }
        };
        let transformer: RawTransformer =
            json::read_optional(&root.join("sentence_bert_config.json"))?.unwrap_or_default();
        let tokenizer: RawTokenizer = json::read_optional(&root.join("tokenizer_config.json"))?.unwrap_or_default();
        let prompts: RawSentenceTransformers =
            json::read_optional(&root.join("config_sentence_transformers.json"))?.unwrap_or_default();
        let limit = transformer.max_seq_length.or(tokenizer.model_max_length.map(|length| length as usize));
        let tokenizer_file = root.join(TOKENIZER);
        std::fs::metadata(&tokenizer_file).map_err(|error| ModelError::io(&tokenizer_file, error))?;
        // Of a file only the modules know what it gives.
        let hidden_size = match &encoder {
            AnyEncoder::Known(config) => Some(config.hidden_size()),
            AnyEncoder::Onnx(_) => None,
        };
        let head = Head::read(root, hidden_size)?;
        let dense_weights: Result<_, ModelError> =
            head.dense.iter().map(|dense| find_weights(root, &dense.path)).collect();
        Ok(Self {
            head,
            weights,
            dense_weights: dense_weights?,
            max_seq_length: limit.unwrap_or(usize::MAX).clamp(1, encoder.max_length()),
            do_lower_case: transformer.do_lower_case,
            prompts: prompts.prompts,
            root: root.to_owned(),
            encoder,
        })
    }

    /// The encoder.
    pub fn encoder(&self) -> &AnyEncoder {
        &self.encoder
    }
}

impl<E> ModelDir<E> {
    /// The same directory, seen as one of another encoder.
    pub fn with_encoder<F>(&self, encoder: F) -> ModelDir<F> {
        ModelDir {
            root: self.root.clone(),
            encoder,
            head: self.head.clone(),
            prompts: self.prompts.clone(),
            max_seq_length: self.max_seq_length,
            do_lower_case: self.do_lower_case,
            weights: self.weights.clone(),
            dense_weights: self.dense_weights.clone(),
        }
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// How token vectors become one vector.
    pub fn pooling(&self) -> Pooling {
        self.head.pooling
    }

    /// Linear layers between pooling and normalisation, in their order.
    pub fn dense(&self) -> &[Dense] {
        &self.head.dense
    }

    /// Files of heads that belong to the encoder, but make no part of a text's vector: a training leaves them as they
    /// are, and after it they no longer fit the encoder. [`crate::save`] copies them.
    pub fn other_heads(&self) -> Vec<&'static str> {
        OTHER_HEADS.into_iter().filter(|name| self.root.join(name).is_file()).collect()
    }

    /// Whether `modules.json` says what follows the encoder.
    pub fn has_modules(&self) -> bool {
        !self.head.files.is_empty()
    }

    /// Elements of a hidden state, where the modules behind the encoder say it.
    pub fn pooled_size(&self) -> Option<usize> {
        self.dense().first().map(|dense| dense.in_features).or(self.head.pooled_size)
    }

    /// Maps the weights of [`ModelDir::dense`] and checks their shapes.
    ///
    /// # Errors
    /// A damaged file, a tensor that is missing or has another shape.
    pub fn dense_weights(&self) -> Result<DenseWeights, ModelError> {
        DenseWeights::open(self.dense(), self.dense_weights.iter().map(|file| self.root.join(file)))
    }

    /// Whether the model itself makes its vectors' length 1.
    pub fn normalizes(&self) -> bool {
        self.head.normalize
    }

    /// Tokens at which a text is cut, special tokens included; [`usize::MAX`] where nothing says it.
    pub fn max_seq_length(&self) -> usize {
        self.max_seq_length
    }

    /// Whether texts are lower-cased before the tokenizer sees them.
    pub fn lower_cases(&self) -> bool {
        self.do_lower_case
    }

    /// The tokenizer's file.
    pub fn tokenizer_file(&self) -> PathBuf {
        self.root.join(TOKENIZER)
    }

    /// What the model wants before a text; empty for no role, or where it has no prompt for it.
    ///
    /// Names follow sentence-transformers' `encode_query` and `encode_document`: `document`, `passage` and `corpus`
    /// mean the same.
    pub fn prompt(&self, role: Option<Role>) -> &str {
        let names = role.map_or(&[][..], Role::prompt_names);
        names.iter().find_map(|name| self.prompts.get(*name)).map_or("", String::as_str)
    }

    /// All prompts by their names.
    pub(crate) fn prompts(&self) -> &BTreeMap<String, String> {
        &self.prompts
    }

    /// The same model with these prompts for both roles, and its own for everything else. An empty one is a prompt, too:
    /// it says that none is to be used, not even the model's default.
    #[must_use]
    pub fn with_prompts(mut self, query: &str, document: &str) -> Self {
        for (role, prompt) in [(Role::Query, query), (Role::Document, document)] {
            let names = role.prompt_names();
            // All names of a role mean the same, so none may keep another text.
            let known: Vec<_> = names.iter().filter(|name| self.prompts.contains_key(**name)).collect();
            let names = if known.is_empty() { vec![&names[0]] } else { known };
            self.prompts.extend(names.into_iter().map(|name| ((*name).to_owned(), prompt.to_owned())));
        }
        self
    }

    /// Whether the model has a prompt for any role, so that a text without a role is probably a mistake.
    pub fn has_prompts(&self) -> bool {
        [Role::Query, Role::Document].into_iter().any(|role| !self.prompt(Some(role)).is_empty())
    }

    /// Bytes of the encoder's files.
    pub fn encoder_bytes(&self) -> u64 {
        let bytes = |file: &PathBuf| self.root.join(file).metadata().map_or(0, |file| file.len());
        self.weights.iter().map(bytes).sum()
    }

    /// Names the model's content: configuration, tokenizer and weights.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn fingerprint(&self) -> Result<String, ModelError> {
        let mut files: Vec<PathBuf> = ["config.json", "modules.json"].map(PathBuf::from).into();
        files.extend(self.head.files.iter().cloned());
        files.extend(["sentence_bert_config.json", TOKENIZER].map(PathBuf::from));
        files.extend(self.weights.iter().chain(&self.dense_weights).cloned());
        fingerprint::of_files(&self.root, &files)
    }

    /// Names the tokenizer's content; a shard made with another one does not fit the model.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn tokenizer_fingerprint(&self) -> Result<String, ModelError> {
        fingerprint::of_files(&self.root, &[TOKENIZER.into()])
    }
}

/// The weights in a folder of the directory, relative to its root.
fn find_weights(root: &Path, folder: &Path) -> Result<PathBuf, ModelError> {
    let there = |name: &&&str| root.join(folder).join(name).exists();
    if let Some(name) = WEIGHTS.iter().find(there) {
        return Ok(folder.join(name));
    }
    if let Some(name) = SHARDED.iter().find(there) {
        return Err(ModelError::content(
            &root.join(folder).join(name),
            "weights in several files are not supported\nhint: load the model with sentence-transformers and save it again",
        ));
    }
    let [safetensors, checkpoint] = WEIGHTS;
    let what = format!("No such file, and no {checkpoint} beside it");
    Err(ModelError::content(&root.join(folder).join(safetensors), what))
}
