//! The model card: what was trained, on what, and how.

use std::fmt::Write as _;

use embtune_cli::value_name;
use embtune_model::{ModelDir, Role};
use serde_json::json;

use crate::cli::Cli;
use crate::data::shards::Shards;
use crate::training::course::Course;
use crate::weights::merge::Outcome;

/// `README.md` of the saved directory.
pub(crate) fn card(
    cli: &Cli,
    fingerprint: &str,
    base: &ModelDir,
    shards: &Shards,
    course: &Course,
    outcome: &Outcome,
) -> anyhow::Result<String> {
    let (training, optimizer) = (&cli.training, &cli.optimizer);
    let mut rows: Vec<(&str, String)> = vec![
        ("base model's fingerprint", format!("`{fingerprint}`")),
        ("training pairs", shards.pairs().to_string()),
        ("hard negatives", shards.negatives().to_string()),
        ("steps", format!("{} of {} trained, {} tokens", outcome.step, course.step, course.tokens)),
        ("epochs, batch size", format!("{}, {}", training.epochs, training.batch_size)),
        ("loss", cli.loss.objective(base.dimension())?.to_string()),
        (
            "optimizer",
            format!(
                "AdamW, learning rate {}, {} schedule, weight decay {}, {}",
                optimizer.learning_rate,
                value_name(optimizer.schedule),
                optimizer.weight_decay,
                match optimizer.max_grad_norm {
                    0.0 => "gradient not clipped".to_owned(),
                    norm => format!("gradient norm at most {norm}"),
                }
            ),
        ),
        (
            "warm-up",
            optimizer.warmup_ratio.map_or(format!("{} steps", optimizer.warmup_steps), |share| {
                format!("{} % of the steps", share * 100.0)
            }),
        ),
        ("dropout", training.dropout.map_or_else(|| "the base model's".into(), |share| share.to_string())),
        ("precision, seed", format!("{}, {}", value_name(cli.engine.precision), training.seed)),
    ];
    let mut option = |name, value: Option<String>| rows.extend(value.map(|value| (name, value)));
    option("LoRA", optimizer.lora.as_ref().map(ToString::to_string));
    option("frozen", optimizer.freeze.map(|freeze| freeze.to_string()));
    option("moving average of the weights", optimizer.ema.map(|decay| format!("decay {decay}")));
    option("share of the base model", optimizer.merge_base.map(|_| outcome.base_share.to_string()));
    option("final loss", Some(course.tally.shown_loss()));
    option("dev set", outcome.score.map(|score| score.to_string()));
    option("time", Some(format!("{:.0} s", course.seconds)));
    let name = cli.out.file_name().unwrap_or_default().to_string_lossy();
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

Fine-tuned from `{model}` with embtune {version} (mnrl-train).

{table}
## Use

{usage}
Vectors have {dim} elements, pooling is {pooling}, texts are cut at {length} tokens, as in the base model.
",
        model = cli.model.model,
        version = env!("CARGO_PKG_VERSION"),
        usage = usage(base, &name),
        dim = base.dimension(),
        pooling = base.pooling(),
        length = base.max_seq_length(),
    ))
}

/// How the model is used: with the prompts that it was trained with.
fn usage(model: &ModelDir, name: &str) -> String {
    let [query, document] = [Role::Query, Role::Document].map(|role| model.prompt(Some(role)));
    let prompts = if query.is_empty() && document.is_empty() {
        "It was trained without prompts before its texts.".to_owned()
    } else {
        // As JSON, whatever a prompt holds is one line.
        let prompts = json!({"query": query, "document": document});
        format!(
            "\
It was trained with these prompts before its texts, and has to be used with them:

```json
{prompts}
```

They are in `config_sentence_transformers.json`, from where `embed --role query`, `embed --role document` and
sentence-transformers 5 and later take them. Earlier versions take them by name, as in
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
