//! A run of embed: from the flags to the settings of each module, and from the input to the output.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use embtune_cli::{OnError, Outcome, Session, Skipper, counted, output_format, value_name};
use embtune_encode::Kernels;
use embtune_tensors::{EmbeddingsMeta, check_unchanged, report_truncated_files};

use crate::cli::Cli;
use crate::input::fields::Fields;
use crate::input::{self, RecordFormat, RecordSettings};
use crate::long_texts::{ChunkOutput, LongTextPolicy, LongTextSettings, OnLong};
use crate::model::{self, LoadedModel, ModelSettings};
use crate::output::write_stage::{Counts, WriteStage};
use crate::output::{self, Format, OutputSettings, Verification};
use crate::pipeline::{self, EmbeddedWindow, TextSettings};
use crate::store::cache::Cache;
use crate::store::resume::{self, RunSettings};
use crate::store::{EmbeddingSettings, StoreReader, StoreWriter};

/// The settings of all modules.
struct Settings {
    model: ModelSettings,
    records: RecordSettings,
    on_error: OnError,
    fields: Fields,
    long_texts: LongTextSettings,
    output: OutputSettings,
    truncate_dim: Option<NonZeroUsize>,
    resume: bool,
    cache: Option<PathBuf>,
}

impl Settings {
    /// # Errors
    /// Flags that contradict each other.
    fn new(cli: Cli) -> anyhow::Result<Self> {
        let Cli { model, text, input, long, output, verify, compute, common } = cli;
        for (flag, is_given) in [("--chunks", long.chunks.is_some()), ("--chunk-overlap", long.chunk_overlap.is_some())]
        {
            anyhow::ensure!(long.on_long == OnLong::Chunk || !is_given, "{flag} requires --on-long chunk");
        }
        let verification = verify.reference.map(|reference| Verification { reference, min_cosine: verify.min_cosine });
        // The output of --verify is a table.
        let format = match verification {
            Some(_) => Format::Jsonl,
            None => output_format(output.format, output.path.as_deref(), Format::Jsonl, Format::Safetensors)?,
        };
        Ok(Self {
            model: ModelSettings {
                model: model.model,
                offline: model.hub.offline,
                role: text.role,
                prompt: text.prompt,
                max_seq_length: text.max_seq_length,
                normalize: !output.no_normalize,
                precision: compute.precision,
                batch_tokens: compute.batch_tokens,
                device: compute.ort.compute.device,
                threads: compute.ort.compute.threads.count(),
                ort_library: compute.ort.ort_library,
                profile: common.verbose > 0,
            },
            on_error: input.records.on_error,
            fields: Fields::new(input.fields.clone()),
            records: RecordSettings {
                files: input.records.files,
                max_record_bytes: input.records.max_record_bytes,
                format: match input.text {
                    true => RecordFormat::Text { nul_terminated: input.null },
                    false => RecordFormat::Json { id: input.id, fields: input.fields },
                },
                shard: input.shard,
            },
            long_texts: LongTextSettings {
                on_long: long.on_long,
                chunks: long.chunks.unwrap_or(ChunkOutput::Mean),
                chunk_overlap: long.chunk_overlap,
            },
            output: OutputSettings { path: output.path, format, vector_type: output.dtype.into(), verification },
            truncate_dim: output.truncate_dim,
            resume: output.resume,
            cache: output.cache,
        })
    }
}

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    report_truncated_files(session.error_lines());
    let settings = Settings::new(cli)?;
    let is_live = settings.output.is_live();
    let resume_path = settings.resume.then(|| resume::path(settings.output.file())).transpose()?;
    let mut out = session.output(settings.output.path.as_deref())?;
    anyhow::ensure!(
        settings.output.verification.is_some() || is_live || !out.is_terminal(),
        "binary output to a terminal\nhint: name a file with -o, or pipe it"
    );
    let skipper = Skipper::new(settings.on_error, session);
    let shard = settings.records.shard;
    let source = input::open(settings.records, &skipper, session)?;
    let LoadedModel { directory, mut encoder, normalized } = model::load(&settings.model, session)?;
    let model_dim = encoder.dim();
    let dim = settings.truncate_dim.map_or(model_dim, NonZeroUsize::get);
    anyhow::ensure!(
        dim <= model_dim,
        "--truncate-dim {dim} is more than the {model_dim} elements of the model's vectors"
    );
    let texts = TextSettings {
        fields: settings.fields,
        long_texts: LongTextPolicy::new(&settings.long_texts, encoder.text_tokenizer())?,
        normalized,
    };
    let writer = output::open(&settings.output, dim, &texts.fields, session)?;
    let embedding_settings = || -> anyhow::Result<EmbeddingSettings> {
        Ok(EmbeddingSettings {
            generation: EmbeddingSettings::GENERATION,
            model: directory.fingerprint()?,
            prompt: encoder.text_tokenizer().prompt().to_owned(),
            max_seq_length: encoder.max_seq_length(),
            on_long: texts.long_texts,
            precision: encoder.precision().to_string(),
            normalized,
            dim: model_dim,
        })
    };
    let cache = settings.cache.map(|folder| Cache::open(&folder, &embedding_settings()?)).transpose()?;
    let resumed = resume_path
        .map(|path| resume::open(path, &RunSettings::new(embedding_settings()?, shard), session))
        .transpose()?;
    let (resume_reader, resume_writer) = resumed.unzip();

    let progress = session.progress(None, "texts");
    let start = Instant::now();
    let mut write_stage = WriteStage {
        writer,
        counts: Counts::default(),
        skipper: &skipper,
        model_dim,
        dim,
        normalized,
        vector_type: settings.output.vector_type,
        divided_field: texts.fields.divided(),
        max_seq_length: encoder.max_seq_length(),
    };
    let mut store_writer = StoreWriter { resume: resume_writer, cache: cache.as_ref() };
    let write = |window: EmbeddedWindow| {
        store_writer.add(&window.embeddings)?;
        progress.add(window.records.len() as u64);
        for (entry, (_, embedding)) in window.records.into_iter().zip(window.embeddings) {
            write_stage.write(entry, &embedding, &mut out)?;
        }
        progress.message(format!("{:.0} tokens/s", write_stage.counts.tokens as f64 / start.elapsed().as_secs_f64()));
        // The program at the other end of a pipe gets each window at once.
        Ok(out.flush()?)
    };
    let store_reader = StoreReader { resume: resume_reader, cache: cache.as_ref() };
    let times = pipeline::run(source, &mut encoder, &texts, store_reader, write, is_live, session);
    drop(progress);
    let WriteStage { writer, counts, .. } = write_stage;
    if let (Some(resume), Some(_)) = (&store_writer.resume, session.interrupt().signal()) {
        let texts = counted(counts.records, "text is", "texts are");
        session.notice(format!("{texts} kept in {}; the same command continues the run", resume.name()));
    }
    let times = times?;

    let mut meta = || -> anyhow::Result<EmbeddingsMeta> {
        Ok(EmbeddingsMeta {
            model: directory.fingerprint()?,
            pooling: directory.pooling().to_string(),
            role: settings.model.role.map(value_name),
            prompt: encoder.text_tokenizer().prompt().to_owned(),
            normalized,
            precision: encoder.precision().to_string(),
            max_seq_length: encoder.max_seq_length(),
            truncated: counts.truncated,
            chunked: counts.chunked,
            ..EmbeddingsMeta::default()
        })
    };
    let outcome = writer.finish(&mut meta, &mut out)?;
    check_unchanged()?;
    out.finish()?;
    if let Some(resume) = store_writer.resume {
        resume.remove()?;
    }
    report(&counts, texts.long_texts, encoder.max_seq_length(), start.elapsed(), session);
    session.info(times.to_string());
    report_kernels(encoder.kernels(), session);
    Ok(match (outcome, skipper.outcome()) {
        (Outcome::Done, Outcome::Done) => Outcome::Done,
        _ => Outcome::Incomplete,
    })
}

