//! What a result file that was fetched holds, in whatever state it is.

use std::fs::File;
use std::io::{BufReader, Seek as _};

use embtune_records::Lines;

use crate::llm::json;

/// What a file holds.
pub(super) struct Whole {
    /// Lines that are JSON.
    pub(super) count: u64,
    /// Whether the last one is not.
    pub(super) is_cut_off: bool,
}

/// Looks through a file, which is at its beginning before and after that.
pub(super) fn whole(name: &str, file: &mut File, most: usize) -> anyhow::Result<Whole> {
    let mut whole = Whole { count: 0, is_cut_off: false };
    let mut lines = Lines::new(name, BufReader::new(&mut *file), most);
    while let Some(line) = lines.next_bytes().transpose()? {
        if !line.bytes.trim_ascii().is_empty() {
            whole.is_cut_off = !line.is_whole || json::read(line.bytes).is_none();
            whole.count += u64::from(!whole.is_cut_off);
        }
    }
    file.rewind()?;
    Ok(whole)
}
