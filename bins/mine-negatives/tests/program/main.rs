//! The real program, from its flags to its outputs. What every filter owes is tested in tests/tests/contract.

mod choice;
mod held_out;
mod mining;
mod parity;
mod refusals;

use embtune_tests::Folder;

/// The start of every command line. [`plane`] makes the files.
pub(crate) const MINE: &str = "mine-negatives -q --queries q --corpus c --texts corpus.jsonl";

/// A unit vector of the plane.
pub(crate) fn at(degrees: f32) -> [f32; 2] {
    [degrees.to_radians().cos(), degrees.to_radians().sin()]
}

/// Documents d0 to d9 at 0°, 10°, … 90°, so that a query at 0° finds them in this order; queries q0, q14 and q90.
pub(crate) fn plane() -> Folder {
    let folder = Folder::new();
    let vectors: Vec<(String, [f32; 2])> = (0..10_u8).map(|n| (format!("d{n}"), at(10.0 * f32::from(n)))).collect();
    let rows: Vec<(&str, &[f32])> = vectors.iter().map(|(id, vector)| (id.as_str(), &vector[..])).collect();
    folder.write_vectors("c", "document", &rows);
    folder.write_vectors("q", "query", &[("q0", &at(0.0)), ("q14", &at(14.0)), ("q90", &at(90.0))]);
    let documents = (0..10).map(|n| format!("{{\"_id\":\"d{n}\",\"title\":\"T{n}\",\"text\":\"text {n}\"}}\n"));
    folder.write("corpus.jsonl", documents.collect::<String>());
    folder.write("pairs.jsonl", pair("q0", "d0"));
    folder
}

/// A pair whose anchor names the query and whose positive is not the text of a document.
pub(crate) fn pair(query: &str, document: &str) -> String {
    let anchor = format!("anchor of {query}");
    format!(
        "{{\"anchor\":\"{anchor}\",\"positive\":\"a part of {document}\",\"anchor_id\":\"{query}\",\
         \"positive_id\":\"{document}\"}}\n"
    )
}
