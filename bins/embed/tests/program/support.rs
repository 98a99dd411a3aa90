//! A folder with a small model, and runs of embed in it.

use embtune_tensors::Embeddings;
use embtune_tests::{Folder, Run};
use serde_json::Value;

/// Tolerance for elements of size 1: other batches sum in another order, which changes the last bits.
pub(crate) const ROUNDING: f32 = 1e-6;

/// Runs embed on documents, with more flags.
pub(crate) fn embed(folder: &Folder, flags: &str) -> Run {
    folder.run(&format!("embed --device cpu --model BASE --role document {flags}"))
}

/// The vector of a line of output.
pub(crate) fn vector(record: &Value) -> Vec<f32> {
    record["embedding"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

/// All vectors that a run with these flags prints.
pub(crate) fn vectors(folder: &Folder, flags: &str) -> Vec<Vec<f32>> {
    embed(folder, flags).records().iter().map(vector).collect()
}

/// All vectors of a file, as other filters read them.
pub(crate) fn of_file(folder: &Folder, name: &str) -> (Embeddings, Vec<Vec<f32>>) {
    let file = Embeddings::open(&folder.path(name)).unwrap();
    let rows = (0..file.len()).map(|row| file.rows_f32(row..row + 1).into_owned()).collect();
    (file, rows)
}

pub(crate) fn norm(vector: &[f32]) -> f32 {
    vector.iter().map(|x| x * x).sum::<f32>().sqrt()
}

#[track_caller]
pub(crate) fn assert_near(left: &[Vec<f32>], right: &[Vec<f32>], tolerance: f32) {
    assert_eq!(left.len(), right.len());
    for (row, (left, right)) in left.iter().zip(right).enumerate() {
        assert_eq!(left.len(), right.len(), "row {row}");
        for (x, y) in left.iter().zip(right) {
            assert!((x - y).abs() <= tolerance, "row {row}: {x} and {y}");
        }
    }
}
