//! Where vectors go.

pub(crate) mod format;
mod jsonl;
mod known;
mod npy;
mod safetensors;
pub(crate) mod shape;
pub(crate) mod tally;
mod verify;
pub(crate) mod writer;

use embtune_cli::{Outcome, Output, Session, spool_directory};
use embtune_records::{Document, Location};
use embtune_tensors::EmbeddingsMeta;

use crate::cli::Cli;
use crate::input::fields::Fields;
use crate::sink::format::Format;
use crate::sink::known::Known;

/// Vectors on their way out, in the order of the input.
pub(crate) trait Sink {
    /// Takes a record's vector, and says whether it was new: a record may be one that was written before.
    fn write(&mut self, record: Document, place: &Location, vector: &[f32], out: &mut Output) -> anyhow::Result<bool>;

    /// Writes what has waited. `meta` is asked for only where it is written: naming a model means reading all of it.
    fn finish(
        self: Box<Self>,
        meta: &mut dyn FnMut() -> anyhow::Result<EmbeddingsMeta>,
        out: &mut Output,
    ) -> anyhow::Result<Outcome>;
}

/// The sink that the flags ask for, in this form, for vectors of `dim` elements of the texts in `fields`.
pub(crate) fn open(
    cli: &Cli,
    format: Format,
    dim: usize,
    fields: &Fields,
    session: &Session,
) -> anyhow::Result<Box<dyn Sink>> {
    let stored = cli.output.dtype.stored();
    let columns = stored.columns(dim).map_err(|what| anyhow::anyhow!("--dtype {what}"))?;
    if let Some(reference) = &cli.verify.reference {
        return Ok(Box::new(verify::Verify::open(reference, stored, dim, cli.verify.min_cosine)?));
    }
    let directory = spool_directory(cli.output.path.as_deref());
    let known = || Known::new(fields.clone());
    Ok(match format {
        Format::Jsonl => Box::new(jsonl::Jsonl::new(stored)),
        Format::Safetensors => Box::new(safetensors::Safetensors::new(&directory, dim, stored, known())?),
        Format::Npy => {
            let beside = match cli.output.file() {
                Some(path) => Some(npy::Beside::open(path, &directory, stored, known(), session)?),
                None => {
                    session.notice("vectors without their ids: these are written beside a file that is named with -o");
                    None
                }
            };
            Box::new(npy::Npy::new(&directory, columns, stored, beside)?)
        }
    })
}
