//! How much memory a training takes, and how much there is.

mod available;

use std::fs;

use anyhow::Context as _;
use embtune_model::{Architecture, BertConfig};
use embtune_torch::cuda_memory;
use embtune_torch::tch::{Device, Kind};

/// Bytes that the backward pass needs of each token of a row of this length: of each layer its input, query, key, value,
/// context, both sums before the norms, the first norm's output and the inner state, and f32 statistics.
pub(crate) fn bytes_a_token(config: &BertConfig, kind: Kind, length: usize) -> u64 {
    let (hidden, inner, heads) = (config.hidden_size, config.intermediate_size, config.num_attention_heads);
    let scores = match config.architecture {
        // Its probabilities are kept, before and after dropout and in f32.
        Architecture::MpNet => 3 * heads * length,
        _ => 0,
    };
    let elements = config.num_hidden_layers * (8 * hidden + inner + scores);
    // The embeddings are f32: their sum, and the word's and position's share of it.
    let floats = config.num_hidden_layers * (heads + 4) + 3 * hidden;
    (elements * kind.elt_size_in_bytes() + floats * 4) as u64
}

/// Bytes that a pass takes of each token of its micro-batch beside what it keeps: the inner states of one layer and
/// their gradients.
pub(crate) fn working_bytes_a_token(config: &BertConfig, kind: Kind) -> u64 {
    (4 * config.intermediate_size.max(config.hidden_size) * kind.elt_size_in_bytes()) as u64
}

/// Bytes that the device can still give, where it says so.
pub(crate) fn free(device: Device) -> anyhow::Result<Option<u64>> {
    Ok(match cuda_memory(device)? {
        Some(memory) => Some(memory.free),
        None => available::available_memory(),
    })
}

/// Most bytes that this process has taken on the device.
pub(crate) fn peak(device: Device) -> anyhow::Result<u64> {
    match cuda_memory(device)? {
        Some(memory) => Ok(memory.peak),
        None => kilobytes("/proc/self/status", "VmHWM:"),
    }
}

/// A line such as `VmHWM:  1234 kB`.
fn kilobytes(file: &str, name: &str) -> anyhow::Result<u64> {
    let text = fs::read_to_string(file).with_context(|| file.to_owned())?;
    let number = text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<u64>().ok());
    Ok(number.with_context(|| format!("{file}: no {name}"))? * 1024)
}
