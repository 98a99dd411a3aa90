//! How much memory a training needs, how much there is, and how batches are cut to fit.

use std::fs;

use anyhow::Context as _;
use embtune_encoders::Encoder;
use embtune_torch::cuda_memory;
use embtune_torch::tch::{Device, Kind};

use super::activations::Activations;

/// Row length that is assumed for the families whose memory per token depends on it.
const TYPICAL_LENGTH: usize = 256;
/// More tokens are not faster.
const CPU_BATCH_TOKENS: usize = 2048;
const CUDA_BATCH_TOKENS: usize = 65_536;
/// Default memory of one micro-batch on the CPU.
const CPU_BATCH_MEMORY: u64 = 1 << 30;
/// Default memory of a batch on the CPU.
const CPU_MEMORY: u64 = 2 << 30;

/// How a batch is cut into micro-batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Tokens of a micro-batch; a longer row is a micro-batch of its own.
    pub(crate) batch_tokens: usize,
    /// Tokens whose graphs are in memory at the same time.
    pub(crate) live_tokens: usize,
}

impl Budget {
    /// The budget for a model and a device; `batch_tokens` and `memory`, in bytes, are the user's choices.
    ///
    /// # Errors
    /// An error of libtorch.
    pub(crate) fn new(
        batch_tokens: Option<usize>,
        memory: Option<u64>,
        encoder: &Encoder,
        kind: Kind,
        device: Device,
    ) -> anyhow::Result<Self> {
        let bytes = match (memory, device) {
            (Some(bytes), _) => bytes,
            (None, Device::Cpu) => CPU_MEMORY,
            (None, _) => free(device)?.unwrap_or(CPU_MEMORY) / 10 * 7,
        };
        let bytes_per_token = Activations::of(encoder).bytes_per_token(kind, TYPICAL_LENGTH);
        let live_tokens = (bytes / bytes_per_token) as usize;
        let batch_tokens = match (batch_tokens, device) {
            (Some(tokens), _) => tokens,
            // Does not depend on --memory, which must not change the result.
            (None, Device::Cpu) => CPU_BATCH_TOKENS.min((CPU_BATCH_MEMORY / bytes_per_token) as usize),
            (None, _) => CUDA_BATCH_TOKENS.min(live_tokens / 2),
        };
        Ok(Self { batch_tokens: batch_tokens.max(1), live_tokens })
    }
}

/// Bytes that are still available on the device, if they are known.
///
/// # Errors
/// An error of libtorch.
pub(crate) fn free(device: Device) -> anyhow::Result<Option<u64>> {
    Ok(match cuda_memory(device)? {
        Some(memory) => Some(memory.free),
        None => available_memory(),
    })
}

/// The most bytes that this process has used on the device.
///
/// # Errors
/// An error of libtorch, or a system that does not report it.
pub(crate) fn peak(device: Device) -> anyhow::Result<u64> {
    const FILE: &str = "/proc/self/status";
    if let Some(memory) = cuda_memory(device)? {
        return Ok(memory.peak);
    }
    let text = fs::read_to_string(FILE).context(FILE)?;
    kilobytes(&text, "VmHWM:").with_context(|| format!("{FILE}: no VmHWM"))
}

/// Bytes that this process can use before Linux starts to swap or kills it; `None` if Linux does not report it.
///
/// In a container the limit of its control group applies, which `/proc/meminfo` does not know.
fn available_memory() -> Option<u64> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let machine = kilobytes(&read("/proc/meminfo"), "MemAvailable:")?;
    let group = |file: &str| read(&format!("/sys/fs/cgroup/memory.{file}"));
    let container = of_control_group(&group("max"), &group("current"), &group("stat")).unwrap_or(u64::MAX);
    Some(machine.min(container))
}

/// The bytes of a line of `/proc` such as `VmHWM:  1234 kB`.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The free memory of a control group (version 2): its limit minus its use. Inactive pages of files are not counted as
/// in use, because the kernel frees them on demand.
fn of_control_group(max: &str, current: &str, stat: &str) -> Option<u64> {
    let max: u64 = max.trim().parse().ok()?; // "max" means no limit
    let current: u64 = current.trim().parse().ok()?;
    let files = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.parse().ok()).unwrap_or(0);
    Some(max.saturating_sub(current.saturating_sub(files)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_reports_kilobytes() {
        let meminfo = "MemTotal:       24569784 kB\nMemFree:          812 kB\nMemAvailable:   20480 kB\n";
        assert_eq!(kilobytes(meminfo, "MemAvailable:"), Some(20 << 20));
        assert_eq!(kilobytes("MemTotal: 1 kB\n", "MemAvailable:"), None);
        assert!(available_memory().is_none_or(|bytes| bytes > 1 << 20));
        assert!(peak(Device::Cpu).unwrap() > 1 << 20);
    }

    #[test]
    fn the_limit_of_a_container_applies() {
        assert_eq!(of_control_group("1000\n", "900\n", "anon 500\ninactive_file 300\n"), Some(400));
        assert_eq!(of_control_group("1000\n", "900\n", ""), Some(100));
        assert_eq!(of_control_group("max\n", "900\n", ""), None);
        assert_eq!(of_control_group("", "", ""), None);
    }
}
