//! Vectors against those of a reference.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;

use embtune_cli::{Outcome, Output};
use embtune_records::{Document, Location};
use embtune_tensors::{Embeddings, EmbeddingsMeta, TensorsError, VectorType};

use super::Sink;
use crate::sink::shape::cosine;

/// Rows of the table.
const SHOWN: usize = 20;
/// Ids that are named of those that only one side has.
const NAMED: usize = 10;

pub(super) struct Verify {
    reference: Embeddings,
    /// Row of each id, and whether the input has it.
    rows: HashMap<Box<str>, (usize, bool)>,
    stored: VectorType,
    min_cosine: f64,
    count: u64,
    below: u64,
    sum: f64,
    /// Lowest first.
    worst: Vec<(f64, String)>,
    only_input: Ids,
}

/// Ids that one side lacks.
#[derive(Default)]
struct Ids {
    count: u64,
    first: Vec<String>,
}

impl Verify {
    pub(super) fn open(path: &Path, stored: VectorType, dim: usize, min_cosine: f64) -> anyhow::Result<Self> {
        let reference = Embeddings::open(path)?;
        anyhow::ensure!(
            reference.is_empty() || reference.dim() == dim,
            "{}: has vectors of {} elements, the model and the flags give {dim}",
            reference.name(),
            reference.dim()
        );
        let rows = reference.ids().zip(0..).map(|(id, row)| (id.into(), (row, false))).collect();
        Ok(Self {
            reference,
            rows,
            stored,
            min_cosine,
            count: 0,
            below: 0,
            sum: 0.0,
            worst: Vec::new(),
            only_input: Ids::default(),
        })
    }

    fn compare(&mut self, id: &str, row: usize, vector: &[f32]) -> Result<(), TensorsError> {
        let cosine = cosine(&self.stored.rounded(vector), &self.reference.finite_rows_f32(row..row + 1)?);
        self.count += 1;
        self.below += u64::from(cosine < self.min_cosine);
        self.sum += cosine;
        // Equal cosines stand in the order of the input.
        let place = self.worst.partition_point(|(other, _)| other.total_cmp(&cosine) != Ordering::Greater);
        if place < SHOWN {
            self.worst.insert(place, (cosine, id.to_owned()));
            self.worst.truncate(SHOWN);
        }
        Ok(())
    }

    /// Ids of the reference that the input has not.
    fn only_reference(&self) -> Ids {
        let mut ids = Ids::default();
        let is_missing = |id: &&str| self.rows.get(*id).is_some_and(|(_, is_seen)| !is_seen);
        self.reference.ids().filter(is_missing).for_each(|id| ids.add(id));
        ids
    }
}

impl Sink for Verify {
    fn write(
        &mut self,
        record: Document,
        _place: &Location,
        vector: &[f32],
        _out: &mut Output,
    ) -> anyhow::Result<bool> {
        let id = record.id();
        match self.rows.get_mut(id) {
            None => self.only_input.add(id),
            Some((row, is_seen)) => {
                *is_seen = true;
                let row = *row;
                self.compare(id, row, vector)?;
            }
        }
        Ok(true)
    }

    fn finish(
        self: Box<Self>,
        _meta: &mut dyn FnMut() -> anyhow::Result<EmbeddingsMeta>,
        out: &mut Output,
    ) -> anyhow::Result<Outcome> {
        writeln!(out, "cosine\tid")?;
        for (cosine, id) in &self.worst {
            writeln!(out, "{cosine:.8}\t{id}")?;
        }
        if let Some((lowest, _)) = self.worst.first() {
            let mean = self.sum / self.count as f64;
            writeln!(out, "# lowest {lowest:.8}, mean {mean:.8}")?;
        }
        writeln!(out, "# {} compared, {} below {}", self.count, self.below, self.min_cosine)?;
        let only_reference = self.only_reference();
        self.only_input.write("the input", out)?;
        only_reference.write(self.reference.name(), out)?;
        let is_good = self.below == 0 && self.only_input.count == 0 && only_reference.count == 0;
        Ok(if is_good { Outcome::Done } else { Outcome::Incomplete })
    }
}

impl Ids {
    fn add(&mut self, id: &str) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(id.to_owned());
        }
    }

    fn write(&self, side: &str, out: &mut Output) -> std::io::Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let more = if self.first.len() as u64 == self.count { "" } else { ", ..." };
        writeln!(out, "# {} only in {side}: {}{more}", self.count, self.first.join(", "))
    }
}
