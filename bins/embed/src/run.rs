//! What embed does.

use std::io::Write as _;
use std::time::Instant;

use embtune_cli::{Device, Outcome, Session};
use embtune_encode::{Encoder, Options};
use embtune_model::{ModelDir, locate};
use embtune_tensors::EmbeddingsMeta;

use crate::cli::Cli;
use crate::format::Format;
use crate::pipeline::{self, Embedded};
use crate::records::Source;
use crate::sink::Sink;

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    let format = cli.format.unwrap_or_else(|| Format::of(cli.output.as_deref()));
    let mut out = session.output(cli.output.as_deref())?;
    anyhow::ensure!(
        format == Format::Jsonl || !out.is_terminal(),
        "binary output to a terminal\nhint: name a file with -o, or pipe it"
    );
    let mut source = Source::open(&cli.records, cli.text, session)?;
    let model = ModelDir::open(&locate(&cli.model.model, cli.model.offline)?)?;
    let prompt = prompt(&cli, &model, session);
    let mut encoder = load(&cli, &model, &prompt, session)?;
    let mut sink = Sink::new(format, cli.dtype, encoder.dim(), cli.output.as_deref())?;

    let progress = session.progress(None, "texts");
    let start = Instant::now();
    let dim = encoder.dim();
    let (mut records, mut truncated, mut tokens) = (0, 0, 0);
    let write = |window: Embedded| {
        truncated += window.truncated;
        tokens += window.tokens;
        records += window.records.len() as u64;
        progress.add(window.records.len() as u64);
        progress.message(format!("{:.0} tokens/s", tokens as f64 / start.elapsed().as_secs_f64()));
        for (record, vector) in window.records.into_iter().zip(window.vectors.chunks_exact(dim)) {
            sink.write(record, vector, &mut out)?;
        }
        // A reader in a pipe gets each window as soon as it is there.
        Ok(out.flush()?)
    };
    let times = pipeline::run(&mut source, &mut encoder, write, session)?;
    drop(progress);

    let meta = || -> anyhow::Result<EmbeddingsMeta> {
        Ok(EmbeddingsMeta {
            version: 0, // set by the writer
            model: model.fingerprint()?,
            pooling: model.pooling().to_string(),
            role: cli.role.map(|role| role.name().to_owned()),
            prompt,
            normalized: model.normalizes(),
            precision: "fp32".into(),
            max_seq_length: encoder.max_seq_length(),
            truncated,
        })
    };
    sink.finish(meta, &mut out)?;
    out.finish()?;
    if truncated > 0 {
        let limit = encoder.max_seq_length();
        session.notice(format!("{truncated} of {records} texts were longer than {limit} tokens and were cut"));
    }
    let seconds = start.elapsed().as_secs_f64();
    session
        .info(format!("{records} texts, {tokens} tokens in {seconds:.1} s: {:.0} tokens/s", tokens as f64 / seconds));
    session.info(times.to_string());
    Ok(source.outcome())
}

/// The text that goes before each text; a model that has prompts and is asked without a role is worth a warning.
fn prompt(cli: &Cli, model: &ModelDir, session: &Session) -> String {
    if let Some(prompt) = &cli.prompt {
        return prompt.clone();
    }
    if cli.role.is_none() && model.has_prompts() {
        session.warn("the model has prompts for queries and documents, but no --role is given: none is used");
    }
    model.prompt(cli.role.map(Into::into)).to_owned()
}

fn load(cli: &Cli, model: &ModelDir, prompt: &str, session: &Session) -> anyhow::Result<Encoder> {
    let options = Options {
        prompt,
        max_seq_length: cli.max_seq_length,
        batch_tokens: cli.batch_tokens,
        device: cli.compute.compute.device,
        threads: cli.compute.compute.threads.count(),
        ort_library: cli.compute.ort_library.as_deref(),
    };
    let encoder = Encoder::load(model, &options)?;
    if let Some(reason) = encoder.fallback() {
        session.warn(format!("CUDA is installed but does not run, so the CPU does: {reason}"));
    }
    if cli.compute.compute.device == Device::Auto && encoder.device() != Device::Cpu {
        session.notice(format!("running on {}", encoder.device()));
    }
    session.info(format!("model {} on {}, {} elements", model.root().display(), encoder.device(), encoder.dim()));
    Ok(encoder)
}