/// Reports the counts of a complete run.
fn report(counts: &Counts, long_texts: LongTextPolicy, max_seq_length: usize, took: Duration, session: &Session) {
    let Counts { records, truncated, empty, chunked, chunks, computed, tokens, resumed, cached, repeated } = *counts;
    let was = |count| if count == 1 { "was" } else { "were" };
    let longer = |count| format!("{count} of {records} texts {} longer than {max_seq_length} tokens", was(count));
    if chunked > 0 {
        session.notice(format!("{} and {} divided into {chunks} chunks", longer(chunked), was(chunked)));
    }
    match long_texts {
        _ if truncated == 0 => {}
        LongTextPolicy::Mean(_) | LongTextPolicy::Separate(_) => session.notice(format!(
            "in {}, the text before each chunk took more than half of it and was cut",
            counted(truncated, "text", "texts")
        )),
        _ => session.notice(format!("{} and {} cut", longer(truncated), was(truncated))),
    }
    if empty > 0 {
        let have = if empty == 1 { "has" } else { "have" };
        session.warn(format!("{empty} of {records} texts {have} no token; a vector of zeros matches nothing"));
    }
    if repeated > 0 {
        session.notice(format!(
            "{repeated} of {records} records had the id and the text of an earlier one, and {} not written again",
            was(repeated)
        ));
    }
    if resumed > 0 {
        session.notice(format!("{resumed} of {records} texts had been embedded before the interruption"));
    }
    if cached > 0 {
        session.info(format!("{cached} of {records} texts {} in the cache", was(cached)));
    }
    let seconds = took.as_secs_f64();
    let (texts, speed) = (counted(computed, "text", "texts"), tokens as f64 / seconds);
    session.info(format!("{texts}, {} in {seconds:.1} s: {speed:.0} tokens/s", counted(tokens, "token", "tokens")));
}

/// Reports the kernels that ran, in a line for each of ONNX Runtime's providers, so that a user with a GPU sees what
/// the CPU has run.
fn report_kernels(kernels: &[Kernels], session: &Session) {
    let providers: BTreeSet<&String> = kernels.iter().map(|kernels| &kernels.provider).collect();
    for provider in providers {
        let of_provider = kernels.iter().filter(|kernels| kernels.provider == *provider);
        let ran: Vec<String> = of_provider.map(|kernels| format!("{} {}", kernels.nodes, kernels.op)).collect();
        session.info(format!("{provider} ran {}", ran.join(", ")));
    }
}
