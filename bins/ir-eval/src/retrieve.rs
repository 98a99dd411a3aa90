//! What a system retrieves.

use embtune_cli::Session;
use embtune_metrics::trec_order;
use embtune_records::{Judgments, Run};

use crate::system::{Source, System};
use crate::vectors::VectorSearch;

/// The rankings of a system: each query's documents, best first, at most `search.depth()` of them.
pub(crate) fn retrieve(
    system: &System,
    judgments: &Judgments,
    search: &mut VectorSearch<'_>,
    session: &Session,
) -> anyhow::Result<Run> {
    let mut run = match &system.source {
        Source::Vectors { queries, corpus } => search.run(&system.name, queries, corpus, judgments)?,
        Source::Run(path) => {
            let input = session.input(path)?;
            let name = input.name.clone();
            let run = Run::read(&name, input)?;
            anyhow::ensure!(
                judgments.ids().any(|id| run.queries.contains_key(id)),
                "{name}: holds no query of the judgments\nhint: the ids of both files must be the same texts"
            );
            run
        }
    };
    for documents in run.queries.values_mut() {
        documents.sort_by(|a, b| trec_order((a.score, &a.document), (b.score, &b.document)));
        documents.truncate(search.depth());
    }
    Ok(run)
}
