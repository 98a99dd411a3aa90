//! Shards: written ones read back, damaged ones are refused.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use embtune_tensors::{Column, Hashes, Shard, ShardMeta, ShardRow, ShardWriter, TensorFile, TensorsError};
use half::f16;

fn meta() -> ShardMeta {
    ShardMeta {
        tokenizer: "t".into(),
        vocab_size: 10,
        query_max_length: 8,
        document_max_length: 8,
        ..ShardMeta::default()
    }
}

fn finish(writer: ShardWriter, directory: &Path) -> PathBuf {
    let path = directory.join("s.safetensors");
    writer.finish(meta(), &mut File::create(&path).unwrap()).unwrap();
    path
}

fn row(tokens: &[u32], hash: u64) -> ShardRow<'_> {
    ShardRow { tokens, hashes: Hashes { text: hash, document: hash + 1, group: 0 }, ..ShardRow::default() }
}

fn write(directory: &Path, largest: u32) -> PathBuf {
    let mut writer = ShardWriter::new(directory, None).unwrap();
    writer.push(row(&[1, 2], 1), row(&[3], 2), []).unwrap();
    writer.push(row(&[4], 3), row(&[5, 6], 4), [row(&[7], 5), row(&[8, largest], 6)]).unwrap();
    finish(writer, directory)
}

/// Two pairs with one negative, whose score is unknown.
fn write_all_parts(directory: &Path) -> PathBuf {
    let mut writer = ShardWriter::new(directory, Some(2)).unwrap();
    let with = |tokens, score, guide| ShardRow { score, guide, ..row(tokens, 1) };
    writer.push(with(&[1], None, &[1.0, 0.0]), with(&[2, 3], Some(0.5), &[3.0, 4.0]), []).unwrap();
    let negative = with(&[6], None, &[0.0, 0.0]);
    writer.push(with(&[4], None, &[0.0, -1e30]), with(&[5], Some(-2.0), &[0.0, 1.0]), [negative]).unwrap();
    finish(writer, directory)
}

#[test]
fn a_shard_reads_back_as_written() {
    let directory = tempfile::tempdir().unwrap();
    let shard = Shard::open(&write(directory.path(), 9)).unwrap();
    assert_eq!((shard.pairs(), shard.negatives(0), shard.negatives(1)), (2, 0..0, 0..2));
    assert_eq!(shard.tokens(Column::Anchor, 0).unwrap(), [1, 2]);
    assert_eq!(shard.tokens(Column::Negative, 1).unwrap(), [8, 9]);
    assert_eq!((shard.length(Column::Negative, 0), shard.length(Column::Negative, 1)), (1, 2));
    assert_eq!(shard.hashes(Column::Positive, 1), Hashes { text: 4, document: 5, group: 0 });
    assert_eq!((shard.score(Column::Positive, 1), shard.guide_dimension()), (None, None));
    assert!(shard.guide(Column::Positive, 1).unwrap().is_empty());
}

#[test]
fn scores_and_guide_vectors_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let shard = Shard::open(&write_all_parts(directory.path())).unwrap();
    let scores = |column, row| shard.score(column, row);
    assert_eq!((scores(Column::Positive, 0), scores(Column::Positive, 1)), (Some(0.5), Some(-2.0)));
    assert_eq!((scores(Column::Negative, 0), scores(Column::Anchor, 0)), (None, None));
    assert_eq!(shard.guide_dimension(), Some(2));
    // Length 1, to the precision of f16; large numbers do not overflow, zeros stay zeros.
    let guide = shard.guide(Column::Positive, 0).unwrap();
    assert!((guide[0] - 0.6).abs() < 5e-4 && (guide[1] - 0.8).abs() < 5e-4, "{guide:?}");
    assert_eq!(shard.guide(Column::Anchor, 1).unwrap(), [0.0, -1.0]);
    assert_eq!(shard.guide(Column::Negative, 0).unwrap(), [0.0, 0.0]);
}

