//! The records to embed.

use embtune_cli::{Input, Session, Skipper};
use embtune_records::{Document, Lines, Object, Place, ReadError, Records};

use crate::cli::InputArgs;
use crate::input::shard::Shard;

/// All records of all inputs.
pub(crate) struct Source<'a> {
    args: &'a InputArgs,
    shard: Option<Shard>,
    /// The next one is at the end.
    inputs: Vec<Input>,
    reader: Option<Reader>,
    skipper: &'a Skipper<'a>,
    /// Records that were read; the id of a line of text.
    count: u64,
}

/// A record, where it stands, and how much of the input it was.
pub(crate) struct Entry {
    pub(crate) record: Document,
    pub(crate) place: Place,
    /// Bytes of its line.
    pub(crate) bytes: usize,
}

enum Reader {
    Json(Records<Object, Input>),
    Text(Lines<Input>),
}

impl<'a> Source<'a> {
    pub(crate) fn open(
        args: &'a InputArgs,
        shard: Option<Shard>,
        skipper: &'a Skipper<'a>,
        session: &Session,
    ) -> anyhow::Result<Self> {
        let mut inputs = session.inputs(&args.records.files)?;
        inputs.reverse();
        Ok(Self { args, shard, inputs, reader: None, skipper, count: 0 })
    }

    /// Lets `hook` be called whenever reading is about to wait for more of a pipe.
    pub(crate) fn on_wait(&self, hook: impl Fn() + Clone + Send + Sync + 'static) {
        for input in &self.inputs {
            input.on_wait(hook.clone());
        }
    }

    /// The next record that can be used, nothing at the end of all inputs.
    pub(crate) fn next_record(&mut self) -> anyhow::Result<Option<Entry>> {
        loop {
            let Some(reader) = &mut self.reader else {
                let Some(input) = self.inputs.pop() else { return Ok(None) };
                self.reader = Some(Reader::new(input, self.args));
                continue;
            };
            let Some(result) = reader.next(self.count, self.args) else {
                self.reader = None;
                continue;
            };
            if let Err(error) = &result
                && !error.is_record()
            {
                return result.map(Some).map_err(Into::into);
            }
            // Bad records count too, so that all shards count alike; each belongs to one of them.
            let is_ours = self.shard.is_none_or(|shard| shard.takes(self.count));
            self.count += 1;
            match result {
                _ if !is_ours => {}
                Ok(record) => return Ok(Some(record)),
                Err(error) => self.skipper.bad(error)?,
            }
        }
    }
}

impl Reader {
    fn new(input: Input, args: &InputArgs) -> Self {
        let (name, most) = (input.name.clone(), args.records.max_record_bytes);
        match (args.text, args.null) {
            (false, _) => Self::Json(Records::new(name, input, most)),
            (true, false) => Self::Text(Lines::new(name, input, most)),
            (true, true) => Self::Text(Lines::new(name, input, most).ended_by_nul()),
        }
    }

    fn next(&mut self, count: u64, args: &InputArgs) -> Option<Result<Entry, ReadError>> {
        match self {
            Self::Json(records) => Some(records.next()?.and_then(|object| {
                let record = Document::from_fields(object, args.id.as_deref(), &args.fields);
                let record = record.map_err(|error| records.error(error.to_string()))?;
                Ok(Entry { record, place: records.place(), bytes: records.bytes() })
            })),
            Self::Text(lines) => {
                let record = lines.next_line()?.map(|line| Document::new((count + 1).to_string(), None, line));
                Some(record.map(|record| Entry { record, place: lines.place(), bytes: lines.bytes() }))
            }
        }
    }
}
