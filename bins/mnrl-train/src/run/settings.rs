//! From flags to the settings of each module.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use embtune_model::ModelDir;

use crate::cli::Cli;
use crate::data::prompts::Prompts;
use crate::data::{sampler, shards};
use crate::distributed::RankInfo;
use crate::loss::Objective;
use crate::training::config::TrainingConfig;
use crate::training::final_weights::MergeBase;
use crate::training::schedule::Warmup;
use crate::training::{learner, trainer};
use crate::weights::param_groups;
use crate::{checkpoint, dev_set, export, plan};

/// Refuses flags that do not go together, as far as clap cannot check it.
///
/// # Errors
/// The flags.
pub(super) fn check(cli: &Cli, world_size: usize) -> anyhow::Result<()> {
    anyhow::ensure!(
        cli.optimizer.merge_base != Some(MergeBase::Auto) || cli.dev.dev_queries.is_some(),
        "--merge-base auto needs a dev set\nhint: name one with --dev-queries, --dev-corpus and --dev-qrels"
    );
    let pairs = cli.training.batch_size;
    anyhow::ensure!(
        pairs as usize >= world_size,
        "--batch-size is {pairs}, but WORLD_SIZE is {world_size}: there is not a pair for each process\nhint: --batch-size is that of all processes together"
    );
    Ok(())
}

pub(super) fn shards(cli: &Cli, ranks: RankInfo) -> shards::Settings {
    shards::Settings {
        sets: cli.data.sets.clone(),
        weights: cli.data.weights.clone(),
        rank: ranks.rank,
        world_size: ranks.world_size,
    }
}

pub(super) fn sampler(cli: &Cli) -> sampler::Settings {
    sampler::Settings {
        batch_from: cli.data.batch_from,
        no_duplicates: cli.data.no_duplicates,
        batch_size: cli.training.batch_size as usize,
        seed: cli.training.seed,
    }
}

pub(super) fn learner(cli: &Cli) -> learner::Settings {
    let Cli { training, optimizer, engine, .. } = cli;
    learner::Settings {
        parameters: param_groups::Settings {
            weight_decay: optimizer.weight_decay,
            layer_decay: optimizer.layer_decay,
            freeze: optimizer.freeze,
            lora: optimizer.lora.clone(),
            seed: training.seed,
        },
        precision: engine.precision,
        dropout: training.dropout,
        seed: training.seed,
        max_grad_norm: optimizer.max_grad_norm,
        ema: optimizer.ema,
        batch_tokens: engine.batch_tokens.map(|tokens| tokens as usize),
        memory: engine.memory.map(|bytes| bytes as u64),
    }
}

pub(super) fn warmup(cli: &Cli) -> Warmup {
    cli.optimizer.warmup_ratio.map_or(Warmup::Steps(cli.optimizer.warmup_steps), Warmup::Ratio)
}

pub(super) fn trainer(cli: &Cli) -> trainer::Settings {
    trainer::Settings {
        gradient_accumulation: cli.training.gradient_accumulation as usize,
        checkpoint_every: cli.checkpoint.checkpoint_every,
        evaluates: cli.dev.dev_queries.is_some(),
        metric: cli.dev.metric,
        eval_every: cli.dev.eval_every,
        patience: cli.dev.patience,
    }
}

/// `None` if the flags name no dev set.
pub(super) fn dev_set(cli: &Cli, encoding: dev_set::Encoding) -> Option<dev_set::Settings> {
    let dev = &cli.dev;
    Some(dev_set::Settings {
        queries: dev.dev_queries.clone()?,
        corpus: dev.dev_corpus.clone()?,
        qrels: dev.dev_qrels.clone()?,
        metric: dev.metric,
        encoding,
    })
}

pub(super) fn checkpoints(cli: &Cli) -> checkpoint::Settings {
    checkpoint::Settings { folder: checkpoint_folder(cli), keep: cli.checkpoint.keep }
}

/// The folder that `--checkpoint-dir` names, by default the name of `--out` with `.checkpoints` appended.
pub(super) fn checkpoint_folder(cli: &Cli) -> PathBuf {
    cli.checkpoint.checkpoint_dir.clone().unwrap_or_else(|| {
        let mut name = without_trailing_slash(&cli.out);
        name.push(".checkpoints");
        name.into()
    })
}

fn without_trailing_slash(path: &Path) -> OsString {
    // `.` and `..` have no name to append to.
    let real = path.canonicalize().ok().filter(|_| path.file_name().is_none());
    real.unwrap_or_else(|| path.components().collect()).into_os_string()
}

pub(super) fn plan(cli: &Cli, ranks: RankInfo) -> plan::Settings {
    plan::Settings {
        epochs: cli.training.epochs,
        gradient_accumulation: cli.training.gradient_accumulation as usize,
        ranks,
    }
}

pub(super) fn export(cli: &Cli, threads: usize) -> export::Settings {
    export::Settings {
        out: cli.out.clone(),
        overwrite: cli.overwrite,
        base: cli.model.model.clone(),
        ort_library: cli.ort.ort_library.clone(),
        threads,
    }
}

/// Everything that decides the result; the dev set is added by process 0, which alone has it.
///
/// # Errors
/// A model that cannot be read.
pub(super) fn training_config(
    cli: &Cli,
    model: &ModelDir,
    prompts: &Prompts,
    objective: &Objective,
    training_data: String,
) -> anyhow::Result<TrainingConfig> {
    let Cli { data, training, optimizer, engine, dev, .. } = cli;
    Ok(TrainingConfig {
        base_model: model.fingerprint()?,
        query_prompt: prompts.query.clone(),
        document_prompt: prompts.document.clone(),
        training_data,
        weights: data.weights.clone(),
        batch_from: data.batch_from,
        no_duplicates: data.no_duplicates,
        epochs: training.epochs,
        batch_size: training.batch_size,
        gradient_accumulation: training.gradient_accumulation,
        dropout: training.dropout,
        seed: training.seed,
        objective: objective.values(),
        learning_rate: optimizer.learning_rate,
        decay: optimizer.schedule,
        warmup_steps: optimizer.warmup_steps,
        warmup_ratio: optimizer.warmup_ratio,
        weight_decay: optimizer.weight_decay,
        max_grad_norm: optimizer.max_grad_norm,
        layer_decay: optimizer.layer_decay,
        freeze: optimizer.freeze,
        lora: optimizer.lora.clone(),
        ema: optimizer.ema,
        precision: engine.precision,
        batch_tokens: engine.batch_tokens,
        metric: dev.metric.to_string(),
        eval_every: dev.eval_every,
        patience: dev.patience,
        dev_set: None,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn checkpoints_are_beside_the_model() {
        let folder = |flags: &str| {
            let line = format!("mnrl-train --model M {flags}");
            checkpoint_folder(&Cli::try_parse_from(line.split(' ')).unwrap())
        };
        assert_eq!(folder("--out models/tuned/"), Path::new("models/tuned.checkpoints"));
        assert_eq!(folder("--out models/tuned/ --checkpoint-dir x"), Path::new("x"));
        let here = std::env::current_dir().unwrap();
        assert_eq!(folder("--out ."), PathBuf::from(format!("{}.checkpoints", here.display())));
    }
}
