//! From the flags to the generators' settings.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use embtune_cli::{Outcome, RecordArgs, Session, is_inside};

use crate::cli::{Cli, Generator};
use crate::documents::Corpus;
use crate::extractive::CorpusStatistics;
use crate::llm::{Caps, Limits, Settings as LlmSettings, Usd};
use crate::openai::Mode;
use crate::pairs::PairWriter;
use crate::{documents, openai, pairs, prompt};

/// The number of queries that the extractive generator takes from a document if the user names none.
const EXTRACTIVE_QUERIES: u32 = 5;

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    if cli.prompt.show_prompt {
        let mut out = session.output(cli.output.as_deref())?;
        out.write_all(prompt::template_text(cli.prompt.prompt.as_deref())?.as_bytes())?;
        out.finish()?;
        return Ok(Outcome::Done);
    }
    let journal = cli.llm.journal.as_deref();
    let is_same = journal.zip(cli.output.as_deref()).is_some_and(|(journal, output)| is_inside(output, journal));
    ensure!(!is_same, "--journal and --output name the same file");
    match cli.generator {
        Generator::Openai => openai::run(&openai_settings(cli)?, session),
        Generator::Extractive => extract(&cli, session),
    }
}

fn extract(cli: &Cli, session: &Session) -> anyhow::Result<Outcome> {
    let input = documents_settings(cli);
    let input = Corpus::open(&input, false, session)?.documents(session)?;
    let mut writer = PairWriter::new(&pairs_settings(cli), session, None)?;
    let mut documents = Vec::new();
    for document in input {
        documents.extend(writer.admit(document)?);
    }
    let corpus = CorpusStatistics::new(&documents);
    let most = cli.queries_per_document.unwrap_or(EXTRACTIVE_QUERIES) as usize;
    for document in &documents {
        session.interrupt().check()?;
        writer.write_document(document, corpus.queries(document, most, cli.seed))?;
    }
    writer.finish(&[])
}

fn documents_settings(cli: &Cli) -> documents::Settings {
    let RecordArgs { files, max_record_bytes, .. } = &cli.records;
    documents::Settings { files: files.clone(), max_record_bytes: *max_record_bytes, output: cli.output.clone() }
}

fn pairs_settings(cli: &Cli) -> pairs::Settings {
    pairs::Settings { path: cli.output.clone(), on_error: cli.records.on_error }
}

fn openai_settings(cli: Cli) -> anyhow::Result<openai::Settings> {
    let (input, output) = (documents_settings(&cli), pairs_settings(&cli));
    let Cli { queries_per_document, seed, drop, prompt, llm, cost, batch, .. } = cli;
    let model = llm.llm.context("no language model named\nhint: --llm NAME, or --generator extractive")?;
    let mode = if cost.dry_run {
        Mode::DryRun
    } else if batch.emit_batch {
        Mode::EmitBatch
    } else if !batch.ingest_batch.is_empty() {
        Mode::IngestBatch(batch.ingest_batch)
    } else if batch.batch {
        Mode::Batch { poll: Duration::from_secs_f64(batch.poll_secs) }
    } else {
        Mode::Online
    };
    Ok(openai::Settings {
        llm: LlmSettings {
            model: model.clone(),
            base_url: llm.base_url,
            journal: llm.journal,
            max_completion_tokens: llm.max_completion_tokens,
            limits: Limits { concurrency: llm.concurrency as usize, rpm: llm.rpm, tpm: llm.tpm },
            timeout: Duration::from_secs(llm.timeout_secs),
            max_retries: llm.max_retries,
            caps: Caps { usd: cost.max_usd.map(Usd::new), tokens: cost.max_tokens },
            prices: (cost.price_in, cost.price_out),
            is_batch: matches!(mode, Mode::Batch { .. } | Mode::EmitBatch | Mode::IngestBatch(_)),
        },
        prompt: prompt::Settings {
            template: prompt.prompt,
            examples: prompt.examples,
            styles: prompt.styles,
            language: prompt.language,
            seed,
            model,
            temperature: llm.temperature,
            max_completion_tokens: llm.max_completion_tokens,
            reply_format: llm.reply_format,
        },
        mode,
        input,
        output,
        queries: queries_per_document,
        passage_chars: prompt.passage_chars,
        drop,
    })
}
