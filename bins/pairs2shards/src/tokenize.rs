//! Pairs as token ids.

use std::collections::BTreeMap;

use embtune_model::{ModelDir, Role};
use embtune_records::Pair;
use embtune_tensors::ShardMeta;
use embtune_text::Language;
use embtune_tokenize::{Tokenizer, Tokens};

use crate::guide::GuideRows;

/// How texts are tokenised; the model's values apply where none are set.
pub(crate) struct Settings {
    pub(crate) query: ColumnSettings,
    pub(crate) document: ColumnSettings,
    pub(crate) threads: usize,
}

/// The settings of anchors, or of positives and negatives.
pub(crate) struct ColumnSettings {
    pub(crate) prompt: Option<String>,
    pub(crate) max_length: Option<usize>,
}

/// A pair that goes into a shard.
pub(crate) struct TrainingPair {
    pub(crate) pair: Pair,
    /// The rows of its vectors, where there is a guide.
    pub(crate) guide: Option<GuideRows>,
    /// Languages of anchor and positive, if the pair belongs to the sample.
    pub(crate) languages: Option<[Option<Language>; 2]>,
}

/// The token ids of several pairs.
pub(crate) struct TokenizedPairs {
    pub(crate) anchors: Vec<Tokens>,
    pub(crate) positives: Vec<Tokens>,
    /// The negatives of all pairs, concatenated.
    pub(crate) negatives: Vec<Tokens>,
}

/// The tokenizers of queries and documents, which differ in prompt and length.
pub(crate) struct PairTokenizer {
    query: ColumnTokenizer,
    document: ColumnTokenizer,
    fingerprint: String,
    vocab_size: usize,
}

struct ColumnTokenizer {
    tokenizer: Tokenizer,
    prompt: String,
    max_length: usize,
    /// The name of its texts in flags and messages.
    name: &'static str,
}

impl PairTokenizer {
    /// The tokenizer of a model.
    ///
    /// # Errors
    /// A tokenizer that cannot be used, a length that the model does not have, a prompt that leaves no room for a text.
    pub(crate) fn new(model: &ModelDir, settings: &Settings) -> anyhow::Result<Self> {
        let column = |role, settings: &ColumnSettings, threads| -> anyhow::Result<ColumnTokenizer> {
            let most = model.config().max_length();
            let max_length = settings.max_length.unwrap_or(model.max_seq_length());
            anyhow::ensure!(max_length <= most, "a length of {max_length} is more than the model's {most} positions");
            let words = model.config().vocab_size();
            let tokenizer = Tokenizer::open(model.tokenizer(), max_length, Some(words), threads)?;
            let prompt = settings.prompt.as_deref().unwrap_or(model.prompt(Some(role))).to_owned();
            let name = if role == Role::Query { "query" } else { "document" };
            let column = ColumnTokenizer { tokenizer, prompt, max_length, name };
            column.check_prompt()?;
            Ok(column)
        };
        Ok(Self {
            query: column(Role::Query, &settings.query, settings.threads)?,
            document: column(Role::Document, &settings.document, settings.threads)?,
            fingerprint: model.tokenizer_fingerprint()?,
            vocab_size: model.config().vocab_size(),
        })
    }

    pub(crate) fn tokenize(&self, pairs: &[TrainingPair]) -> anyhow::Result<TokenizedPairs> {
        let column = |text: fn(&TrainingPair) -> &String| pairs.iter().map(text).collect::<Vec<_>>();
        let negatives: Vec<_> = pairs.iter().flat_map(|pair| &pair.pair.negatives).collect();
        Ok(TokenizedPairs {
            anchors: self.query.tokenize(&column(|pair| &pair.pair.anchor))?,
            positives: self.document.tokenize(&column(|pair| &pair.pair.positive))?,
            negatives: self.document.tokenize(&negatives)?,
        })
    }

    /// Tokens at which anchors and documents are cut.
    pub(crate) fn max_lengths(&self) -> [usize; 2] {
        [self.query.max_length, self.document.max_length]
    }

    /// The prompt before each anchor.
    pub(crate) fn query_prompt(&self) -> &str {
        &self.query.prompt
    }

    /// Changes the prompt before each anchor.
    ///
    /// # Errors
    /// A prompt that leaves no room for a text.
    pub(crate) fn set_query_prompt(&mut self, prompt: &str) -> anyhow::Result<()> {
        self.query.prompt = prompt.to_owned();
        self.query.check_prompt()
    }

    /// The metadata of a shard of these tokens.
    pub(crate) fn meta(&self) -> ShardMeta {
        ShardMeta {
            version: 0, // set by the writer
            tokenizer: self.fingerprint.clone(),
            vocab_size: self.vocab_size,
            query_prompt: self.query.prompt.clone(),
            document_prompt: self.document.prompt.clone(),
            query_max_length: self.query.max_length,
            document_max_length: self.document.max_length,
            truncated: 0, // counted as pairs are written, like the languages
            query_languages: BTreeMap::new(),
            document_languages: BTreeMap::new(),
            guide: None, // set with its vectors
        }
    }
}

impl ColumnTokenizer {
    /// Refuses a prompt that leaves no room for a text: all rows would be the same.
    fn check_prompt(&self) -> anyhow::Result<()> {
        let (name, max_length) = (self.name, self.max_length);
        anyhow::ensure!(
            self.tokenizer.leaves_room_after(&self.prompt)?,
            "the {name} prompt fills the {max_length} tokens at which a {name} is cut: nothing of its text would be left\n\
             hint: shorten it, or raise --{name}-max-length"
        );
        Ok(())
    }

    fn tokenize(&self, texts: &[&String]) -> anyhow::Result<Vec<Tokens>> {
        let rows = self.tokenizer.encode(texts, &self.prompt)?;
        // The mean of no token vectors would be NaN in the training.
        if let Some((text, _)) = texts.iter().zip(&rows).find(|(_, row)| row.ids.is_empty()) {
            anyhow::bail!("the text {text:?} has no tokens, and the model's tokenizer adds no special ones");
        }
        Ok(rows)
    }
}
