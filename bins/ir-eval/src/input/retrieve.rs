//! What a system retrieves.

use std::path::Path;

use embtune_cli::Session;
use embtune_records::{Judgments, Run};

use super::examine::check_run;
use super::model::ModelSettings;
use super::system::{Source, System};
use super::vectors::{VectorSearch, Vectors};
use crate::measure::Rules;

/// Turns systems into rankings, one after the other.
pub(crate) struct Retriever<'a> {
    pub(crate) search: VectorSearch<'a>,
    pub(crate) model: ModelSettings,
    pub(crate) rules: Rules,
    /// Hits that are kept of each query that is searched.
    pub(crate) depth: usize,
    pub(crate) session: &'a Session,
}

/// What a system retrieved, and where that comes from.
pub(crate) struct Retrieved {
    /// Each query's documents, best first.
    pub(crate) run: Run,
    pub(crate) origin: String,
}

impl Retriever<'_> {
    /// The rankings of a system. Of vectors, as many hits as the search has; of a run, all.
    pub(crate) fn retrieve(&mut self, system: &System, judgments: &Judgments) -> anyhow::Result<Retrieved> {
        let (mut run, origin, most) = match &system.source {
            Source::Vectors { queries, corpus, full } => {
                let vectors = Vectors::open(queries, corpus, full.as_deref())?;
                (self.search.run(&system.name, &vectors, judgments)?, origin(&vectors), self.depth)
            }
            Source::ModelOrRun(name) => match self.model.locate(name)? {
                Some(directory) => {
                    let folder = tempfile::tempdir()?;
                    let vectors = self.model.embed(&directory, folder.path(), judgments, self.session)?;
                    let run = self.search.run(&system.name, &vectors, judgments)?;
                    (run, format!("{}: {}", name.display(), origin(&vectors)), self.depth)
                }
                None => (self.read(name, judgments)?, format!("run {}", name.display()), usize::MAX),
            },
        };
        for (query, documents) in &mut run.queries {
            if self.rules.exclude_self {
                documents.retain(|entry| entry.document != *query);
            }
            documents.sort_by(|a, b| self.rules.order(a, b));
            documents.truncate(most);
        }
        Ok(Retrieved { run, origin })
    }

    fn read(&self, path: &Path, judgments: &Judgments) -> anyhow::Result<Run> {
        let input = self.session.input(path)?;
        let name = input.name.clone();
        let run = Run::read(&name, input, |note| self.session.notice(note))?;
        check_run(&name, &run, judgments)?;
        Ok(run)
    }
}

/// In words, where vectors come from.
fn origin(vectors: &Vectors) -> String {
    let Vectors { queries, corpus, full } = vectors;
    let mut words = format!("{} vectors of {} elements", corpus.len(), corpus.dim());
    if let Some(meta) = corpus.meta().or(queries.meta()) {
        words += &format!(" ({}), model {}", meta.dtype, meta.model);
    }
    if full.is_some() {
        words += ", hits ordered by full vectors";
    }
    words
}
