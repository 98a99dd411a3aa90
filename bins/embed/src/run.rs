//! What embed does.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use embtune_cli::{Device, Outcome, Session, Skipper};
use embtune_encode::{Encoder, Kernels, Options};
use embtune_model::{AnyEncoder, AnyModelDir, locate};
use embtune_tensors::{EmbeddingsMeta, check_unchanged, report_truncated_files};

use crate::cli::Cli;
use crate::input::fields::Fields;
use crate::input::records;
use crate::kept::cache::Cache;
use crate::kept::known::{Keeper, Known};
use crate::kept::part::{self, Plan};
use crate::kept::recipe::Recipe;
use crate::long::Long;
use crate::pipeline::{self, Embedded, Texts};
use crate::sink;
use crate::sink::format::Format;
use crate::sink::shape::Shape;
use crate::sink::tally::Tally;
use crate::sink::writer::Writer;

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    report_truncated_files(session.error_lines());
    cli.long.check()?;
    let path = cli.output.path.as_deref();
    // Of --verify, the output is a table.
    let format = if cli.verify.reference.is_some() { Format::Jsonl } else { cli.output.format()? };
    let is_live = cli.verify.reference.is_none() && format == Format::Jsonl;
    let part = cli.flow.resume.then(|| part::path(cli.output.file())).transpose()?;
    let mut out = session.output(path)?;
    anyhow::ensure!(
        cli.verify.reference.is_some() || is_live || !out.is_terminal(),
        "binary output to a terminal\nhint: name a file with -o, or pipe it"
    );
    let skipper = Skipper::new(cli.input.records.on_error, session);
    let records = records::open(&cli.input, cli.flow.shard, session)?;
    let model = AnyModelDir::open_any(&locate(&cli.model.model, cli.model.hub.offline)?)?;
    let prompt = prompt(&cli, &model, session);
    let normalized = model.normalizes() && !cli.output.no_normalize;
    let mut encoder = load(&cli, &model, &prompt, normalized, session)?;
    let shape = Shape { dim: dim(&cli, encoder.dim())?, normalized };
    let texts = Texts {
        fields: Fields::new(cli.input.fields.clone()),
        long: Long::new(&cli.long, encoder.front())?,
        normalized,
    };
    let sink = sink::open(&cli, format, shape.dim, &texts.fields, session)?;
    let recipe = || recipe(&model, &encoder, &texts);
    let cache = cli.flow.cache.as_deref().map(|folder| Cache::open(folder, &recipe()?)).transpose()?;
    let part = part.map(|path| part::open(path, &Plan::new(recipe()?, cli.flow.shard), session)).transpose()?;
    let (replay, part) = part.unzip();

    let progress = session.progress(None, "texts");
    let start = Instant::now();
    let mut writer = Writer {
        sink,
        tally: Tally::default(),
        skipper: &skipper,
        dim: encoder.dim(),
        shape,
        stored: cli.output.dtype.stored(),
        divided: texts.fields.divided(),
        limit: encoder.max_seq_length(),
    };
    let mut keeper = Keeper { part, cache: cache.as_ref() };
    let write = |window: Embedded| {
        keeper.keep(&window.answers)?;
        progress.add(window.records.len() as u64);
        for (entry, (_, answer)) in window.records.into_iter().zip(window.answers) {
            writer.write(entry, &answer, &mut out)?;
        }
        progress.message(format!("{:.0} tokens/s", writer.tally.tokens as f64 / start.elapsed().as_secs_f64()));
        // A reader in a pipe gets each window as soon as it is there.
        Ok(out.flush()?)
    };
    let known = Known { replay, cache: cache.as_ref() };
    let times = pipeline::run((records, &skipper), &mut encoder, &texts, known, write, is_live, session);
    drop(progress);
    let Writer { sink, tally, .. } = writer;
    if let (Some(part), Some(_)) = (&keeper.part, session.interrupt().signal()) {
        session.notice(format!("{} texts are kept in {}: the same command goes on", tally.records, part.name()));
    }
    let times = times?;

    let mut meta = || -> anyhow::Result<EmbeddingsMeta> {
        Ok(EmbeddingsMeta {
            model: model.fingerprint()?,
            pooling: model.pooling().to_string(),
            role: cli.text.role.map(|role| role.name().to_owned()),
            prompt: prompt.clone(),
            normalized,
            precision: encoder.precision().to_string(),
            max_seq_length: encoder.max_seq_length(),
            truncated: tally.truncated,
            chunked: tally.chunked,
            ..EmbeddingsMeta::default()
        })
    };
    let outcome = sink.finish(&mut meta, &mut out)?;
    check_unchanged()?;
    out.finish()?;
    if let Some(part) = keeper.part {
        part.remove()?;
    }
    report(&tally, texts.long, encoder.max_seq_length(), start.elapsed(), session);
    session.info(times.to_string());
    tell_kernels(encoder.kernels(), session);
    Ok(match (outcome, skipper.outcome()) {
        (Outcome::Done, Outcome::Done) => Outcome::Done,
        _ => Outcome::Incomplete,
    })
}

