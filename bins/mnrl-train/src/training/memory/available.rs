//! How much memory the machine still has.

use std::fs;

/// Bytes that this process can take before Linux begins to swap or kills it; nothing where Linux does not say.
///
/// In a container the limit of its control group counts, of which `/proc/meminfo` knows nothing.
pub(crate) fn available_memory() -> Option<u64> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let machine = of_machine(&read("/proc/meminfo"))?;
    let group = |file: &str| read(&format!("/sys/fs/cgroup/memory.{file}"));
    let container = of_group(&group("max"), &group("current"), &group("stat")).unwrap_or(u64::MAX);
    Some(machine.min(container))
}

/// `MemAvailable` of proc_meminfo(5), which is in kB.
fn of_machine(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// What a control group (version 2) leaves: its limit less what is in use. Pages of files that nobody has touched for a
/// while are in use only until somebody wants them.
fn of_group(max: &str, current: &str, stat: &str) -> Option<u64> {
    let max: u64 = max.trim().parse().ok()?; // "max" is no limit
    let current: u64 = current.trim().parse().ok()?;
    let files = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.parse().ok()).unwrap_or(0);
    Some(max.saturating_sub(current.saturating_sub(files)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_it_in_kilobytes() {
        let meminfo = "MemTotal:       24569784 kB\nMemFree:          812 kB\nMemAvailable:   20480 kB\n";
        assert_eq!(of_machine(meminfo), Some(20 << 20));
        assert_eq!(of_machine("MemTotal: 1 kB\n"), None);
        assert!(available_memory().is_none_or(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn a_container_has_a_limit_of_its_own() {
        assert_eq!(of_group("1000\n", "900\n", "anon 500\ninactive_file 300\n"), Some(400));
        assert_eq!(of_group("1000\n", "900\n", ""), Some(100));
        assert_eq!(of_group("max\n", "900\n", ""), None);
        assert_eq!(of_group("", "", ""), None);
    }
}
