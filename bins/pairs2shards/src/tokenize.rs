//! Pairs as token ids.

use embtune_model::{ModelDir, Role};
use embtune_records::Pair;
use embtune_tensors::ShardMeta;
use embtune_text::Language;
use embtune_tokenize::{Tokenizer, Tokens};

use crate::guide::GuideRows;

/// A pair that goes into a shard.
pub(crate) struct TrainingPair {
    pub(crate) pair: Pair,
    /// The rows of its vectors, where there is a guide.
    pub(crate) guide: Option<GuideRows>,
    /// Languages of anchor and positive, if the pair belongs to the sample.
    pub(crate) languages: Option<[Option<Language>; 2]>,
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
    /// The tokenizer of a model. Anchors and documents may have a prompt and a maximum length in place of the model's.
    ///
    /// # Errors
    /// A tokenizer that cannot be used, a length that the model does not have, a prompt that leaves no room for a text.
    pub(crate) fn new(
        model: &ModelDir,
        query: (Option<&str>, Option<usize>),
        document: (Option<&str>, Option<usize>),
        threads: usize,
    ) -> anyhow::Result<Self> {
        let column = |role, (prompt, max_length): (Option<&str>, Option<usize>)| -> anyhow::Result<ColumnTokenizer> {
            let most = model.config().max_length;
            let max_length = max_length.unwrap_or(model.max_seq_length());
            anyhow::ensure!(max_length <= most, "a length of {max_length} is more than the model's {most} positions");
            let words = model.config().vocab_size;
            let tokenizer = Tokenizer::open(model.tokenizer(), max_length, Some(words), threads)?;
            let prompt = prompt.unwrap_or(model.prompt(Some(role))).to_owned();
            let name = if role == Role::Query { "query" } else { "document" };
            let column = ColumnTokenizer { tokenizer, prompt, max_length, name };
            column.check_prompt()?;
            Ok(column)
        };
        Ok(Self {
            query: column(Role::Query, query)?,
            document: column(Role::Document, document)?,
            fingerprint: model.tokenizer_fingerprint()?,
            vocab_size: model.config().vocab_size,
        })
    }

    /// The tokens of all anchors, of all positives and of all negatives.
    pub(crate) fn tokenize(&self, pairs: &[TrainingPair]) -> anyhow::Result<[Vec<Tokens>; 3]> {
        let column = |text: fn(&TrainingPair) -> &String| pairs.iter().map(text).collect::<Vec<_>>();
        let negatives: Vec<_> = pairs.iter().flat_map(|pair| &pair.pair.negatives).collect();
        Ok([
            self.query.tokenize(&column(|pair| &pair.pair.anchor))?,
            self.document.tokenize(&column(|pair| &pair.pair.positive))?,
            self.document.tokenize(&negatives)?,
        ])
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
            tokenizer: self.fingerprint.clone(),
            vocab_size: self.vocab_size,
            query_prompt: self.query.prompt.clone(),
            document_prompt: self.document.prompt.clone(),
            query_max_length: self.query.max_length,
            document_max_length: self.document.max_length,
            ..ShardMeta::default()
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
