//! The filter's body.

use anyhow::ensure;
use embtune_cli::{Outcome, Session};

use crate::cli::{Cli, Generator};
use crate::extractive::Corpus;
use crate::llm;
use crate::sink::Sink;
use crate::source::documents;

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    let journal = cli.llm.journal.as_deref();
    ensure!(journal.is_none() || journal != cli.output.as_deref(), "--journal and --output name the same file");
    match cli.generator {
        Generator::Openai => llm::run(&cli, session),
        Generator::Extractive => extract(&cli, session),
    }
}

fn extract(cli: &Cli, session: &Session) -> anyhow::Result<Outcome> {
    let input = documents(cli, session)?;
    let mut sink = Sink::new(cli, session)?;
    let mut documents = Vec::new();
    for document in input {
        documents.extend(sink.admit(document)?);
    }
    let corpus = Corpus::new(&documents);
    let most = cli.queries_per_document as usize;
    for document in &documents {
        session.interrupt().check()?;
        sink.write(document, corpus.queries(document, most, cli.seed))?;
    }
    sink.finish(&[])
}
