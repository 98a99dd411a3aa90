//! Comparing vectors with those of a reference.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::io::Write as _;

use embtune_cli::{Outcome, Output};
use embtune_records::{Document, Location};
use embtune_tensors::{Embeddings, EmbeddingsMeta, TensorsError, VectorType};

use super::{VectorWriter, Verification};
use crate::vectors::cosine;

/// Number of rows of the table.
const SHOWN: usize = 20;
/// Number of ids that are listed of those that only one side has.
const LISTED: usize = 10;

/// Compares vectors with those of a reference, and writes a table of the lowest cosines.
pub(super) struct Verifier {
    reference: Embeddings,
    /// For each id of the reference, its row, and whether the input has it.
    rows: HashMap<Box<str>, (usize, bool)>,
    vector_type: VectorType,
    min_cosine: f64,
    count: u64,
    below: u64,
    sum: f64,
    /// Lowest first.
    worst: Vec<(f64, String)>,
    only_in_input: Ids,
}

/// Ids that the other side lacks.
#[derive(Default)]
struct Ids {
    count: u64,
    first: Vec<String>,
}

impl Verifier {
    pub(super) fn open(verification: &Verification, vector_type: VectorType, dim: usize) -> anyhow::Result<Self> {
        let reference = Embeddings::open(&verification.reference)?;
        anyhow::ensure!(
            reference.is_empty() || reference.dim() == dim,
            "{}: has vectors of {} elements, but the model and the flags give {dim}",
            reference.name(),
            reference.dim()
        );
        let rows = reference.ids().zip(0..).map(|(id, row)| (id.into(), (row, false))).collect();
        Ok(Self {
            reference,
            rows,
            vector_type,
            min_cosine: verification.min_cosine,
            count: 0,
            below: 0,
            sum: 0.0,
            worst: Vec::new(),
            only_in_input: Ids::default(),
        })
    }

    fn compare(&mut self, id: &str, row: usize, vector: &[f32]) -> Result<(), TensorsError> {
        let cosine = cosine(&self.vector_type.rounded(vector), &self.reference.finite_rows_f32(row..row + 1)?);
        self.count += 1;
        self.below += u64::from(cosine < self.min_cosine);
        self.sum += cosine;
        // Equal cosines stay in the order of the input.
        let place = self.worst.partition_point(|(other, _)| other.total_cmp(&cosine) != Ordering::Greater);
        if place < SHOWN {
            self.worst.insert(place, (cosine, id.to_owned()));
            self.worst.truncate(SHOWN);
        }
        Ok(())
    }

    /// The ids of the reference that the input lacks.
    fn only_in_reference(&self) -> Ids {
        let mut ids = Ids::default();
        let is_missing = |id: &&str| self.rows.get(*id).is_some_and(|(_, is_seen)| !is_seen);
        self.reference.ids().filter(is_missing).for_each(|id| ids.add(id));
        ids
    }
}

impl VectorWriter for Verifier {
    fn write(
        &mut self,
        record: Document,
        _location: &Location,
        vector: &[f32],
        _out: &mut Output,
    ) -> anyhow::Result<bool> {
        let id = record.id();
        match self.rows.get_mut(id) {
            None => self.only_in_input.add(id),
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
        let only_in_reference = self.only_in_reference();
        self.only_in_input.write("the input", out)?;
        only_in_reference.write(self.reference.name(), out)?;
        let passes = self.below == 0 && self.only_in_input.count == 0 && only_in_reference.count == 0;
        Ok(if passes { Outcome::Done } else { Outcome::Incomplete })
    }
}

impl Ids {
    fn add(&mut self, id: &str) {
        self.count += 1;
        if self.first.len() < LISTED {
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
