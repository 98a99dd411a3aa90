//! The pairs: as they are read, what they name, and as they are written.

pub(crate) mod known;
pub(crate) mod queries;
pub(crate) mod record;

use embtune_cli::{Input, Replayable};
use embtune_records::{Pair, RecordStream};

/// The records of all inputs, from the first on.
///
/// # Errors
/// A file that cannot be opened again.
pub(crate) fn records(
    inputs: &[Replayable],
    max_record_bytes: usize,
) -> anyhow::Result<RecordStream<Vec<Pair>, Input>> {
    let inputs = inputs.iter().map(Replayable::open).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(RecordStream::new(inputs.into_iter().map(Input::into_named), max_record_bytes))
}
