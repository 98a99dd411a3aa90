//! The ids that have been written: a file of vectors has one vector for each id.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use anyhow::bail;
use embtune_records::{Document, Location};
use xxhash_rust::xxh3::Xxh3;

use crate::input::fields::Fields;

/// The records that have been written.
pub(super) struct SeenIds {
    fields: Fields,
    /// By the hashes of their ids.
    seen: HashMap<u64, Record>,
    hasher: RandomState,
    /// The names of the inputs so far.
    inputs: Vec<Arc<str>>,
}

/// A record that has been written. It is small, because every id has one.
struct Record {
    /// Hash of the text.
    text: u32,
    /// Index in `inputs`.
    input: u32,
    line: u64,
}

impl SeenIds {
    /// `fields` says which texts are embedded.
    pub(super) fn new(fields: Fields) -> Self {
        Self { fields, seen: HashMap::new(), hasher: RandomState::new(), inputs: Vec::new() }
    }

    /// Adds a record. Returns false if an earlier record has the same id and the same text.
    ///
    /// # Errors
    /// An earlier record has the same id and another text.
    pub(super) fn insert(&mut self, record: &Document, location: &Location) -> anyhow::Result<bool> {
        let id = record.id();
        let mut text = Xxh3::new();
        self.fields.text(record).hash(&mut text);
        let text = text.digest() as u32;
        if self.inputs.last().is_none_or(|last| !Arc::ptr_eq(last, &location.name)) {
            self.inputs.push(Arc::clone(&location.name));
        }
        let new = Record { text, input: self.inputs.len() as u32 - 1, line: location.line };
        let Some(first) = self.seen.get(&self.hasher.hash_one(id)) else {
            self.seen.insert(self.hasher.hash_one(id), new);
            return Ok(true);
        };
        if first.text != text {
            let (name, line) = (&self.inputs[first.input as usize], first.line);
            bail!(
                "{location}: duplicate id \"{id}\": another text has it at {name}:{line}, and a file of vectors has \
                 one for each id\n\
                 hint: --format jsonl accepts both"
            );
        }
        Ok(false)
    }
}
