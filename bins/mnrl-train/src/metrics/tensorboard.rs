//! `--tensorboard`: metrics as event files, which TensorBoard shows while they grow.
//!
//! The messages are those of TensorBoard 2.21.0,
//! <https://github.com/tensorflow/tensorboard/blob/2.21.0/tensorboard/compat/proto/event.proto> and `summary.proto`
//! beside it, without the fields that are never written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crc32c::crc32c;
use prost::Message;

/// Every event file must begin with this version.
const FILE_VERSION: &str = "brain.Event:2";

/// An open event file. Every record goes to the system at once, so that TensorBoard sees it and a kill loses none.
pub(crate) struct TensorBoard {
    file: File,
    name: String,
}

impl TensorBoard {
    /// Creates a file in `folder`, which is created if it does not exist; files of earlier runs are kept.
    ///
    /// If the training resumes after step `resumed`, TensorBoard discards the values that an earlier process has logged
    /// of later steps, which are trained again.
    ///
    /// # Errors
    /// The folder cannot be written.
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
            board.append(first, What::SessionLog(SessionLog { status: SESSION_START }))?;
        }
        Ok(board)
    }

    /// Logs numbers of a step under their tags.
    ///
    /// # Errors
    /// A full disk.
    pub(super) fn scalars(&mut self, step: u64, scalars: &[(&str, f64)]) -> io::Result<()> {
        let value = |(tag, value): &(&str, f64)| Value { tag: (*tag).to_owned(), simple_value: Some(*value as f32) };
        self.append(step, What::Summary(Summary { value: scalars.iter().map(value).collect() }))
    }

    fn append(&mut self, step: u64, what: What) -> io::Result<()> {
        let event = Event { wall_time: wall_time(), step: step as i64, what: Some(what) };
        self.file.write_all(&tf_record(&event.encode_to_vec())).map_err(|error| named(&self.name, error))
    }
}

/// A TFRecord: `length u64, masked crc32c of the length u32, data, masked crc32c of the data u32`, little-endian.
///
/// Source: <https://www.tensorflow.org/tutorials/load_data/tfrecord>, "TFRecords format details".
fn tf_record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length, &masked_crc(&length).to_le_bytes()[..], data, &masked_crc(data).to_le_bytes()].concat()
}

/// The Castagnoli CRC, rotated and shifted: a plain CRC is weak on data that contain their own CRC.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn named(name: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    /// A member of a oneof, so it is written even if it is 0.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    /// An enumeration.
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `SessionStatus::START`.
const SESSION_START: i32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of the only file in a folder, read by code that shares nothing with the writer.
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
            let (length, after) = rest.split_at(8);
            let (crc, after) = after.split_at(4);
            assert_eq!(bitwise_masked_crc(length).to_le_bytes(), crc);
            let (data, after) = after.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
            let (crc, after) = after.split_at(4);
            assert_eq!(bitwise_masked_crc(data).to_le_bytes(), crc);
            events.push(Event::decode(data).unwrap());
            rest = after;
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
    fn logged_values_read_back() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("a/b");
        let mut board = TensorBoard::create(&folder, None).unwrap();
        let logged = [("train/loss", 0.0), ("train/learning_rate", 2e-5)];
        board.scalars(1, &logged).unwrap();
        board.scalars(1, &[("eval/recall@5", 0.25)]).unwrap();
        // Nothing is buffered.
        let events = read(&folder);
        assert_eq!(events[0].what, Some(What::FileVersion("brain.Event:2".into())));
        let scalars = |event: &Event| match &event.what {
            Some(What::Summary(summary)) => {
                summary.value.iter().map(|value| (value.tag.clone(), value.simple_value.unwrap())).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(scalars(&events[1]), logged.map(|(tag, value)| (tag.to_owned(), value as f32)));
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

    #[test]
    fn the_crc_is_castagnolis() {
        // RFC 3720, appendix B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&ascending), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    /// The bytes that tensorboard 2.21.0 writes with `RecordWriter(file).write(b"embtune")`.
    #[test]
    fn a_record_is_that_of_the_reference() {
        let reference =
            [7, 0, 0, 0, 0, 0, 0, 0, 187, 215, 159, 17, 101, 109, 98, 116, 117, 110, 101, 185, 219, 111, 45];
        assert_eq!(tf_record(b"embtune"), reference);
    }
}
