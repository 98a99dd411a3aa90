//! How much memory a training takes, and how much there is.

use std::fs;

use anyhow::Context as _;
use embtune_model::{Architecture, EncoderConfig};
use embtune_torch::cuda_memory;
use embtune_torch::tch::{Device, Kind};

/// Bytes that the backward pass needs of a token: of each layer its input, query, key, value, context, both sums before
/// the norms, the first norm's output and the inner state, and f32 statistics.
pub(crate) fn bytes_a_token(config: &EncoderConfig, kind: Kind) -> u64 {
    let (hidden, inner, heads) = (config.hidden_size, config.intermediate_size, config.num_attention_heads);
    let scores = match config.architecture {
        // Its probabilities are kept: of a text of 256 tokens, say.
        Architecture::MpNet => 3 * heads * 256,
        _ => 0,
    };
    let elements = config.num_hidden_layers * (8 * hidden + inner + scores);
    // The embeddings are f32: their sum, and the word's and position's share of it.
    let floats = config.num_hidden_layers * (heads + 4) + 3 * hidden;
    (elements * kind.elt_size_in_bytes() + floats * 4) as u64
}

/// Bytes that the device can still give.
pub(crate) fn free(device: Device) -> anyhow::Result<u64> {
    match cuda_memory(device)? {
        Some(memory) => Ok(memory.free),
        None => kilobytes("/proc/meminfo", "MemAvailable:"),
    }
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
