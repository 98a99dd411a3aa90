//! The texts of training pairs, on disk until all held-out ones are known.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, Write as _};
use std::path::Path;

use embtune_text::MinHash;

use crate::print::Print;

/// Which column a text is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Query,
    Document,
}

/// What texts are compared by, in an unnamed temporary file.
#[derive(Debug)]
pub(super) struct Trained {
    file: File,
    /// What is not there yet.
    unwritten: Vec<u8>,
    texts: u64,
}

const SIGNATURE_BYTES: usize = size_of::<MinHash>();

impl Trained {
    /// No texts yet, in a directory.
    pub(super) fn create(directory: &Path) -> io::Result<Self> {
        Ok(Self { file: tempfile::tempfile_in(directory)?, unwritten: Vec::new(), texts: 0 })
    }

    pub(super) fn push(&mut self, kind: Kind, print: &Print) {
        self.unwritten.extend([u8::from(kind == Kind::Query), u8::from(print.signature.is_some())]);
        self.unwritten.extend(print.hash.to_le_bytes());
        self.unwritten.extend(print.signature.iter().flat_map(MinHash::to_bytes));
        self.texts += 1;
    }

    /// Puts on disk what was pushed.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.unwritten)?;
        self.unwritten.clear();
        Ok(())
    }

    /// Calls `take` with all texts, so many at a time.
    pub(super) fn windows(mut self, texts: usize, mut take: impl FnMut(&[(Kind, Print)])) -> io::Result<()> {
        self.flush()?;
        self.file.rewind()?;
        let mut reader = BufReader::with_capacity(1 << 20, self.file);
        let mut window = Vec::with_capacity(texts);
        for number in 1..=self.texts {
            window.push(read(&mut reader)?);
            if window.len() == texts || number == self.texts {
                take(&window);
                window.clear();
            }
        }
        Ok(())
    }
}

fn read(reader: &mut BufReader<File>) -> io::Result<(Kind, Print)> {
    let ([mut is_query, mut is_signed], mut hash, mut signature) = ([[0; 1]; 2], [0; 8], [0; SIGNATURE_BYTES]);
    reader.read_exact(&mut is_query)?;
    reader.read_exact(&mut is_signed)?;
    reader.read_exact(&mut hash)?;
    if is_signed == [1] {
        reader.read_exact(&mut signature)?;
    }
    let kind = if is_query == [1] { Kind::Query } else { Kind::Document };
    let signature = (is_signed == [1]).then(|| MinHash::from_bytes(signature));
    Ok((kind, Print { hash: u64::from_le_bytes(hash), signature }))
}
