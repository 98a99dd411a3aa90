//! Everything that decides the result of a training, by the name that messages give it.
//!
//! A checkpoint keeps it: to go on with other settings would give the result of neither.

use embtune_cli::value_name;
use serde_json::{Map, Value, json};

use crate::cli::Cli;
use crate::data::shards::Shards;

pub(crate) fn settings(
    cli: &Cli,
    base_model: &str,
    dimension: usize,
    shards: &Shards,
) -> anyhow::Result<Map<String, Value>> {
    let Cli { training, optimizer, engine, dev, .. } = cli;
    let prompts = shards.prompts()?;
    let freeze = optimizer.freeze.as_ref().map(ToString::to_string);
    let lora = optimizer.lora.as_ref().map(ToString::to_string);
    let settings = json!({
        "base model": base_model,
        "the prompt of queries": prompts.query,
        "the prompt of documents": prompts.document,
        "training data": shards.fingerprint(),
        "--weights": cli.data.weights,
        "--batch-from": value_name(cli.data.batch_from),
        "--no-duplicates": cli.data.no_duplicates,
        "--epochs": training.epochs,
        "--batch-size": training.batch_size,
        "--gradient-accumulation": training.gradient_accumulation,
        "--dropout": training.dropout,
        "--seed": training.seed,
        "--loss": cli.loss.objective(dimension)?.to_string(),
        "--no-mask": cli.loss.no_mask,
        "--learning-rate": optimizer.learning_rate,
        "--schedule": value_name(optimizer.schedule),
        "--warmup-steps": optimizer.warmup_steps,
        "--warmup-ratio": optimizer.warmup_ratio,
        "--weight-decay": optimizer.weight_decay,
        "--max-grad-norm": optimizer.max_grad_norm,
        "--layer-decay": optimizer.layer_decay,
        "--freeze": freeze,
        "--lora": lora,
        "--ema": optimizer.ema,
        "--precision": value_name(engine.precision),
        "--batch-tokens": engine.batch_tokens,
        "--metric": dev.metric.to_string(),
        "--eval-every": dev.eval_every,
        "--patience": dev.patience,
    });
    Ok(match settings {
        Value::Object(settings) => settings,
        _ => Map::new(),
    })
}