fn report(tally: &Tally, long: Long, limit: usize, took: Duration, session: &Session) {
    let Tally { records, truncated, empty, chunked, chunks, computed, tokens, resumed, cached, repeated } = *tally;
    if chunked > 0 {
        session.notice(format!(
            "{chunked} of {records} texts were longer than {limit} tokens and were divided into {chunks} chunks"
        ));
    }
    match long {
        _ if truncated == 0 => {}
        Long::Mean(_) | Long::Separate(_) => session.notice(format!(
            "what stands before each chunk took more than half of it in {truncated} texts and was cut"
        )),
        _ => session.notice(format!("{truncated} of {records} texts were longer than {limit} tokens and were cut")),
    }
    if empty > 0 {
        session.warn(format!(
            "{empty} of {records} texts have no token: their vectors are zeros, which are near to nothing"
        ));
    }
    if repeated > 0 {
        session.notice(format!(
            "{repeated} of {records} records had the id and the text of an earlier one: its vector is theirs"
        ));
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

fn recipe(model: &AnyModelDir, encoder: &Encoder, texts: &Texts) -> anyhow::Result<Recipe> {
    Ok(Recipe {
        generation: Recipe::GENERATION,
        model: model.fingerprint()?,
        prompt: encoder.front().prompt().to_owned(),
        max_seq_length: encoder.max_seq_length(),
        on_long: texts.long,
        precision: encoder.precision().to_string(),
        normalized: texts.normalized,
        dim: encoder.dim(),
    })
}

/// Elements that are written of a vector.
fn dim(cli: &Cli, all: usize) -> anyhow::Result<usize> {
    let dim = cli.output.truncate_dim.map_or(all, NonZeroUsize::get);
    anyhow::ensure!(dim <= all, "--truncate-dim {dim} is more than the {all} elements of the model's vectors");
    Ok(dim)
}

/// The text that goes before each text; a model that has prompts and is asked without a role is worth a warning.
fn prompt(cli: &Cli, model: &AnyModelDir, session: &Session) -> String {
    if let Some(prompt) = &cli.text.prompt {
        return prompt.clone();
    }
    if cli.text.role.is_none() {
        if let Some(name) = model.default_prompt_name() {
            session
                .notice(format!("no --role is given: the model's default prompt, \"{name}\", is put before each text"));
        } else if model.has_prompts() {
            session.warn("the model has prompts for queries and documents, but no --role is given: none is used");
        }
    }
    model.prompt(cli.text.role.map(Into::into)).to_owned()
}

fn load(cli: &Cli, model: &AnyModelDir, prompt: &str, normalized: bool, session: &Session) -> anyhow::Result<Encoder> {
    let options = Options {
        prompt,
        max_seq_length: cli.text.max_seq_length,
        normalize: normalized,
        precision: cli.compute.precision.into(),
        batch_tokens: cli.compute.batch_tokens,
        device: cli.compute.ort.compute.device,
        threads: cli.compute.ort.compute.threads.count(),
        watch: cli.common.verbose > 0,
        ort_library: cli.compute.ort.ort_library.as_deref(),
    };
    let encoder = Encoder::load(model, &options)?;
    if let Some(guess) = encoder.pooling_guess() {
        session.warn(guess);
    }
    if let Some(kept) = model.truncate_dim() {
        session.info(format!("the model keeps {kept} elements of its vectors (truncate_dim)"));
    }
    if let Some(reason) = encoder.fallback() {
        session.warn(format!("CUDA is installed but does not run, so the CPU does: {reason}"));
    }
    if cli.compute.ort.compute.device == Device::Auto && encoder.device() != Device::Cpu {
        session.notice(format!("running on {}", encoder.device()));
    }
    if let AnyEncoder::Onnx(file) = model.encoder() {
        session.info(format!("the model runs through {}: {}", file.name(), file.why));
    }
    session.info(format!("model {} on {}, {} elements", model.root().display(), encoder.device(), encoder.dim()));
    Ok(encoder)
}
