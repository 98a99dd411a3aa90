//! The model card: what was trained, on what, and how.

use embtune_model::ModelDir;

use crate::cli::Cli;
use crate::shards::Shards;
use crate::trainer::Summary;

/// `README.md` of the saved directory.
pub(crate) fn card(cli: &Cli, base: &ModelDir, shards: &Shards, summary: &Summary) -> anyhow::Result<String> {
    let (training, optimizer) = (&cli.training, &cli.optimizer);
    let dropout = training.dropout.map_or_else(|| "the base model's".into(), |share| share.to_string());
    Ok(format!(
        "\
---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers, feature-extraction, embtune]
---

# {name}

Fine-tuned from `{base}` with embtune {version} (mnrl-train).

| | |
|---|---|
| base model's fingerprint | `{fingerprint}` |
| training pairs | {pairs} |
| steps, epochs, batch size | {steps}, {epochs}, {batch_size} |
| loss | {objective} |
| optimizer | AdamW, learning rate {rate}, {warmup} warm-up steps, then linear to 0, weight decay {decay} |
| gradient clipping, dropout, seed | {clip}, {dropout}, {seed} |
| final loss | {loss:.4} |
| time | {seconds:.0} s, {tokens} tokens |

Vectors have {dim} elements, pooling is {pooling}, texts are cut at {length} tokens, as in the base model.
",
        name = cli.out.file_name().unwrap_or_default().to_string_lossy(),
        base = cli.model.model,
        version = env!("CARGO_PKG_VERSION"),
        fingerprint = base.fingerprint()?,
        pairs = shards.pairs(),
        steps = summary.steps,
        epochs = training.epochs,
        batch_size = training.batch_size,
        objective = cli.loss.objective(base.dimension())?,
        rate = optimizer.learning_rate,
        warmup = optimizer.warmup_steps,
        decay = optimizer.weight_decay,
        clip = optimizer.max_grad_norm,
        seed = training.seed,
        loss = summary.final_loss,
        seconds = summary.seconds,
        tokens = summary.tokens,
        dim = base.dimension(),
        pooling = base.pooling(),
        length = base.max_seq_length(),
    ))
}
