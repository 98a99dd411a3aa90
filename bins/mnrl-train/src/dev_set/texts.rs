//! Tokenised texts with their ids.

use std::collections::HashSet;
use std::io::BufRead;
use std::ops::Range;

use embtune_model::{ModelDir, Role};
use embtune_records::{Document, Records};
use embtune_tokenize::{Tokenizer, longest_first, pack};

/// Records whose texts are in memory at the same time.
const WINDOW: usize = 4096;

/// An open file of records, with its name in messages.
pub(crate) struct TextFile<R> {
    pub(crate) name: String,
    pub(crate) reader: R,
}

/// Texts as token ids, longest first, so that the rows of a batch have similar lengths and memory peaks in the first
/// batch.
pub(crate) struct Texts {
    pub(crate) name: String,
    ids: Vec<String>,
    rows: Vec<Vec<u32>>,
    batches: Vec<Range<usize>>,
    pub(crate) role: Role,
    /// Some of the texts, to be tokenised again after the training.
    pub(crate) sample: Vec<Sample>,
}

/// A text as it was read, with its token ids.
pub(crate) struct Sample {
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) tokens: Vec<u32>,
}

/// Number of texts that are kept along with their token ids.
const SAMPLES: usize = 16;

impl Texts {
    /// Reads and tokenises what `embed` would embed with this role: with the model's prompt for the role, truncated to
    /// the model's length. Records whose id is not `wanted` are skipped.
    ///
    /// # Errors
    /// A record that cannot be read, a duplicate id, a file in which no text has a token.
    pub(crate) fn read(
        file: TextFile<impl BufRead>,
        model: &ModelDir,
        role: Role,
        batch_tokens: usize,
        threads: usize,
        wanted: impl Fn(&str) -> bool,
    ) -> anyhow::Result<Self> {
        let words = model.config().vocab_size;
        let tokenizer = Tokenizer::open(model.tokenizer(), model.max_seq_length(), Some(words), threads)?;
        let mut records = Records::<Document, _>::with_default_limit(file.name.clone(), file.reader);
        let (mut ids, mut rows, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        let mut sample = Vec::new();
        loop {
            let mut window = Vec::new();
            while window.len() < WINDOW
                && let Some(record) = records.next()
            {
                let record = record?;
                anyhow::ensure!(
                    seen.insert(record.id().to_owned()),
                    records.error(format!("duplicate id \"{}\"", record.id()))
                );
                if wanted(record.id()) {
                    window.push(record);
                }
            }
            if window.is_empty() {
                break;
            }
            let texts: Vec<_> = window.iter().map(Document::full_text).collect();
            let tokens = tokenizer.encode(&texts, model.prompt(Some(role)))?;
            let filled = window.iter().zip(&texts).zip(&tokens).filter(|(_, tokens)| !tokens.ids.is_empty());
            let kept = filled.take(SAMPLES - sample.len());
            sample.extend(kept.map(|((record, text), tokens)| Sample {
                id: record.id().to_owned(),
                text: text.to_string(),
                tokens: tokens.ids.clone(),
            }));
            rows.extend(tokens.into_iter().map(|tokens| tokens.ids));
            ids.extend(window.iter().map(|record| record.id().to_owned()));
        }
        let order = longest_first(&rows.iter().map(Vec::len).collect::<Vec<_>>());
        let ids = order.iter().map(|row| std::mem::take(&mut ids[*row])).collect();
        let rows: Vec<Vec<u32>> = order.iter().map(|row| std::mem::take(&mut rows[*row])).collect();
        // Texts without tokens come last, and join the last batch: they need no memory.
        let filled = rows.partition_point(|row| !row.is_empty());
        let mut batches = pack(rows[..filled].iter().map(Vec::len), batch_tokens);
        match batches.last_mut() {
            Some(last) => last.end = rows.len(),
            None => anyhow::ensure!(rows.is_empty(), "{}: no text has a token", file.name),
        }
        Ok(Self { name: file.name, ids, rows, batches, role, sample })
    }

    /// Number of texts.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Number of texts without a token, which occur if the tokenizer adds no special tokens.
    pub(crate) fn empty(&self) -> usize {
        self.rows.iter().filter(|row| row.is_empty()).count()
    }

    /// Number of tokens of all texts.
    pub(crate) fn tokens(&self) -> usize {
        self.rows.iter().map(Vec::len).sum()
    }

    /// The id of a text.
    pub(crate) fn id(&self, index: usize) -> &str {
        &self.ids[index]
    }

    /// All ids, in order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().map(String::as_str)
    }

    /// The texts in batches of at most `batch_tokens` tokens, or of one text that is longer: `(texts, token ids)`.
    pub(crate) fn batches(&self) -> impl Iterator<Item = (Range<usize>, &[Vec<u32>])> {
        self.batches.iter().map(|batch| (batch.clone(), &self.rows[batch.clone()]))
    }
}
