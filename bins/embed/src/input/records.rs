//! The records to embed.

use embtune_cli::{Input, RecordArgs, Session};
use embtune_records::{Document, Lines, Located, Object, RecordStream, parse_line};

use crate::cli::InputArgs;
use crate::input::shard::Shard;

/// The records of all inputs, or those of one shard of them.
pub(crate) type Records = RecordStream<Document, Input>;

/// A record with what it takes to report it.
pub(crate) type Entry = Located<Document>;

/// Opens the inputs.
///
/// # Errors
/// A file that cannot be opened.
pub(crate) fn open(args: &InputArgs, shard: Option<Shard>, session: &Session) -> anyhow::Result<Records> {
    let RecordArgs { files, max_record_bytes, .. } = &args.records;
    let lines = session.inputs(files)?.into_iter().map(|input| {
        let lines = Lines::new(input.name.clone(), input, *max_record_bytes);
        if args.null { lines.nul_terminated() } else { lines }
    });
    let records = if args.text {
        // The id of a text is its number.
        RecordStream::of_lines(lines, |line, number| Some(Ok(Document::new(number.to_string(), None, line))))
    } else {
        let (id, fields) = (args.id.clone(), args.fields.clone());
        RecordStream::of_lines(lines, move |line, _| {
            parse_line::<Object>(line)
                .map(|object| Document::from_fields(object?, id.as_deref(), &fields).map_err(|error| error.to_string()))
        })
    };
    // Records that cannot be used are counted too, so that all shards count alike; each belongs to one of them.
    Ok(match shard {
        Some(shard) => records.select(move |position| shard.takes(position)),
        None => records,
    })
}
