//! Fingerprints of the training texts, on disk until all held-out texts are known.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, Write as _};
use std::path::Path;

use embtune_model::Role;
use embtune_text::MinHash;

use crate::features::Fingerprint;

/// Fingerprints in an unnamed temporary file.
#[derive(Debug)]
pub(super) struct Trained {
    file: File,
    /// Bytes that are not in the file yet.
    unwritten: Vec<u8>,
    texts: u64,
}

const SIGNATURE_BYTES: usize = size_of::<MinHash>();

impl Trained {
    /// No texts yet, in a directory.
    pub(super) fn create(directory: &Path) -> io::Result<Self> {
        Ok(Self { file: tempfile::tempfile_in(directory)?, unwritten: Vec::new(), texts: 0 })
    }

    pub(super) fn push(&mut self, role: Role, fingerprint: &Fingerprint) {
        self.unwritten.extend([u8::from(role == Role::Query), u8::from(fingerprint.signature.is_some())]);
        self.unwritten.extend(fingerprint.hash.to_le_bytes());
        self.unwritten.extend(fingerprint.signature.iter().flat_map(MinHash::to_bytes));
        self.texts += 1;
    }

    /// Flushes the pushed entries to disk.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.unwritten)?;
        self.unwritten.clear();
        Ok(())
    }

    /// Calls `take` with all texts, in batches of this size.
    pub(super) fn batches(mut self, texts: usize, mut take: impl FnMut(&[(Role, Fingerprint)])) -> io::Result<()> {
        self.flush()?;
        self.file.rewind()?;
        let mut reader = BufReader::with_capacity(1 << 20, self.file);
        let mut batch = Vec::with_capacity(texts);
        for number in 1..=self.texts {
            batch.push(read(&mut reader)?);
            if batch.len() == texts || number == self.texts {
                take(&batch);
                batch.clear();
            }
        }
        Ok(())
    }
}

fn read(reader: &mut BufReader<File>) -> io::Result<(Role, Fingerprint)> {
    let ([mut is_query, mut is_signed], mut hash, mut signature) = ([[0; 1]; 2], [0; 8], [0; SIGNATURE_BYTES]);
    reader.read_exact(&mut is_query)?;
    reader.read_exact(&mut is_signed)?;
    reader.read_exact(&mut hash)?;
    if is_signed == [1] {
        reader.read_exact(&mut signature)?;
    }
    let role = if is_query == [1] { Role::Query } else { Role::Document };
    let signature = (is_signed == [1]).then(|| MinHash::from_bytes(signature));
    Ok((role, Fingerprint { hash: u64::from_le_bytes(hash), signature }))
}
