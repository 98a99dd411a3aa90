//! The filter's body.

use std::io::Write as _;

use anyhow::ensure;
use embtune_cli::{Outcome, Session, is_inside};

use crate::cli::{Cli, Generator};
use crate::documents::documents;
use crate::extractive::Corpus;
use crate::output::Sink;
use crate::{llm, prompt};

/// Queries of a document that the extractive generator takes unless the user says how many.
const EXTRACTED: u32 = 5;

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    if cli.prompt.show_prompt {
        let mut out = session.output(cli.output.as_deref())?;
        out.write_all(prompt::source(&cli.prompt)?.as_bytes())?;
        out.finish()?;
        return Ok(Outcome::Done);
    }
    let journal = cli.llm.journal.as_deref();
    let is_same = journal.zip(cli.output.as_deref()).is_some_and(|(journal, output)| is_inside(output, journal));
    ensure!(!is_same, "--journal and --output name the same file");
    match cli.generator {
        Generator::Openai => llm::run(&cli, session),
        Generator::Extractive => extract(&cli, session),
    }
}

fn extract(cli: &Cli, session: &Session) -> anyhow::Result<Outcome> {
    let input = documents(session.inputs(&cli.records.files)?, cli.records.max_record_bytes);
    let mut sink = Sink::new(cli, session, None)?;
    let mut documents = Vec::new();
    for document in input {
        documents.extend(sink.admit(document)?);
    }
    let corpus = Corpus::new(&documents);
    let most = cli.queries_per_document.unwrap_or(EXTRACTED) as usize;
    for document in &documents {
        session.interrupt().check()?;
        sink.write(document, corpus.queries(document, most, cli.seed))?;
    }
    sink.finish(&[])
}
