//! An event file that grows step by step.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use embtune_metrics::Metric;
use prost::Message as _;

use super::event::{Event, SessionLog, SessionStatus, Summary, Value, What};
use super::record::framed;
use crate::report::metrics::Step;

/// What TensorBoard expects in front of everything else.
const FILE_VERSION: &str = "brain.Event:2";

/// An open event file. Every record is handed to the system at once, so that TensorBoard sees it and a kill loses none.
pub(crate) struct TensorBoard {
    file: File,
    name: String,
}

impl TensorBoard {
    /// Starts a file in `folder`, which is created if need be; files of earlier runs stay beside it.
    ///
    /// A training that goes on behind step `resumed` makes TensorBoard forget what the earlier process has logged of
    /// later steps, which are done again.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub(crate) fn create(folder: &Path, resumed: Option<u64>) -> io::Result<Self> {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = if host.trim().is_empty() { "localhost" } else { host.trim() };
        let seconds = wall_time() as u64;
        let path = folder.join(format!("events.out.tfevents.{seconds:010}.{host}.{}", std::process::id()));
        let name = path.display().to_string();
        let file = fs::create_dir_all(folder)
            .and_then(|()| OpenOptions::new().append(true).create(true).open(&path))
            .map_err(|error| named(&name, error))?;
        let mut board = Self { file, name };
        let first = resumed.map_or(0, |step| step + 1);
        board.append(first, What::FileVersion(FILE_VERSION.into()))?;
        if resumed.is_some() {
            board.append(first, What::SessionLog(SessionLog { status: SessionStatus::Start.into() }))?;
        }
        Ok(board)
    }

    /// Logs a step.
    ///
    /// # Errors
    /// A full disk.
    pub(crate) fn step(&mut self, step: &Step) -> io::Result<()> {
        self.scalars(
            step.step,
            &[
                ("train/loss", step.loss),
                ("train/learning_rate", step.learning_rate),
                ("train/grad_norm", step.grad_norm),
                ("train/tokens_per_sec", step.tokens_per_sec),
            ],
        )
    }

    /// Logs a figure of the dev set, of the weights after `step`.
    ///
    /// # Errors
    /// A full disk.
    pub(crate) fn evaluation(&mut self, step: u64, metric: Metric, score: f64) -> io::Result<()> {
        self.scalars(step, &[(&format!("eval/{metric}"), score)])
    }

    fn scalars(&mut self, step: u64, scalars: &[(&str, f64)]) -> io::Result<()> {
        let value = |(tag, value): &(&str, f64)| Value { tag: (*tag).to_owned(), simple_value: Some(*value as f32) };
        self.append(step, What::Summary(Summary { value: scalars.iter().map(value).collect() }))
    }

    fn append(&mut self, step: u64, what: What) -> io::Result<()> {
        let event = Event { wall_time: wall_time(), step: step as i64, what: Some(what) };
        self.file.write_all(&framed(&event.encode_to_vec())).map_err(|error| named(&self.name, error))
    }
}

fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn named(name: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: u64, loss: f64) -> Step {
        Step {
            step,
            epoch: 0.5,
            loss,
            learning_rate: 2e-5,
            grad_norm: 1.5,
            tokens: 100,
            tokens_per_sec: 1000.0,
            masked: 0,
            memory_mb: 0,
            sent_bytes: None,
        }
    }

    /// The events of the only file in a folder, by a reader that shares no code with the writer.
    fn read(folder: &Path) -> Vec<Event> {
        let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1);
        let name = files[0].file_name().unwrap().to_str().unwrap();
        let parts: Vec<&str> = name.splitn(5, '.').collect();
        assert!(parts[..3] == ["events", "out", "tfevents"] && parts[3].len() == 10, "{name}");
        assert!(name.ends_with(&format!(".{}", std::process::id())), "{name}");
        let bytes = fs::read(&files[0]).unwrap();
        let mut rest = &bytes[..];
        let mut events = Vec::new();
        while !rest.is_empty() {
            let (length, behind) = rest.split_at(8);
            let (crc, behind) = behind.split_at(4);
            assert_eq!(bitwise_masked_crc(length).to_le_bytes(), crc);
            let (data, behind) = behind.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
            let (crc, behind) = behind.split_at(4);
            assert_eq!(bitwise_masked_crc(data).to_le_bytes(), crc);
            events.push(Event::decode(data).unwrap());
            rest = behind;
        }
        events
    }

    /// Bit by bit, from the polynomial.
    fn bitwise_masked_crc(data: &[u8]) -> u32 {
        let mut crc = u32::MAX;
        for byte in data {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
            }
        }
        (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
    }

    #[test]
    fn what_is_logged_reads_back() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("a/b");
        let mut board = TensorBoard::create(&folder, None).unwrap();
        board.step(&step(1, 0.0)).unwrap();
        board.evaluation(1, "recall@5".parse().unwrap(), 0.25).unwrap();
        // Nothing waits in a buffer.
        let events = read(&folder);
        assert_eq!(events[0].what, Some(What::FileVersion("brain.Event:2".into())));
        let scalars = |event: &Event| match &event.what {
            Some(What::Summary(summary)) => {
                summary.value.iter().map(|value| (value.tag.clone(), value.simple_value.unwrap())).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
        let expected = [
            ("train/loss", 0.0),
            ("train/learning_rate", 2e-5),
            ("train/grad_norm", 1.5),
            ("train/tokens_per_sec", 1000.0),
        ];
        assert_eq!(scalars(&events[1]), expected.map(|(tag, value)| (tag.to_owned(), value)));
        assert_eq!(scalars(&events[2]), [("eval/recall@5".to_owned(), 0.25)]);
        assert_eq!(events.iter().map(|event| event.step).collect::<Vec<_>>(), [0, 1, 1]);
        assert!(events.is_sorted_by(|a, b| a.wall_time <= b.wall_time) && events[0].wall_time > 1.7e9);
    }

    #[test]
    fn a_resumed_training_says_from_where() {
        let place = tempfile::tempdir().unwrap();
        drop(TensorBoard::create(place.path(), Some(40)).unwrap());
        let events = read(place.path());
        assert!(events.iter().all(|event| event.step == 41));
        assert_eq!(events[1].what, Some(What::SessionLog(SessionLog { status: 1 })));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, "").unwrap();
        let message = TensorBoard::create(&file, None).err().unwrap().to_string();
        assert!(message.contains("file/events.out.tfevents."), "{message}");
    }
}
