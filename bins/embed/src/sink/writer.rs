//! From what the model made of a record to what is written of it.

use std::iter;

use embtune_cli::{Output, Skipper};
use embtune_records::Document;
use embtune_tensors::VectorType;

use crate::input::records::Entry;
use crate::kept::answer::Answer;
use crate::long::chunk;
use crate::sink::Sink;
use crate::sink::shape::Shape;
use crate::sink::tally::Tally;

/// Writes records with their vectors, and counts.
pub(crate) struct Writer<'a> {
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) tally: Tally,
    pub(crate) skipper: &'a Skipper<'a>,
    /// Elements of the model's vectors.
    pub(crate) dim: usize,
    pub(crate) shape: Shape,
    pub(crate) stored: VectorType,
    /// The field whose chunks are written.
    pub(crate) divided: &'a str,
    /// Tokens that the model takes at once.
    pub(crate) limit: usize,
}

/// A text that is refused.
#[derive(Debug, thiserror::Error)]
#[error(
    "the text of \"{id}\" has {tokens} tokens, and the model takes {limit} at once\n\
     hint: --on-long truncate or chunk takes it"
)]
struct TooLong {
    id: String,
    tokens: u32,
    limit: usize,
}

impl Writer<'_> {
    pub(crate) fn write(&mut self, entry: Entry, answer: &Answer, out: &mut Output) -> anyhow::Result<()> {
        let Entry { record, location: place, .. } = entry;
        if answer.chunks == 0 {
            let id = record.id().to_owned();
            return self.skipper.bad(TooLong { id, tokens: answer.tokens, limit: self.limit });
        }
        self.tally.add(answer);
        let records: Box<dyn Iterator<Item = Document>> = if answer.spans.is_empty() {
            Box::new(iter::once(record))
        } else {
            Box::new(chunk::records(record, self.divided, &answer.spans))
        };
        let mut is_new = false;
        for (record, vector) in records.zip(answer.vectors.chunks_exact(self.dim)) {
            let vector = self.shape.apply(vector);
            anyhow::ensure!(
                self.stored.holds(&vector),
                "the vector of \"{}\" has elements that are too large for {}\nhint: --dtype f32",
                record.id(),
                self.stored.name()
            );
            is_new |= self.sink.write(record, &place, &vector, out)?;
        }
        self.tally.repeated += u64::from(!is_new);
        Ok(())
    }
}
