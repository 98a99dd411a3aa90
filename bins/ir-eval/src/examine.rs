//! Whether the files of a system belong together, and to the judgments.

use std::collections::{HashMap, HashSet};

use anyhow::bail;
use embtune_records::Judgments;
use embtune_tensors::Embeddings;

/// Every query of the judgments that has a vector, with the vector's index.
pub(crate) fn judged_rows<'a>(
    queries: &Embeddings,
    corpus: &Embeddings,
    judgments: &'a Judgments,
) -> anyhow::Result<Vec<(&'a str, usize)>> {
    let index: HashMap<&str, usize> = queries.ids().zip(0..).collect();
    let rows: Vec<_> = judgments.ids().filter_map(|id| Some((id, *index.get(id)?))).collect();
    if rows.is_empty() {
        let wanted: HashSet<&str> = judgments.ids().collect();
        let hint = match corpus.ids().any(|id| wanted.contains(id)) {
            true => "hint: a system is NAME=QUERIES,CORPUS: the queries' file comes first",
            false => "hint: the ids of both files must be the same texts",
        };
        bail!("{}: holds no query of the judgments\n{hint}", queries.name());
    }
    Ok(rows)
}
