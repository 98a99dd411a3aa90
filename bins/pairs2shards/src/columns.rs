//! Pairs as token ids.

use std::collections::BTreeMap;

use embtune_model::{ModelDir, Role};
use embtune_tensors::{Hashes, ShardMeta};
use embtune_tokenize::{Tokenizer, Tokens};
use xxhash_rust::xxh3::xxh3_64;

use crate::cli::Cli;
use crate::shards::Job;

/// The tokenizers of the two sides: they differ in prompt and length.
pub(crate) struct Columns {
    query: Side,
    document: Side,
    fingerprint: String,
    vocab_size: usize,
}

struct Side {
    tokenizer: Tokenizer,
    prompt: String,
    max_length: usize,
    /// What its texts are called, in flags and messages.
    name: &'static str,
}

/// The token ids of a window of pairs.
pub(crate) struct Window {
    pub(crate) anchors: Vec<Tokens>,
    pub(crate) positives: Vec<Tokens>,
    /// Of all pairs, one behind the other.
    pub(crate) negatives: Vec<Tokens>,
}

impl Columns {
    pub(crate) fn new(model: &ModelDir, cli: &Cli) -> anyhow::Result<Self> {
        let side = |role, prompt: Option<&str>, asked: Option<usize>| -> anyhow::Result<Side> {
            let most = model.config().max_length();
            let max_length = asked.unwrap_or(model.max_seq_length());
            anyhow::ensure!(max_length <= most, "a length of {max_length} is more than the model's {most} positions");
            let words = model.config().vocab_size();
            let tokenizer = Tokenizer::open(model.tokenizer(), max_length, Some(words), cli.threads.count())?;
            let prompt = prompt.unwrap_or(model.prompt(Some(role))).to_owned();
            let name = if role == Role::Query { "query" } else { "document" };
            let side = Side { tokenizer, prompt, max_length, name };
            side.check_prompt()?;
            Ok(side)
        };
        Ok(Self {
            query: side(Role::Query, cli.query_prompt.as_deref(), cli.query_max_length)?,
            document: side(Role::Document, cli.document_prompt.as_deref(), cli.document_max_length)?,
            fingerprint: model.tokenizer_fingerprint()?,
            vocab_size: model.config().vocab_size(),
        })
    }

    pub(crate) fn tokenize(&self, jobs: &[Job]) -> anyhow::Result<Window> {
        let column = |text: fn(&Job) -> &String| jobs.iter().map(text).collect::<Vec<_>>();
        let negatives: Vec<_> = jobs.iter().flat_map(|job| &job.pair.negatives).collect();
        Ok(Window {
            anchors: self.query.tokenize(&column(|job| &job.pair.anchor))?,
            positives: self.document.tokenize(&column(|job| &job.pair.positive))?,
            negatives: self.document.tokenize(&negatives)?,
        })
    }

    /// Tokens at which anchors and documents are cut.
    pub(crate) fn lengths(&self) -> [usize; 2] {
        [self.query.max_length, self.document.max_length]
    }

    /// What goes before each anchor.
    pub(crate) fn query_prompt(&self) -> &str {
        &self.query.prompt
    }

    /// Puts another prompt before each anchor.
    ///
    /// # Errors
    /// A prompt that leaves no room for a text.
    pub(crate) fn set_query_prompt(&mut self, prompt: &str) -> anyhow::Result<()> {
        self.query.prompt = prompt.to_owned();
        self.query.check_prompt()
    }

    /// What a shard says of itself.
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

impl Side {
    /// Refuses a prompt after which nothing of a text would be left: all rows would be the same.
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
        // A mean of nothing would be NaN in the training.
        if let Some((text, _)) = texts.iter().zip(&rows).find(|(_, row)| row.ids.is_empty()) {
            anyhow::bail!("the text {text:?} has no tokens, and the model's tokenizer adds no special ones");
        }
        Ok(rows)
    }
}

/// Hashes of a text; an id that is not there hashes to 0, which equals nothing.
pub(crate) fn hashes(text: &str, document: Option<&str>, group: Option<&str>) -> Hashes {
    let id = |id: Option<&str>| id.map_or(0, |id| xxh3_64(id.as_bytes()).max(1));
    Hashes { text: xxh3_64(text.as_bytes()).max(1), document: id(document), group: id(group) }
}
