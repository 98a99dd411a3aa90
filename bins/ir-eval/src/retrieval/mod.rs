//! The rankings of the systems: searched with vectors, or read from a run.

mod checks;
mod model;
mod search;

use std::path::Path;

use embtune_cli::Session;
use embtune_records::{Judgments, Run};

use crate::measure::Rules;
use crate::system::{Origin, System};
use checks::check_run;
use search::Vectors;

pub(crate) use model::ModelSettings;
pub(crate) use search::{SearchSettings, VectorSearch};

/// Turns systems into rankings, one after the other.
pub(crate) struct Retriever<'a> {
    pub(crate) search: VectorSearch<'a>,
    pub(crate) model: ModelSettings,
    pub(crate) rules: Rules,
    /// How many hits are kept per query of a search.
    pub(crate) depth: usize,
    pub(crate) session: &'a Session,
}

/// The documents that a system retrieved, and their source.
pub(crate) struct Retrieved {
    /// Each query's documents, best first.
    pub(crate) run: Run,
    /// A description for the report.
    pub(crate) origin: String,
}

impl Retriever<'_> {
    /// The rankings of a system, cut at the depth if they are searched here. A run is taken whole.
    pub(crate) fn retrieve(&mut self, system: &System, judgments: &Judgments) -> anyhow::Result<Retrieved> {
        let (mut run, origin, depth) = match &system.origin {
            Origin::Vectors { queries, corpus, full } => {
                let vectors = Vectors::open(queries, corpus, full.as_deref())?;
                (self.search.run(&system.name, &vectors, judgments)?, describe(&vectors), self.depth)
            }
            Origin::ModelOrRun(name) => match self.model.locate(name)? {
                Some(directory) => {
                    let folder = tempfile::tempdir()?;
                    let vectors = self.model.embed(&directory, folder.path(), judgments, self.session)?;
                    let run = self.search.run(&system.name, &vectors, judgments)?;
                    (run, format!("{}: {}", name.display(), describe(&vectors)), self.depth)
                }
                None => (self.read_run(name, judgments)?, format!("run {}", name.display()), usize::MAX),
            },
        };
        for (query, documents) in &mut run.queries {
            if self.rules.exclude_self {
                documents.retain(|entry| entry.document != *query);
            }
            documents.sort_by(|a, b| self.rules.order(a, b));
            documents.truncate(depth);
        }
        Ok(Retrieved { run, origin })
    }

    fn read_run(&self, path: &Path, judgments: &Judgments) -> anyhow::Result<Run> {
        let input = self.session.input(path)?;
        let name = input.name.clone();
        let run = Run::read(&name, input, |note| self.session.notice(note))?;
        check_run(&name, &run, judgments)?;
        Ok(run)
    }
}

/// A description of the source of vectors.
fn describe(vectors: &Vectors) -> String {
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
