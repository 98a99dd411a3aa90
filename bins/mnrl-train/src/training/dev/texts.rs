//! Tokenised texts with their ids.

use std::collections::HashSet;
use std::io::BufRead;
use std::ops::Range;

use embtune_model::{ModelDir, Role};
use embtune_records::{Document, Records};
use embtune_tokenize::{Tokenizer, longest_first, pack};

/// Records whose text is held at a time.
const WINDOW: usize = 4096;

/// An open file of records, and how messages call it.
pub(crate) struct Source<R> {
    pub(crate) name: String,
    pub(crate) reader: R,
}

/// Texts as token ids, longest first: then rows of a batch have similar lengths, and memory peaks in the first one.
pub(crate) struct Texts {
    pub(crate) name: String,
    ids: Vec<String>,
    rows: Vec<Vec<u32>>,
    batches: Vec<Range<usize>>,
    role: Role,
    sample: Vec<Sample>,
}

/// A text as it was read, and what was made of it.
pub(crate) struct Sample {
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) tokens: Vec<u32>,
}

/// Texts that are kept beside their token ids.
const SAMPLES: usize = 16;

impl Texts {
    /// Reads and tokenises what `embed` would embed with this role: with the model's prompt for it, cut at the model's
    /// length. Records whose id is not `wanted` are passed over.
    pub(crate) fn read(
        source: Source<impl BufRead>,
        model: &ModelDir,
        role: Role,
        batch_tokens: usize,
        threads: usize,
        wanted: impl Fn(&str) -> bool,
    ) -> anyhow::Result<Self> {
        let words = model.config().vocab_size();
        let tokenizer = Tokenizer::open(model.tokenizer(), model.max_seq_length(), Some(words), threads)?;
        let mut records = Records::<Document, _>::with_default_limit(source.name.clone(), source.reader);
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
                    records.error(format!("id \"{}\" stands twice", record.id()))
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
        // Texts without tokens come last, and go with the last of the others: they need no room.
        let filled = rows.partition_point(|row| !row.is_empty());
        let mut batches = pack(rows[..filled].iter().map(Vec::len), batch_tokens);
        match batches.last_mut() {
            Some(last) => last.end = rows.len(),
            None => anyhow::ensure!(rows.is_empty(), "{}: no text has a token", source.name),
        }
        Ok(Self { name: source.name, ids, rows, batches, role, sample })
    }

    /// Number of texts.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Texts without a token, of a tokenizer that adds none.
    pub(crate) fn empty(&self) -> usize {
        self.rows.iter().filter(|row| row.is_empty()).count()
    }

    /// What the texts are.
    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Some of the texts, to be tokenised again.
    pub(crate) fn sample(&self) -> &[Sample] {
        &self.sample
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
