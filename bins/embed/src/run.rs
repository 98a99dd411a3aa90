//! What embed does.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::{Duration, Instant};

use embtune_cli::{Device, Outcome, Session};
use embtune_encode::{Encoder, Kernels, Options};
use embtune_model::{ModelDir, locate};
use embtune_tensors::EmbeddingsMeta;

use crate::cache::Cache;
use crate::cli::Cli;
use crate::format::Format;
use crate::known::{Keeper, Known};
use crate::part::{self, Plan};
use crate::pipeline::{self, Embedded};
use crate::recipe::Recipe;
use crate::records::Source;
use crate::sink::Sink;
use crate::tally::Tally;

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    let format = cli.format.unwrap_or_else(|| Format::of(cli.output.as_deref()));
    let part = cli.flow.resume.then(|| part::path(cli.output.as_deref())).transpose()?;
    let mut out = session.output(cli.output.as_deref())?;
    anyhow::ensure!(
        format == Format::Jsonl || !out.is_terminal(),
        "binary output to a terminal\nhint: name a file with -o, or pipe it"
    );
    let mut source = Source::open(&cli.records, cli.text, cli.flow.shard, session)?;
    let model = ModelDir::open(&locate(&cli.model.model, cli.model.offline)?)?;
    let prompt = prompt(&cli, &model, session);
    let mut encoder = load(&cli, &model, &prompt, session)?;
    let recipe = || recipe(&model, &prompt, &encoder);
    let cache = cli.flow.cache.as_deref().map(|folder| Cache::open(folder, &recipe()?)).transpose()?;
    let part = part.map(|path| part::open(path, &Plan::new(recipe()?, cli.flow.shard))).transpose()?;
    let (replay, part) = part.unzip();
    let mut sink = Sink::new(format, cli.dtype, encoder.dim(), cli.output.as_deref())?;

    let progress = session.progress(None, "texts");
    let start = Instant::now();
    let mut tally = Tally::default();
    let mut keeper = Keeper { part, cache: cache.as_ref() };
    let write = |window: Embedded| {
        keeper.keep(&window.answers)?;
        progress.add(window.records.len() as u64);
        for (record, (_, answer)) in window.records.into_iter().zip(window.answers) {
            tally.add(&answer);
            sink.write(record, &answer.vector, &mut out)?;
        }
        progress.message(format!("{:.0} tokens/s", tally.tokens as f64 / start.elapsed().as_secs_f64()));
        // A reader in a pipe gets each window as soon as it is there.
        Ok(out.flush()?)
    };
    let known = Known { replay, cache: cache.as_ref() };
    let times = pipeline::run(&mut source, &mut encoder, known, write, format == Format::Jsonl, session);
    drop(progress);
    if let (Some(part), Some(_)) = (&keeper.part, session.interrupt().signal()) {
        session.notice(format!("{} texts are kept in {}: the same command goes on", tally.records, part.name()));
    }
    let times = times?;

    let meta = || -> anyhow::Result<EmbeddingsMeta> {
        Ok(EmbeddingsMeta {
            version: 0, // set by the writer
            model: model.fingerprint()?,
            pooling: model.pooling().to_string(),
            role: cli.role.map(|role| role.name().to_owned()),
            prompt: prompt.clone(),
            normalized: model.normalizes(),
            precision: encoder.precision().to_string(),
            max_seq_length: encoder.max_seq_length(),
            truncated: tally.truncated,
        })
    };
    sink.finish(meta, &mut out)?;
    out.finish()?;
    if let Some(part) = keeper.part {
        part.remove()?;
    }
    report(&tally, encoder.max_seq_length(), start.elapsed(), session);
    session.info(times.to_string());
    tell_kernels(encoder.kernels(), session);
    Ok(source.outcome())
}

fn report(tally: &Tally, limit: usize, took: Duration, session: &Session) {
    let Tally { records, truncated, computed, tokens, resumed, cached } = *tally;
    if truncated > 0 {
        session.notice(format!("{truncated} of {records} texts were longer than {limit} tokens and were cut"));
    }
    if resumed > 0 {
        session.notice(format!("{resumed} of {records} texts had been embedded before the interruption"));
    }
    if cached > 0 {
        session.info(format!("{cached} of {records} texts were in the cache"));
    }
    let seconds = took.as_secs_f64();
    session
        .info(format!("{computed} texts, {tokens} tokens in {seconds:.1} s: {:.0} tokens/s", tokens as f64 / seconds));
}

/// What ran, a line for each of ONNX Runtime's providers: on a GPU whatever the CPU ran stands out.
fn tell_kernels(kernels: &[Kernels], session: &Session) {
    let providers: BTreeSet<&String> = kernels.iter().map(|kernels| &kernels.provider).collect();
    for provider in providers {
        let of_provider = kernels.iter().filter(|kernels| kernels.provider == *provider);
        let ran: Vec<String> = of_provider.map(|kernels| format!("{} {}", kernels.nodes, kernels.op)).collect();
        session.info(format!("{provider} ran {}", ran.join(", ")));
    }
}

fn recipe(model: &ModelDir, prompt: &str, encoder: &Encoder) -> anyhow::Result<Recipe> {
    Ok(Recipe {
        generation: Recipe::GENERATION,
        model: model.fingerprint()?,
        prompt: prompt.to_owned(),
        max_seq_length: encoder.max_seq_length(),
        precision: encoder.precision().to_string(),
        normalized: model.normalizes(),
        dim: encoder.dim(),
    })
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
        normalize: model.normalizes(),
        precision: cli.precision.into(),
        batch_tokens: cli.batch_tokens,
        device: cli.compute.compute.device,
        threads: cli.compute.compute.threads.count(),
        watch: cli.common.verbose > 0,
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