#[test]
fn scores_are_not_written_if_no_row_has_one() {
    let directory = tempfile::tempdir().unwrap();
    let names = |path: PathBuf| TensorFile::open(&path).unwrap().names();
    let is_optional = |name: &String| name.ends_with("scores") || name.ends_with("guide");
    assert!(!names(write(directory.path(), 9)).iter().any(is_optional));
    let optional: Vec<_> = names(write_all_parts(directory.path())).into_iter().filter(is_optional).collect();
    let expected = ["anchor.guide", "positive.scores", "positive.guide", "negative.scores", "negative.guide"];
    assert_eq!(optional, expected);
}

#[test]
fn a_guide_vector_of_another_size_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = ShardWriter::new(directory.path(), Some(2)).unwrap();
    let error = writer.push(row(&[1], 1), row(&[1], 1), []).unwrap_err().to_string();
    assert_eq!(error, "guide's vector has 0 dimensions, expected 2");
}

#[test]
fn a_token_outside_the_vocabulary_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let error = Shard::open(&write(directory.path(), 10)).err().unwrap().to_string();
    assert!(error.ends_with("token id 10, but the vocabulary has 10"), "{error}");
}

/// The message about the shard with all parts after some bytes of a tensor were replaced.
fn refusal(tensor: &str, at: usize, bytes: &[u8]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = write_all_parts(directory.path());
    let start = TensorFile::open(&path).unwrap().offset(tensor).unwrap() + at;
    let mut content = fs::read(&path).unwrap();
    content[start..start + bytes.len()].copy_from_slice(bytes);
    fs::write(&path, content).unwrap();
    Shard::open(&path).err().unwrap().to_string()
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    let message = refusal("positive.scores", 4, &f32::NEG_INFINITY.to_le_bytes());
    assert!(message.ends_with("entry 1 of \"positive.scores\" is -inf"), "{message}");
    for number in [f16::NAN, f16::INFINITY, f16::NEG_INFINITY] {
        let message = refusal("positive.guide", 6, &number.to_le_bytes());
        assert!(message.ends_with("\"positive.guide\" holds NaN or infinity in row 1"), "{message}");
    }
}

/// The message about the shard with all parts after its header was edited, at the same length.
fn refusal_of_header(from: &str, to: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = write_all_parts(directory.path());
    let content = fs::read(&path).unwrap();
    let at = content.windows(from.len()).position(|bytes| bytes == from.as_bytes()).unwrap();
    let edited = [&content[..at], to.as_bytes(), &content[at + from.len()..]].concat();
    fs::write(&path, edited).unwrap();
    Shard::open(&path).err().unwrap().to_string()
}

#[test]
fn tensors_that_do_not_match_are_refused() {
    let message = refusal_of_header("anchor.guide", "anchor.xuide");
    assert!(message.contains("missing in a column"), "{message}");
    let message = refusal_of_header("\"F16\",\"shape\":[2,2]", "\"F16\",\"shape\":[4,1]");
    assert!(message.ends_with("2 rows but 4 of \"anchor.guide\""), "{message}");
    let message = refusal_of_header("\"F32\",\"shape\":[2]", "\"I32\",\"shape\":[2]");
    assert!(message.contains("tensor \"positive.scores\" must be F32"), "{message}");
}

/// Reads everything in a shard.
fn read(shard: &Shard) {
    let rows = |pair| {
        let negatives = shard.negatives(pair).map(|row| (Column::Negative, row));
        [(Column::Anchor, pair), (Column::Positive, pair)].into_iter().chain(negatives)
    };
    for (column, row) in (0..shard.pairs()).flat_map(rows) {
        assert_eq!(shard.tokens(column, row).unwrap().len(), shard.length(column, row));
        let guide = shard.guide(column, row).unwrap();
        assert_eq!(guide.len(), shard.guide_dimension().unwrap_or(0));
        assert!(guide.iter().all(|x| x.is_finite()));
        assert!(shard.score(column, row).is_none_or(f32::is_finite));
    }
}

#[test]
fn truncated_shards_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = write_all_parts(directory.path());
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(Shard::open(&path).is_err(), "{length} of {} bytes", whole.len());
    }
}

