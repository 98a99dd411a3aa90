//! What each stage does.

use std::sync::mpsc::SyncSender;
use std::time::Duration;

use anyhow::Context as _;
use embtune_encode::{EncodeError, Front, Runner};
use embtune_records::Document;

use super::gather::Gather;
use super::times::Clock;
use super::window::{Embedded, Tokenised};
use crate::answer::{Answer, Origin};
use crate::known::{Key, Known};
use crate::records::Source;

/// Takes windows, works on them and hands the results on, until there are no more, the work fails, or nobody takes a
/// result. Says how long it worked.
pub(super) fn pump<A, B>(
    mut next: impl FnMut() -> Option<anyhow::Result<A>>,
    mut work: impl FnMut(A) -> anyhow::Result<B>,
    to: SyncSender<anyhow::Result<B>>,
) -> Duration {
    let mut clock = Clock::start();
    while let Some(window) = clock.wait(&mut next) {
        let result = window.and_then(&mut work);
        let is_last = result.is_err();
        if clock.wait(|| to.send(result)).is_err() || is_last {
            break;
        }
    }
    clock.worked()
}

pub(super) fn read(source: &mut Source<'_>, gather: &Gather) -> Duration {
    let mut clock = Clock::start();
    let mut reading = gather.reading();
    let result = loop {
        match source.next_record() {
            Ok(Some(record)) => {
                if !reading.push(record, &mut clock) {
                    break Ok(());
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    reading.end(result);
    clock.worked()
}

/// Looks records up, and tokenises those that are new. The window behind the last one is empty.
pub(super) fn tokenise(front: &Front, known: &mut Known<'_>, records: Vec<Document>) -> anyhow::Result<Tokenised> {
    if records.is_empty() {
        known.finish()?;
    }
    let texts: Vec<_> = records.iter().map(Document::full_text).collect();
    let keys: Vec<Key> = records.iter().zip(&texts).map(|(record, text)| known.key(record, text)).collect();
    let answers = known.find(&keys)?;
    let new: Vec<_> = texts.iter().zip(&answers).filter(|(_, answer)| answer.is_none()).map(|(text, _)| text).collect();
    let rows = front.tokenize(&new).context("embedding")?;
    drop(texts);
    Ok(Tokenised { records, keys, known: answers, rows })
}

/// Computes what is not known.
pub(super) fn infer(runner: &mut Runner, window: Tokenised) -> anyhow::Result<Embedded> {
    let Tokenised { records, keys, known, rows } = window;
    let vectors = runner
        .run(&rows)
        .map_err(|error| match error {
            EncodeError::NotFinite(row) => {
                let mut new = records.iter().zip(&known).filter(|(_, answer)| answer.is_none());
                let id = new.nth(row).map_or("", |(record, _)| record.id());
                anyhow::anyhow!("the vector of \"{id}\" holds NaN or infinity: the model's weights are damaged")
            }
            other => other.into(),
        })
        .context("embedding")?;
    let new = rows.iter().zip(vectors.chunks_exact(runner.dim())).map(|(row, vector)| Answer {
        vector: vector.to_vec(),
        tokens: row.ids.len() as u32,
        truncated: row.truncated,
        origin: Origin::Model,
    });
    let mut new = new.fuse();
    let answers = keys.into_iter().zip(known).filter_map(|(key, answer)| Some((key, answer.or_else(|| new.next())?)));
    Ok(Embedded { records, answers: answers.collect() })
}
