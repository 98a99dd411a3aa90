//! Settings of the C libraries that are read when they are loaded.

use embtune_cli::EnvironmentSetting;

/// - libgomp lets waiting threads spin, and where another process has a core, the spinning takes the time of the thread
///   that is waited for: training ran at a fourth of its speed beside a compiler, and as fast as before alone.
/// - glibc raises the size from which memory goes back to the system up to 32 MB, and tensors of every size then wear
///   holes into the heap, which grew by a quarter over 20 steps. With 16 MB it stays as it is, at the same speed.
/// - With that size fixed, glibc gives every free 128 kB at the end of the heap back, which the next tensor takes again,
///   page by page: a twelfth of the time in bf16. What a batch needs stays with the process.
/// - oneDNN and torch's layer above it keep the last 1,024 programs each, a megabyte a piece, and no two batches have the
///   same number of tokens: 30 steps of MiniLM grew from 0.8 to 1.7 GB, and nothing was used twice. A micro-batch needs
///   about 20 of them; with 32 the memory stands still after some steps, at the same speed.
pub(crate) const SETTINGS: [EnvironmentSetting; 5] = [
    EnvironmentSetting { names: &["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"], value: "passive" },
    EnvironmentSetting { names: &["MALLOC_MMAP_THRESHOLD_"], value: "16777216" },
    EnvironmentSetting { names: &["MALLOC_TRIM_THRESHOLD_"], value: "1073741824" },
    EnvironmentSetting { names: &["ONEDNN_PRIMITIVE_CACHE_CAPACITY"], value: "32" },
    EnvironmentSetting { names: &["LRU_CACHE_CAPACITY"], value: "32" },
];
