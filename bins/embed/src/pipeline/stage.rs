//! What each stage does.

use std::sync::mpsc::SyncSender;
use std::time::Duration;

use anyhow::Context as _;
use embtune_encode::{EncodeError, Front, Runner};
use embtune_records::Document;

use super::gather::Gather;
use super::times::Clock;
use super::window::{Embedded, Tokenised};
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

pub(super) fn tokenise(front: &Front, records: Vec<Document>) -> anyhow::Result<Tokenised> {
    let texts: Vec<_> = records.iter().map(Document::full_text).collect();
    let rows = front.tokenize(&texts).context("embedding")?;
    drop(texts);
    Ok(Tokenised { records, rows })
}

pub(super) fn infer(runner: &mut Runner, window: Tokenised) -> anyhow::Result<Embedded> {
    let Tokenised { records, rows } = window;
    let vectors = runner
        .run(&rows)
        .map_err(|error| match error {
            EncodeError::NotFinite(index) => {
                let id = records.get(index).map_or("", Document::id);
                anyhow::anyhow!("the vector of \"{id}\" holds NaN or infinity: the model's weights are damaged")
            }
            other => other.into(),
        })
        .context("embedding")?;
    Ok(Embedded {
        records,
        vectors,
        truncated: rows.iter().filter(|row| row.truncated).count() as u64,
        tokens: rows.iter().map(|row| row.ids.len() as u64).sum(),
    })
}
