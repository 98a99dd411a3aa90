//! Everything that decides the result of a training, by the name that messages give it.
//!
//! A checkpoint keeps it: to go on with other settings would give the result of neither.

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
    let debug = |value: &dyn std::fmt::Debug| Value::from(format!("{value:?}"));
    let settings = json!({
        "base model": base_model,
        "the prompt of queries": prompts.query,
        "the prompt of documents": prompts.document,
        "training data": shards.fingerprint(),
        "--weights": cli.data.weights,
        "--batch-from": debug(&cli.data.batch_from),
        "--no-duplicates": cli.data.no_duplicates,
        "--epochs": training.epochs,
        "--batch-size": training.batch_size,
        "--gradient-accumulation": training.gradient_accumulation,
        "--dropout": training.dropout,
        "--seed": training.seed,
        "--loss": cli.loss.objective(dimension)?.to_string(),
        "--no-mask": cli.loss.no_mask,
        "--learning-rate": optimizer.learning_rate,
        "--schedule": debug(&optimizer.schedule),
        "--warmup-steps": optimizer.warmup_steps,
        "--warmup-ratio": optimizer.warmup_ratio,
        "--weight-decay": optimizer.weight_decay,
        "--max-grad-norm": optimizer.max_grad_norm,
        "--layer-decay": optimizer.layer_decay,
        "--freeze": debug(&optimizer.freeze),
        "--lora": debug(&optimizer.lora),
        "--ema": optimizer.ema,
        "--precision": debug(&engine.precision),
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
