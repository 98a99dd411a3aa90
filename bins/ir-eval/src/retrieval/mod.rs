//! The rankings of the systems: searched with vectors, or read from a run.

mod checks;
mod model;
mod search;

use std::num::NonZeroUsize;
use std::path::Path;

use clap::Args;
use embtune_cli::{OrtArgs, Session, parse_rank};
use embtune_records::{Judgments, Run};
use embtune_search::{Searcher, Similarity};

use crate::input::{InputArgs, Origin, System};
use crate::measure::Rules;
use checks::check_run;
use search::Vectors;

/// How vectors are searched.
#[derive(Debug, Args)]
#[command(next_help_heading = "Search")]
pub(crate) struct SearchArgs {
    /// How query and document vectors are compared
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Similarity::Cosine, hide_short_help = true)]
    pub(crate) similarity: Similarity,

    /// Hits to keep per query; never fewer than the largest cutoff
    #[arg(long, value_name = "NUM", default_value = "100", value_parser = parse_rank, hide_short_help = true)]
    pub(crate) depth: NonZeroUsize,

    /// Compare only the first elements of all vectors (Matryoshka)
    #[arg(long, value_name = "NUM", hide_short_help = true)]
    pub(crate) truncate_dim: Option<NonZeroUsize>,
}

/// Turns systems into rankings, one after the other.
pub(crate) struct Retriever<'a> {
    input: &'a InputArgs,
    args: &'a SearchArgs,
    ort: &'a OrtArgs,
    rules: Rules,
    /// How many hits are kept per query of a search.
    depth: usize,
    session: &'a Session,
    /// Created when it is first needed, because runs are measured without it.
    searcher: Option<Searcher>,
}

/// The documents that a system retrieved, and their source.
pub(crate) struct Retrieved {
    /// Each query's documents, best first.
    pub(crate) run: Run,
    /// A description for the report.
    pub(crate) origin: String,
}

impl<'a> Retriever<'a> {
    pub(crate) fn new(
        input: &'a InputArgs,
        args: &'a SearchArgs,
        ort: &'a OrtArgs,
        rules: Rules,
        depth: usize,
        session: &'a Session,
    ) -> Self {
        Self { input, args, ort, rules, depth, session, searcher: None }
    }

    /// The rankings of a system, cut at the depth if they are searched here. A run is taken whole.
    pub(crate) fn retrieve(&mut self, system: &System, judgments: &Judgments) -> anyhow::Result<Retrieved> {
        let (mut run, origin, depth) = match &system.origin {
            Origin::Vectors { queries, corpus, full } => {
                let vectors = Vectors::open(queries, corpus, full.as_deref())?;
                (self.search(&system.name, &vectors, judgments)?, describe(&vectors), self.depth)
            }
            Origin::ModelOrRun(name) => match self.locate_model(name)? {
                Some(model) => {
                    let folder = tempfile::tempdir()?;
                    let vectors = self.embed(&model, folder.path(), judgments)?;
                    let run = self.search(&system.name, &vectors, judgments)?;
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
