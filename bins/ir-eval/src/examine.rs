//! Whether the files of a system belong together, and to the judgments.

use std::collections::{HashMap, HashSet};

use anyhow::{bail, ensure};
use embtune_cli::Session;
use embtune_tensors::Embeddings;

use crate::judgments::Judgments;

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

/// Warns of relevant documents that the corpus lacks, and refuses a corpus that lacks them all.
///
/// They still count in R: a system cannot find what it was not given, and says so with a lower recall.
pub(crate) fn relevant_documents(
    system: &str,
    corpus: &Embeddings,
    judgments: &Judgments,
    session: &Session,
) -> anyhow::Result<()> {
    let mut absent: HashSet<&str> = judgments.relevant().map(|(_, document)| document).collect();
    for id in corpus.ids() {
        absent.remove(id);
    }
    let mut dangling = judgments.relevant().filter(|(_, document)| absent.contains(document));
    let Some((query, document)) = dangling.next() else { return Ok(()) };
    let (count, all) = (1 + dangling.count(), judgments.relevant().count());
    let example = format!("\"{document}\", relevant to query \"{query}\"");
    ensure!(
        count < all,
        "{}: holds none of the {all} relevant documents of the judgments (first: {example})\n\
         hint: the ids of both files must be the same texts",
        corpus.name()
    );
    session.warn(format!("{system}: {count} of {all} relevant documents are not in the corpus (first: {example})"));
    Ok(())
}
