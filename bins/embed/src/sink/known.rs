//! The ids of a file of vectors, which names each vector by its id.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use anyhow::bail;
use embtune_records::{Document, Location};
use xxhash_rust::xxh3::Xxh3;

use crate::input::fields::Fields;

/// The records that were written.
pub(super) struct Known {
    fields: Fields,
    /// By the hash of their ids.
    seen: HashMap<u64, Seen>,
    hasher: RandomState,
    /// The inputs so far.
    inputs: Vec<Arc<str>>,
}

/// A record that was written, in few bytes: there is one for every id.
struct Seen {
    text: u32,
    /// Place in `inputs`.
    input: u32,
    line: u64,
}

impl Known {
    /// None yet; texts are those in `fields`.
    pub(super) fn new(fields: Fields) -> Self {
        Self { fields, seen: HashMap::new(), hasher: RandomState::new(), inputs: Vec::new() }
    }

    /// Whether the id is new.
    ///
    /// # Errors
    /// An id that was another text's.
    pub(super) fn is_new(&mut self, record: &Document, place: &Location) -> anyhow::Result<bool> {
        let id = record.id();
        let mut text = Xxh3::new();
        self.fields.text(record).hash(&mut text);
        let text = text.digest() as u32;
        if self.inputs.last().is_none_or(|last| !Arc::ptr_eq(last, &place.name)) {
            self.inputs.push(Arc::clone(&place.name));
        }
        let here = Seen { text, input: self.inputs.len() as u32 - 1, line: place.line };
        let Some(first) = self.seen.get(&self.hasher.hash_one(id)) else {
            self.seen.insert(self.hasher.hash_one(id), here);
            return Ok(true);
        };
        if first.text != text {
            let (name, line) = (&self.inputs[first.input as usize], first.line);
            bail!(
                "{place}: id \"{id}\" is that of another text at {name}:{line}, and a file of vectors has one for each id\n\
                 hint: --format jsonl takes both"
            );
        }
        Ok(false)
    }
}
