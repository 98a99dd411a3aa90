//! The stages of the pipeline, and the windows that pass from one stage to the next.

use std::iter::repeat_n;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use anyhow::Context as _;
use embtune_encode::{EncodeError, ModelRunner, TextTokenizer};
use embtune_tokenize::Tokens;

use super::TextSettings;
use super::times::WorkTimer;
use super::window_queue::WindowQueue;
use crate::embedding::RecordEmbedding;
use crate::input::fields::Text;
use crate::input::{Entry, RecordSource};
use crate::long_texts::ChunkedText;
use crate::store::{RecordKey, StoreReader};

/// Records whose texts have been tokenised.
pub(super) struct TokenizedWindow {
    records: Vec<Entry>,
    /// One for each record.
    keys: Vec<RecordKey>,
    /// For each record, its embedding if it was stored.
    stored: Vec<Option<RecordEmbedding>>,
    /// The tokens of the other records' texts, and how these were divided into rows.
    rows: Vec<Tokens>,
    chunked_texts: Vec<ChunkedText>,
}

/// Records with their embeddings, in the order of the input.
pub(crate) struct EmbeddedWindow {
    pub(crate) records: Vec<Entry>,
    pub(crate) embeddings: Vec<(RecordKey, RecordEmbedding)>,
}

/// Receives windows, processes them and sends the results, until there are no more windows, the work fails, or the
/// receiver is gone. Returns how long it worked.
pub(super) fn run_stage<A, B>(
    mut next: impl FnMut() -> Option<anyhow::Result<A>>,
    mut work: impl FnMut(A) -> anyhow::Result<B>,
    to: SyncSender<anyhow::Result<B>>,
) -> Duration {
    let mut timer = WorkTimer::start();
    while let Some(window) = timer.wait(&mut next) {
        let result = window.and_then(&mut work);
        let is_last = result.is_err();
        if timer.wait(|| to.send(result)).is_err() || is_last {
            break;
        }
    }
    timer.worked()
}

/// Reads all records. Returns how long it worked.
pub(super) fn read(mut source: RecordSource<'_>, queue: &WindowQueue) -> Duration {
    let mut timer = WorkTimer::start();
    let mut producer = queue.producer();
    let result = loop {
        match source.next() {
            Ok(Some(entry)) => {
                if !producer.push(entry, &mut timer) {
                    break Ok(());
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    producer.finish(result);
    timer.worked()
}

/// Looks records up in the store, and tokenises the others. An empty window marks the end of the input.
pub(super) fn tokenize(
    tokenizer: &TextTokenizer,
    settings: &TextSettings,
    store: &mut StoreReader<'_>,
    records: Vec<Entry>,
) -> anyhow::Result<TokenizedWindow> {
    if records.is_empty() {
        store.finish()?;
    }
    let texts: Vec<Text<'_>> = records.iter().map(|entry| settings.fields.text(&entry.record)).collect();
    let keys: Vec<RecordKey> = records.iter().zip(&texts).map(|(entry, text)| store.key(&entry.record, text)).collect();
    let stored = store.find(&keys)?;
    let new = texts.into_iter().zip(&stored).filter(|(_, stored)| stored.is_none());
    let new: Vec<Text<'_>> = new.map(|(text, _)| text).collect();
    let (rows, chunked_texts) = settings.long_texts.tokenize(&new, tokenizer).context("embedding")?;
    drop(new);
    Ok(TokenizedWindow { records, keys, stored, rows, chunked_texts })
}

/// Computes the embeddings that were not stored.
pub(super) fn infer(
    runner: &mut ModelRunner,
    settings: &TextSettings,
    window: TokenizedWindow,
) -> anyhow::Result<EmbeddedWindow> {
    let TokenizedWindow { records, keys, stored, rows, chunked_texts } = window;
    let vectors = runner
        .run(&rows)
        .map_err(|error| match error {
            EncodeError::NotFinite(row) => {
                let new = records.iter().zip(&stored).filter(|(_, stored)| stored.is_none());
                let by_row = new.zip(&chunked_texts).flat_map(|(new, text)| repeat_n(new, text.rows()));
                let id = by_row.map(|(entry, _)| entry.record.id()).nth(row).unwrap_or_default();
                anyhow::anyhow!("the vector of \"{id}\" holds NaN or infinity: the model's weights are damaged")
            }
            other => other.into(),
        })
        .context("embedding")?;
    let (dim, mut rest) = (runner.dim(), vectors.as_slice());
    let mut new = chunked_texts.into_iter().map(|text| {
        let (vectors, after) = rest.split_at(text.rows() * dim);
        rest = after;
        text.into_embedding(vectors, dim, settings.long_texts, settings.normalized)
    });
    let embeddings = keys.into_iter().zip(stored);
    let embeddings = embeddings.filter_map(|(key, stored)| Some((key, stored.or_else(|| new.next())?)));
    Ok(EmbeddedWindow { records, embeddings: embeddings.collect() })
}
