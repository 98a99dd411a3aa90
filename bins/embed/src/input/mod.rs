//! The input: records, or one shard of them, and the texts in them.

pub(crate) mod fields;
mod shard;

use std::path::PathBuf;

use embtune_cli::{Input, Session, Skipper};
use embtune_records::{Document, Lines, Located, Object, RecordStream, parse_line};

pub(crate) use shard::InputShard;

/// How records are read.
pub(crate) struct RecordSettings {
    /// None is stdin.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) max_record_bytes: usize,
    pub(crate) format: RecordFormat,
    /// `None` takes all records.
    pub(crate) shard: Option<InputShard>,
}

/// The format of an input.
pub(crate) enum RecordFormat {
    /// JSON Lines.
    Json {
        /// The field with the id, instead of `_id`.
        id: Option<String>,
        /// The fields that every record must have, instead of `text`.
        fields: Vec<String>,
    },
    /// Texts that end with a newline, or with a NUL byte.
    Text { nul_terminated: bool },
}

/// A record, with its position in the input.
pub(crate) type Entry = Located<Document>;

/// The records of all inputs, or those of one shard.
pub(crate) struct RecordSource<'a> {
    records: RecordStream<Document, Input>,
    skipper: &'a Skipper<'a>,
}

impl RecordSource<'_> {
    /// The next usable record; `None` at the end of all inputs.
    ///
    /// # Errors
    /// An input cannot be read, or a record is unusable (unless such records are skipped).
    pub(crate) fn next(&mut self) -> anyhow::Result<Option<Entry>> {
        self.records.next_usable(|error| self.skipper.bad(error))
    }

    /// Lets `hook` be called whenever reading is about to wait for a pipe.
    pub(crate) fn on_wait(&self, hook: impl Fn() + Clone + Send + Sync + 'static) {
        self.records.readers().for_each(|input| input.on_wait(hook.clone()));
    }
}

/// Opens the inputs. Unusable records go to the `skipper`.
///
/// # Errors
/// A file cannot be opened.
pub(crate) fn open<'a>(
    settings: RecordSettings,
    skipper: &'a Skipper<'a>,
    session: &Session,
) -> anyhow::Result<RecordSource<'a>> {
    let RecordSettings { files, max_record_bytes, format, shard } = settings;
    let nul_terminated = matches!(format, RecordFormat::Text { nul_terminated: true });
    let lines = session.inputs(&files)?.into_iter().map(|input| {
        let lines = Lines::new(input.name.clone(), input, max_record_bytes);
        if nul_terminated { lines.nul_terminated() } else { lines }
    });
    let records = match format {
        // The id of a text is its number.
        RecordFormat::Text { .. } => {
            RecordStream::of_lines(lines, |line, number| Some(Ok(Document::new(number.to_string(), None, line))))
        }
        RecordFormat::Json { id, fields } => RecordStream::of_lines(lines, move |line, _| {
            parse_line::<Object>(line).map(|object| Document::from_fields(object?, id.as_deref(), &fields))
        }),
    };
    // Unusable records are counted, too, so that all shards count alike, and each of them belongs to one shard.
    let records = match shard {
        Some(shard) => records.select(move |position| shard.contains(position)),
        None => records,
    };
    Ok(RecordSource { records, skipper })
}
