//! What each stage does.

use std::iter::repeat_n;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use anyhow::Context as _;
use embtune_cli::Skipper;
use embtune_encode::{EncodeError, Front, Runner};

use super::Texts;
use super::gather::Gather;
use super::times::Clock;
use super::window::{Embedded, Tokenised};
use crate::input::fields::Text;
use crate::input::records::{Entry, Records};
use crate::kept::known::{Key, Known};

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

pub(super) fn read(mut records: Records, skipper: &Skipper<'_>, gather: &Gather) -> Duration {
    let mut clock = Clock::start();
    let mut reading = gather.reading();
    let result = loop {
        match records.next_usable(|error| skipper.bad(error)) {
            Ok(Some(entry)) => {
                if !reading.push(entry, &mut clock) {
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
pub(super) fn tokenise(
    front: &Front,
    texts: &Texts,
    known: &mut Known<'_>,
    records: Vec<Entry>,
) -> anyhow::Result<Tokenised> {
    if records.is_empty() {
        known.finish()?;
    }
    let all: Vec<Text<'_>> = records.iter().map(|entry| texts.fields.text(&entry.record)).collect();
    let keys: Vec<Key> = records.iter().zip(&all).map(|(entry, text)| known.key(&entry.record, text)).collect();
    let answers = known.find(&keys)?;
    let new: Vec<Text<'_>> =
        all.into_iter().zip(&answers).filter(|(_, answer)| answer.is_none()).map(|(text, _)| text).collect();
    let (rows, divisions) = texts.long.tokenize(&new, front).context("embedding")?;
    drop(new);
    Ok(Tokenised { records, keys, known: answers, rows, divisions })
}

/// Computes what is not known.
pub(super) fn infer(runner: &mut Runner, texts: &Texts, window: Tokenised) -> anyhow::Result<Embedded> {
    let Tokenised { records, keys, known, rows, divisions } = window;
    let vectors = runner
        .run(&rows)
        .map_err(|error| match error {
            EncodeError::NotFinite(row) => {
                let new = records.iter().zip(&known).filter(|(_, answer)| answer.is_none());
                let of_rows = new.zip(&divisions).flat_map(|(new, division)| repeat_n(new, division.rows()));
                let id = of_rows.map(|(entry, _)| entry.record.id()).nth(row).unwrap_or_default();
                anyhow::anyhow!("the vector of \"{id}\" holds NaN or infinity: the model's weights are damaged")
            }
            other => other.into(),
        })
        .context("embedding")?;
    let (dim, mut rest) = (runner.dim(), vectors.as_slice());
    let mut new = divisions.into_iter().map(|division| {
        let (vectors, behind) = rest.split_at(division.rows() * dim);
        rest = behind;
        division.answer(vectors, dim, texts.long, texts.normalized)
    });
    let answers = keys.into_iter().zip(known).filter_map(|(key, answer)| Some((key, answer.or_else(|| new.next())?)));
    Ok(Embedded { records, answers: answers.collect() })
}
