//! The records to embed.

use embtune_cli::{Input, RecordArgs, Session, Skipper};
use embtune_records::{Document, Lines, ReadError, Records};

use crate::shard::Shard;

/// All records of all inputs.
pub(crate) struct Source<'a> {
    args: &'a RecordArgs,
    text: bool,
    shard: Option<Shard>,
    /// The next one is at the end.
    inputs: Vec<Input>,
    reader: Option<Reader>,
    skipper: Skipper<'a>,
    /// Records that were read; the id of a line of text.
    count: u64,
}

enum Reader {
    Json(Records<Document, Input>),
    Text(Lines<Input>),
}

impl<'a> Source<'a> {
    pub(crate) fn open(
        args: &'a RecordArgs,
        text: bool,
        shard: Option<Shard>,
        session: &'a Session,
    ) -> anyhow::Result<Self> {
        let mut inputs = session.inputs(&args.files)?;
        inputs.reverse();
        Ok(Self { args, text, shard, inputs, reader: None, skipper: Skipper::new(args.on_error, session), count: 0 })
    }

    /// Lets `hook` be called whenever reading is about to wait for more of a pipe.
    pub(crate) fn on_wait(&self, hook: impl Fn() + Clone + Send + Sync + 'static) {
        for input in &self.inputs {
            input.on_wait(hook.clone());
        }
    }

    /// The next record that can be used, nothing at the end of all inputs.
    pub(crate) fn next_record(&mut self) -> anyhow::Result<Option<Document>> {
        loop {
            let Some(reader) = &mut self.reader else {
                let Some(input) = self.inputs.pop() else { return Ok(None) };
                self.reader = Some(Reader::new(input, self.text, self.args.max_record_bytes));
                continue;
            };
            let Some(result) = reader.next(self.count) else {
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

    pub(crate) fn outcome(&self) -> embtune_cli::Outcome {
        self.skipper.outcome()
    }
}

impl Reader {
    fn new(input: Input, text: bool, max_record_bytes: usize) -> Self {
        let name = input.name.clone();
        if text {
            Self::Text(Lines::new(name, input, max_record_bytes))
        } else {
            Self::Json(Records::new(name, input, max_record_bytes))
        }
    }

    fn next(&mut self, count: u64) -> Option<Result<Document, ReadError>> {
        match self {
            Self::Json(records) => records.next(),
            Self::Text(lines) => {
                Some(lines.next_line()?.map(|line| Document::new((count + 1).to_string(), None, line)))
            }
        }
    }
}
