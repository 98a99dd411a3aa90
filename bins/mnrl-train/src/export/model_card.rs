//! The model card: the base model, the training data, and the settings.

use std::fmt::Write as _;

use embtune_cli::value_name;
use embtune_model::{ModelDir, Role};
use serde_json::{Value, json};

use super::TrainedModel;
use crate::training::config::TrainingArgs;
use crate::training::learner::LearnerArgs;

/// `README.md` of the saved directory.
pub(super) fn model_card(trained: &TrainedModel<'_, '_>) -> anyhow::Result<String> {
    let TrainedModel { out, args, learner, shards, state, weights, .. } = trained;
    let model = learner.model;
    let TrainingArgs { sampler, schedule, learner: LearnerArgs { parameters, .. }, .. } = args;
    let mut rows: Vec<(&str, String)> = vec![
        (
            "base model's fingerprint",
            format!("`{}`", state.settings.get("base model").and_then(Value::as_str).unwrap_or_default()),
        ),
        ("training pairs", shards.pairs().to_string()),
        ("hard negatives", shards.negatives().to_string()),
        ("steps", format!("{} of {} trained, {} tokens", weights.step, state.step, state.tokens)),
        ("epochs, batch size", format!("{}, {}", sampler.epochs, sampler.batch_size)),
        ("loss", learner.objective.to_string()),
        (
            "optimizer",
            format!(
                "AdamW, learning rate {}, {} schedule, weight decay {}, {}",
                schedule.learning_rate,
                value_name(schedule.schedule),
                parameters.weight_decay,
                match args.learner.max_grad_norm {
                    0.0 => "gradient not clipped".to_owned(),
                    norm => format!("gradient norm at most {norm}"),
                }
            ),
        ),
        (
            "warm-up",
            schedule.warmup_ratio.map_or(format!("{} steps", schedule.warmup_steps), |share| {
                format!("{} % of the steps", share * 100.0)
            }),
        ),
        ("dropout", args.learner.dropout.map_or_else(|| "the base model's".into(), |share| share.to_string())),
        ("precision, seed", format!("{}, {}", value_name(args.learner.precision), sampler.seed)),
    ];
    let mut option = |name, value: Option<String>| rows.extend(value.map(|value| (name, value)));
    option("LoRA", parameters.lora.as_ref().map(ToString::to_string));
    option("frozen", parameters.freeze.map(|freeze| freeze.to_string()));
    option("moving average of the weights", args.learner.ema.map(|decay| format!("decay {decay}")));
    option("share of the base model", weights.base_share.map(|share| share.to_string()));
    option("final loss", Some(state.loss.shown()));
    option("dev set", weights.scores.map(|scores| scores.to_string()));
    option("time", Some(format!("{:.0} s", state.seconds)));
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    let mut table = String::from("| | |\n|---|---|\n");
    for (name, value) in rows {
        writeln!(table, "| {name} | {value} |")?;
    }
    Ok(format!(
        "\
---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers, feature-extraction, embtune]
---

# {name}

Fine-tuned from `{base}` with embtune {version} (mnrl-train).

{table}
## Use

{usage}
Vectors have {dim} elements, pooling is {pooling}, texts are truncated to {length} tokens, as in the base model.
",
        base = trained.base,
        version = env!("CARGO_PKG_VERSION"),
        usage = usage(model, &name),
        dim = model.dimension(),
        pooling = model.pooling(),
        length = model.max_seq_length(),
    ))
}

/// How to use the model, with the prompts that it was trained with.
fn usage(model: &ModelDir, name: &str) -> String {
    let [query, document] = [Role::Query, Role::Document].map(|role| model.prompt(Some(role)));
    let prompts = if query.is_empty() && document.is_empty() {
        "It was trained without prompts.".to_owned()
    } else {
        // In JSON any prompt is a single line.
        let prompts = json!({"query": query, "document": document});
        format!(
            "\
It was trained with these prompts before its texts, and must be used with them:

```json
{prompts}
```

They are in `config_sentence_transformers.json`, where `embed --role query`, `embed --role document` and
sentence-transformers 5 and later find them. Earlier versions need their names, as in
`model.encode(queries, prompt_name=\"query\")`."
        )
    };
    format!(
        "\
{prompts}

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer({directory})
queries = model.encode_query([\"...\"])
documents = model.encode_document([\"...\"])
```
",
        directory = json!(name),
    )
}
