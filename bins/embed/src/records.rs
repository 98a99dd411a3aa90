//! The texts to embed, in windows.

use embtune_cli::{Input, RecordArgs, Session, Skipper};
use embtune_records::{Document, Lines, ReadError, Records};

/// Records in a window: enough to find neighbours of equal length for every batch.
const WINDOW_RECORDS: usize = 4096;
/// Bytes of text in a window, so that long records do not fill the memory.
const WINDOW_BYTES: usize = 32 << 20;

/// All records of all inputs.
pub(crate) struct Source<'a> {
    readers: Vec<Reader>,
    skipper: Skipper<'a>,
    /// Records that were read; the id of a line of text.
    count: u64,
}

enum Reader {
    Json(Records<Document, Input>),
    Text(Lines<Input>),
}

impl<'a> Source<'a> {
    pub(crate) fn open(args: &RecordArgs, text: bool, session: &'a Session) -> anyhow::Result<Self> {
        let mut readers: Vec<Reader> = session
            .inputs(&args.files)?
            .into_iter()
            .map(|input| {
                let name = input.name.clone();
                if text {
                    Reader::Text(Lines::new(name, input, args.max_record_bytes))
                } else {
                    Reader::Json(Records::new(name, input, args.max_record_bytes))
                }
            })
            .collect();
        readers.reverse(); // the next one is popped off the end
        Ok(Self { readers, skipper: Skipper::new(args.on_error, session), count: 0 })
    }

    /// The next records, none at the end of the input.
    pub(crate) fn window(&mut self) -> anyhow::Result<Vec<Document>> {
        let mut window = Vec::new();
        let mut bytes = 0;
        while window.len() < WINDOW_RECORDS && bytes < WINDOW_BYTES {
            let Some(reader) = self.readers.last_mut() else { break };
            match reader.next(self.count) {
                None => drop(self.readers.pop()),
                Some(Ok(record)) => {
                    self.count += 1;
                    bytes += record.text().len();
                    window.push(record);
                }
                Some(Err(error)) if error.is_record() => {
                    self.count += 1;
                    self.skipper.bad(error)?;
                }
                Some(Err(error)) => return Err(error.into()),
            }
        }
        Ok(window)
    }

    pub(crate) fn outcome(&self) -> embtune_cli::Outcome {
        self.skipper.outcome()
    }
}

impl Reader {
    fn next(&mut self, count: u64) -> Option<Result<Document, ReadError>> {
        match self {
            Self::Json(records) => records.next(),
            Self::Text(lines) => {
                Some(lines.next_line()?.map(|line| Document::new((count + 1).to_string(), None, line)))
            }
        }
    }
}