#[test]
fn damaged_shards_do_not_crash() {
    let directory = tempfile::tempdir().unwrap();
    let path = write_all_parts(directory.path());
    let whole = fs::read(&path).unwrap();
    for index in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[index] ^= 0x41;
        fs::write(&path, bytes).unwrap();
        if let Ok(shard) = Shard::open(&path) {
            read(&shard);
        }
    }
}

#[test]
fn processes_read_and_check_their_parts_only() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = ShardWriter::new(directory.path(), None).unwrap();
    let text = [5; 2000];
    for pair in 0..2000 {
        writer.push(row(&[1], pair), row(&text, pair), []).unwrap();
    }
    let path = finish(writer, directory.path());
    let size = fs::metadata(&path).unwrap().len();
    let fingerprint = Shard::open(&path).unwrap().fingerprint();
    for number in 0..4 {
        let shard = Shard::open_part(&path, number, 4).unwrap();
        assert_eq!(shard.fingerprint(), fingerprint);
        let share = touched(&path) as f64 / size as f64;
        assert!((0.2..0.3).contains(&share), "part {number}: {share} of the file was read");
    }
    let whole = Shard::open(&path).unwrap();
    assert!(touched(&path) as f64 > 0.99 * size as f64);
    drop(whole);
    // Damage is found in its part, and when the whole shard is checked.
    let at = TensorFile::open(&path).unwrap().offset("positive.input_ids").unwrap() + 4 * 2000 * 1200;
    let mut bytes = fs::read(&path).unwrap();
    bytes[at..at + 4].copy_from_slice(&77_u32.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let refused = |opened: Result<Shard, TensorsError>| {
        opened.err().is_some_and(|error| error.to_string().contains("token id 77"))
    };
    let parts = [0, 1, 2, 3].map(|number| refused(Shard::open_part(&path, number, 4)));
    assert_eq!(parts, [false, false, true, false]);
    assert!(refused(Shard::open(&path)));
    // A process that has checked another part finds it when the row is read.
    let shard = Shard::open_part(&path, 0, 4).unwrap();
    let message = shard.tokens(Column::Positive, 1200).unwrap_err().to_string();
    let expected = "token id 77 in row 1200 of \"positive\", but the vocabulary has 10";
    assert_eq!(message, format!("{}: {expected}", path.display()));
    assert_eq!(shard.tokens(Column::Positive, 1199).unwrap(), text);
}

#[test]
fn a_damaged_guide_vector_is_found_when_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = write_all_parts(directory.path());
    let at = TensorFile::open(&path).unwrap().offset("positive.guide").unwrap() + 2;
    let mut bytes = fs::read(&path).unwrap();
    bytes[at..at + 2].copy_from_slice(&half::f16::NAN.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    assert!(Shard::open(&path).is_err());
    // Of two processes the second has the other row.
    let shard = Shard::open_part(&path, 1, 2).unwrap();
    let message = shard.guide(Column::Positive, 0).unwrap_err().to_string();
    assert!(message.ends_with("\"positive.guide\" holds NaN or infinity in row 0"), "{message}");
    assert_eq!(shard.guide(Column::Positive, 1).unwrap(), [0.0, 1.0]);
}

/// Bytes of a mapped file that this process has read; see proc_pid_smaps(5).
fn touched(path: &Path) -> u64 {
    let maps = fs::read_to_string("/proc/self/smaps").unwrap();
    let mut lines = maps.lines().skip_while(|line| !line.ends_with(path.to_str().unwrap()));
    let line = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn the_fingerprint_depends_on_texts_scores_and_settings() {
    let directory = tempfile::tempdir().unwrap();
    let write = |hash: u64, score: f32, length: usize| {
        let mut writer = ShardWriter::new(directory.path(), None).unwrap();
        writer.push(row(&[1], hash), ShardRow { score: Some(score), ..row(&[2; 3][..length], 7) }, []).unwrap();
        Shard::open(&finish(writer, directory.path())).unwrap().fingerprint()
    };
    let first = write(1, 0.5, 3);
    assert_eq!(write(1, 0.5, 3), first);
    for other in [write(2, 0.5, 3), write(1, 0.25, 3), write(1, 0.5, 2)] {
        assert_ne!(other, first);
    }
}
