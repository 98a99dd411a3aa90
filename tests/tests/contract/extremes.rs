//! Every numeric flag, with absurd numbers.

use std::collections::BTreeMap;

use embtune_tests::{Folder, complaints};

use crate::filters::{ALL, Filter, workbench};

const VALUES: [&str; 12] = [
    "0",
    "1",
    "-1",
    "3.5",
    "4294967295",
    "9223372036854775807",
    "18446744073709551615",
    "99999999999999999999999",
    "1e308",
    "-1e308",
    "NaN",
    "inf",
];

/// Placeholders of values that are not numbers.
const NOT_NUMERIC: &str = "DIR DISTANCE FILE FORM FORMAT HOW LOSS MODEL NAME POLICY PROGRAM REASONS REFERENCE ROLE RULE \
                           SHAPE SHARD SIMILARITY TEXT TYPE URL WHAT WHERE WHICH";

/// The forms of a value by its placeholder in the help; `{}` is the number.
///
/// # Panics
/// For an unknown placeholder: its flag would not be tested, and nobody would notice.
fn patterns(placeholder: &str) -> &'static [&'static str] {
    match placeholder {
        "BYTES" => &["{}", "{}G"],
        "COSINE" | "DECAY" | "FACTOR" | "LIST" | "MARGIN" | "NORM" | "NUM" | "RANK" | "RATE" | "SCORE" | "SECONDS"
        | "SHARE" | "SHARE|auto" | "STEPS" | "USD" => &["{}"],
        "NUM,..." | "SIZES" => &["{}", "{},1"],
        "DEVICE" => &["cuda:{}"],
        "I/N" => &["{}/{}", "1/{}", "{}/2"],
        "METRIC" | "METRIC,..." => &["ndcg@{}", "rbp@{}"],
        "METRIC=NUM,..." => &["ndcg@10={}", "ndcg@{}=0.5"],
        "MIX" => &["question={}", "question=1,keyword={}"],
        "PART" => &["layers:{}"],
        "SPEC" => &["r={}", "r=2,alpha={}"],
        other => {
            let is_known = NOT_NUMERIC.split_whitespace().any(|known| known == other);
            assert!(is_known, "unknown placeholder <{other}>: add it to patterns or to NOT_NUMERIC");
            &[]
        }
    }
}

/// The address space of a process: much more than any of these runs needs, and less than some of the numbers would ask
/// for.
const MOST_KILOBYTES: u64 = 24 << 20;

/// Flags that need others, or other input.
fn companions() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("--chunk-overlap", "--on-long chunk --max-seq-length 8"),
        ("--min-cosine", "--verify c"),
        ("--shard-pairs", "--out SHARDS"),
        ("--holdout", "--holdout-dir HELD"),
        ("--margin", "--loss triplet"),
        ("--epochs", "--plan"),
    ])
}

/// The flags of a filter that take a number, with the forms of their values.
fn numeric(filter: Filter) -> Vec<(String, &'static [&'static str])> {
    let help = Folder::new().run(filter.name).arg("--help").stdout();
    let of_line = |line: &str| {
        let flag = line.trim_start().strip_prefix('-')?;
        let (names, value) = flag.split_once('<').or_else(|| flag.split_once("[<"))?;
        let value = value.split_once('>')?.0;
        let name = names
            .split_once("--")
            .map_or_else(|| format!("-{}", names.trim()), |(_, name)| format!("--{}", name.trim()));
        Some((name, patterns(value))).filter(|(_, patterns)| !patterns.is_empty())
    };
    help.lines().filter(|line| line.starts_with("  -") || line.starts_with("      --")).filter_map(of_line).collect()
}

/// Command lines of a filter that together read every flag.
fn lines(filter: Filter) -> Vec<String> {
    match filter.name {
        "docs2queries" => {
            vec![filter.line.to_owned(), "docs2queries --llm m --base-url http://127.0.0.1:9/v1 --dry-run".into()]
        }
        // `--epochs 1` is replaced when `--epochs` is tested.
        "mnrl-train" => {
            vec!["mnrl-train --device cpu --model BASE --out TUNED --threads 1 --batch-size 2 --epochs 1".into()]
        }
        _ => vec![filter.line.to_owned()],
    }
}

/// A command line with a flag set to a value, which replaces an earlier one.
fn with(line: &str, flag: &str, value: &str, companions: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let own = words.iter().position(|word| *word == flag);
    let kept = (0..).zip(&words).filter(|(at, _)| own.is_none_or(|own| *at != own && *at != own + 1));
    let kept: Vec<&str> = kept.map(|(_, word)| *word).collect();
    format!("{} {flag}={value} {companions}", kept.join(" "))
}

/// The problem with how a run ended, if there is one.
fn complaint(filter: Filter, line: &str) -> Option<String> {
    let folder = workbench();
    let input = filter.good_input(&folder);
    let script = format!("ulimit -v {MOST_KILOBYTES}; exec {line}");
    let ran = folder.shell(&script).stdin(input).ran();
    let message = ran.stderr();
    let is_sound = (0..=2).contains(&ran.code)
        && !message.contains("internal error")
        && !message.contains("panicked")
        && (ran.code == 0 || !message.is_empty());
    (!is_sound).then(|| format!("{ran}"))
}

#[test]
fn an_absurd_number_is_refused_or_used() {
    let companions = companions();
    let mut runs = Vec::new();
    for filter in ALL {
        let flags = numeric(filter);
        assert!(!flags.is_empty() || filter.name == "st2onnx", "{}", filter.name);
        for line in lines(filter) {
            for (flag, patterns) in &flags {
                let companions = companions.get(flag.as_str()).copied().unwrap_or_default();
                for (pattern, number) in patterns.iter().flat_map(|pattern| VALUES.map(|number| (pattern, number))) {
                    runs.push((filter, with(&line, flag, &pattern.replace("{}", number), companions)));
                }
            }
        }
    }
    assert!(runs.len() > 500, "{}", runs.len());
    let complaints = complaints(&runs, || (), |(), (filter, line)| complaint(*filter, line));
    assert!(complaints.is_empty(), "{} of {} runs:\n{}", complaints.len(), runs.len(), complaints.join("\n\n"));
}
