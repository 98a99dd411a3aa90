//! The rules of the house (DESIGN 4), from `cargo metadata` and the sources, so that they stay true.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use embtune_tests::{FILTERS, workspace};

/// Which crate stands on which floor; filters stand above.
const FLOORS: [&[&str]; 4] = [
    &["cli", "records", "tensors", "metrics"],
    &["tokenize", "model", "ort-engine", "torch"],
    &["onnx"],
    &["search", "encode"],
];

/// Heavy dependencies, and the one folder whose manifest names each.
const HOMES: [(&str, &str); 12] = [
    ("tch", "shared/torch"),
    ("torch-sys", "shared/torch"),
    ("ort", "shared/ort-engine"),
    ("tokenizers", "shared/tokenize"),
    ("memmap2", "shared/tensors"),
    ("safetensors", "shared/tensors"),
    ("hf-hub", "shared/model"),
    ("prost", "shared/onnx"),
    ("indicatif", "shared/cli"),
    ("signal-hook", "shared/cli"),
    ("async-openai", "bins/docs2queries"),
    ("tokio", "bins/docs2queries"),
];

/// A binding and its native library are one thing: a minor release may move the ABI.
const PINNED: [&str; 3] = ["tch", "torch-sys", "ort"];

fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    command.manifest_path(workspace().join("Cargo.toml")).no_deps().exec().unwrap()
}

/// A member's folder, such as `shared/cli`.
fn folder(package: &Package) -> String {
    let folder = package.manifest_path.parent().unwrap().as_std_path();
    folder.strip_prefix(workspace().canonicalize().unwrap()).unwrap().display().to_string()
}

/// Every member by its name.
fn members(metadata: &Metadata) -> BTreeMap<&str, &Package> {
    metadata.packages.iter().map(|package| (package.name.as_str(), package)).collect()
}

/// The floor on which a member stands, from 0; filters stand on the highest, and the tests look at the house from above.
fn floor(package: &Package) -> usize {
    let folder = folder(package);
    match folder.split_once('/') {
        Some(("bins", _)) => FLOORS.len(),
        Some((_, name)) => FLOORS.iter().position(|floor| floor.contains(&name)).unwrap_or_else(|| {
            panic!("{folder} stands on no floor\nhint: give it one in DESIGN 4 and in tests/tests/layering.rs")
        }),
        None => FLOORS.len() + 1,
    }
}

#[test]
fn dependencies_point_down() {
    let metadata = metadata();
    let members = members(&metadata);
    assert_eq!(members.len(), FLOORS.concat().len() + FILTERS.len() + 1, "a crate of FLOORS is gone");
    for package in members.values() {
        for dependency in &package.dependencies {
            let Some(below) = members.get(dependency.name.as_str()) else { continue };
            let (from, to) = (folder(package), folder(below));
            assert!(!to.starts_with("bins/"), "{from} depends on {to}: filters meet in pipes only");
            // Tests may look at anything.
            if dependency.kind != DependencyKind::Development {
                assert!(floor(below) < floor(package), "{from} depends on {to}, which does not stand below it");
            }
        }
    }
}

#[test]
fn a_heavy_dependency_has_one_home() {
    let metadata = metadata();
    for (heavy, home) in HOMES {
        let users: Vec<_> =
            metadata.packages.iter().filter(|p| p.dependencies.iter().any(|d| d.name == heavy)).collect();
        assert_eq!(users.into_iter().map(folder).collect::<Vec<_>>(), [home], "{heavy}");
    }
}

#[test]
fn bindings_are_pinned() {
    for package in metadata().packages {
        for dependency in package.dependencies.iter().filter(|d| PINNED.contains(&d.name.as_str())) {
            let version = dependency.req.to_string();
            assert!(version.starts_with('='), "{}: {} {version}", folder(&package), dependency.name);
        }
    }
}

#[test]
fn only_mnrl_train_links_libtorch() {
    let metadata = metadata();
    let members = members(&metadata);
    let linking: Vec<_> =
        FILTERS.into_iter().filter(|name| reaches(members[name], "embtune-torch", &members)).collect();
    assert_eq!(linking, ["mnrl-train"]);
}

/// Whether a program holds a crate, through any others.
fn reaches(package: &Package, wanted: &str, members: &BTreeMap<&str, &Package>) -> bool {
    let linked = package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal);
    let mut linked = linked.filter_map(|d| members.get(d.name.as_str()));
    linked.any(|below| below.name.as_str() == wanted || reaches(below, wanted, members))
}

#[test]
fn versions_and_lints_are_the_workspaces() {
    for package in metadata().packages {
        let manifest = fs::read_to_string(&package.manifest_path).unwrap();
        let folder = folder(&package);
        assert!(manifest.contains("[lints]\nworkspace = true"), "{folder} does not take the workspace's lints");
        for line in manifest.lines().skip_while(|line| *line != "[dependencies]").filter(|line| line.contains('=')) {
            assert!(line.contains("workspace = true"), "{folder}: {line}: versions stand in the root's Cargo.toml");
        }
    }
}

/// The lines of a member's sources in front of its unit tests, with their places; comments are left out.
fn lines(package: &Package) -> Vec<(String, String)> {
    let mut files = vec![package.manifest_path.parent().unwrap().as_std_path().join("src")];
    let mut lines = Vec::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (number, line) in (1..).zip(code.lines()).filter(|(_, line)| !line.trim_start().starts_with("//")) {
            lines.push((format!("{}:{number}", shown(&path)), line.to_owned()));
        }
    }
    lines
}

fn shown(path: &Path) -> String {
    path.strip_prefix(workspace().canonicalize().unwrap()).unwrap_or(path).display().to_string()
}

#[test]
fn unsafe_code_stands_in_two_crates() {
    let mut allowed = BTreeSet::new();
    for package in metadata().packages {
        let has =
            |(_, line): &(String, String)| line.contains("allow(unsafe_code)") || line.contains("expect(unsafe_code");
        if folder(&package) != "tests" && lines(&package).iter().any(has) {
            allowed.insert(folder(&package));
        }
    }
    assert_eq!(allowed, ["shared/tensors", "shared/torch"].map(String::from).into());
}

#[test]
fn libraries_never_print_exit_or_read_the_environment() {
    const WORDS: [&str; 7] =
        ["println!", "print!(", "process::exit", "process::abort", "env::var", "std::env", "from_env"];
    // What stands here has a reason, and no other line may.
    const EXCEPTIONS: [(&str, &str); 3] = [
        ("shared/ort-engine/src/library.rs", "current_exe"), // the library may lie beside the program
        ("shared/model/src/hub.rs", "Cache::from_env"),      // HF_HOME is where all of Hugging Face's programs look
        ("shared/model/src/hub.rs", "ApiBuilder::from_env"),
    ];
    for package in metadata().packages {
        // The layer of the process itself is floor 0's cli.
        if !folder(&package).starts_with("shared/") || folder(&package) == "shared/cli" {
            continue;
        }
        for (place, line) in lines(&package) {
            let is_excepted = EXCEPTIONS.iter().any(|(file, word)| place.starts_with(file) && line.contains(word));
            assert!(is_excepted || !WORDS.iter().any(|word| line.contains(word)), "{place}: {line}");
        }
    }
}

#[test]
fn a_main_only_starts_the_program() {
    for name in FILTERS {
        let path: PathBuf = workspace().join("bins").join(name).join("src/main.rs");
        let source = fs::read_to_string(path).unwrap();
        let is_code = |line: &&str| {
            let line = line.trim();
            !(line.is_empty() || line.starts_with("//") || line.starts_with("mod ") || line.starts_with("#["))
        };
        let code: Vec<_> = source.lines().filter(is_code).collect();
        assert!(code.len() <= 12, "bins/{name}/src/main.rs: {code:#?}");
    }
}
