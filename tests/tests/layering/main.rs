//! Rules of the architecture (see CONTRIBUTING.md), checked against `cargo metadata` and the sources, so that they stay
//! true.

mod modules;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use embtune_tests::{FILTERS, workspace};
use serde_json::Value;

use modules::Modules;

/// The crates of each floor; filters are above them.
const FLOORS: [&[&str]; 4] = [
    &["cli", "records", "tensors", "metrics", "text", "encoders"],
    &["model", "ort-engine", "torch"],
    &["onnx", "tokenize"],
    &["search", "encode"],
];

/// Heavy dependencies, and the one crate that may name each in its manifest.
const HOMES: [(&str, &str); 14] = [
    ("tch", "shared/torch"),
    ("torch-sys", "shared/torch"),
    ("ort", "shared/ort-engine"),
    ("tokenizers", "shared/tokenize"),
    ("memmap2", "shared/tensors"),
    ("safetensors", "shared/tensors"),
    ("rawzip", "shared/tensors"),
    ("hf-hub", "shared/model"),
    ("ureq", "shared/model"),
    ("indicatif", "shared/cli"),
    ("nix", "shared/cli"),
    ("async-openai", "bins/docs2queries"),
    ("tokio", "bins/docs2queries"),
    ("redb", "bins/embed"),
];

/// A binding belongs to one version of its native library: even a minor release may change the ABI.
const PINNED: [&str; 3] = ["tch", "torch-sys", "ort"];

/// A member of the workspace, as `cargo metadata` describes it.
struct Member {
    name: String,
    /// Such as `shared/cli`.
    folder: String,
    manifest: PathBuf,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    version: String,
    kind: Kind,
}

#[derive(PartialEq, Eq)]
enum Kind {
    Normal,
    Build,
    Test,
}

/// Every member by its name.
///
/// The crate cargo_metadata would do the same, but it turns on features of serde_json, and then the programs that are
/// tested would not be those that are installed.
fn members() -> BTreeMap<String, Member> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version=1", "--no-deps", "--offline"]).current_dir(root());
    let metadata: Value = serde_json::from_slice(&cargo.output().unwrap().stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().map(member).map(|member| (member.name.clone(), member)).collect()
}

fn member(package: &Value) -> Member {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let manifest = PathBuf::from(text(&package["manifest_path"]));
    let dependencies = package["dependencies"].as_array().unwrap().iter().map(|dependency| Dependency {
        name: text(&dependency["name"]),
        version: text(&dependency["req"]),
        kind: match dependency["kind"].as_str() {
            None => Kind::Normal,
            Some("build") => Kind::Build,
            Some(_) => Kind::Test,
        },
    });
    Member {
        name: text(&package["name"]),
        folder: shown(manifest.parent().unwrap()),
        dependencies: dependencies.collect(),
        manifest,
    }
}

fn root() -> PathBuf {
    workspace().canonicalize().unwrap()
}

/// A path relative to the root of the workspace.
fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// The floor of a member, from 0. Filters are on the highest one, and the tests above it.
fn floor(member: &Member) -> usize {
    match member.folder.split_once('/') {
        Some(("bins", _)) => FLOORS.len(),
        Some((_, name)) => FLOORS.iter().position(|floor| floor.contains(&name)).unwrap_or_else(|| {
            let folder = &member.folder;
            panic!("{folder} is on no floor\nhint: add it to FLOORS and to the table in CONTRIBUTING.md")
        }),
        None => FLOORS.len() + 1,
    }
}

#[test]
fn dependencies_point_down() {
    let members = members();
    assert_eq!(members.len(), FLOORS.concat().len() + FILTERS.len() + 1, "FLOORS has a crate that does not exist");
    for member in members.values() {
        for dependency in &member.dependencies {
            let Some(below) = members.get(&dependency.name) else { continue };
            let (from, to) = (&member.folder, &below.folder);
            assert!(!to.starts_with("bins/"), "{from} depends on {to}: filters are connected by pipes only");
            // Tests may use anything.
            if dependency.kind != Kind::Test {
                assert!(floor(below) < floor(member), "{from} depends on {to}, which is not on a lower floor");
            }
        }
    }
}

#[test]
fn a_heavy_dependency_has_one_home() {
    let members = members();
    for (heavy, home) in HOMES {
        let uses = |member: &&Member| member.dependencies.iter().any(|dependency| dependency.name == heavy);
        let users: Vec<&str> = members.values().filter(uses).map(|member| member.folder.as_str()).collect();
        assert_eq!(users, [home], "{heavy}");
    }
}

#[test]
fn bindings_are_pinned() {
    let members = members();
    for binding in PINNED {
        let dependencies = members.values().flat_map(|member| &member.dependencies);
        let versions: Vec<_> = dependencies.filter(|found| found.name == binding).map(|found| &found.version).collect();
        assert!(!versions.is_empty(), "nothing depends on {binding}");
        assert!(versions.iter().all(|version| version.starts_with('=')), "{binding}: {versions:?}");
    }
}

#[test]
fn only_mnrl_train_links_libtorch() {
    let members = members();
    let linking: Vec<_> =
        FILTERS.into_iter().filter(|name| reaches(&members[*name], "embtune-torch", &members)).collect();
    assert_eq!(linking, ["mnrl-train"]);
}

/// Whether a member links a crate, directly or through others.
fn reaches(member: &Member, wanted: &str, members: &BTreeMap<String, Member>) -> bool {
    let linked = member.dependencies.iter().filter(|dependency| dependency.kind == Kind::Normal);
    let mut linked = linked.filter_map(|dependency| members.get(&dependency.name));
    linked.any(|below| below.name == wanted || reaches(below, wanted, members))
}

#[test]
fn versions_and_lints_are_the_workspaces() {
    for Member { folder, manifest, .. } in members().values() {
        let manifest = fs::read_to_string(manifest).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{folder} does not use the workspace's lints");
        for line in manifest.lines().skip_while(|line| *line != "[dependencies]").filter(|line| line.contains('=')) {
            assert!(
                line.contains("workspace = true"),
                "{folder}: {line}: versions are declared in the root's Cargo.toml"
            );
        }
    }
}

#[test]
fn the_programs_that_are_tested_are_those_that_are_installed() {
    let features = |edges: &str| -> BTreeSet<String> {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["tree", "--workspace", "--offline", "--prefix=none", "--no-dedupe", "--format={p} {f}"]);
        let output = cargo.args(["--edges", edges]).current_dir(root()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    };
    let (plain, with_tests) = (features("normal"), features("normal,dev"));
    let other: Vec<_> = plain.difference(&with_tests).collect();
    assert!(other.is_empty(), "a dependency of tests turns on more features of {other:?}: everything is built twice");
}

/// The lines of a member's sources up to the unit tests of each file, with their places and without comments.
fn lines(member: &Member) -> Vec<(String, String)> {
    let mut files = vec![member.manifest.with_file_name("src")];
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

#[test]
fn two_crates_have_unsafe_code() {
    let mut allowed = BTreeSet::new();
    for member in members().values() {
        if lines(member).iter().any(|(_, line)| line.contains("(unsafe_code")) {
            allowed.insert(member.folder.clone());
        }
    }
    assert_eq!(allowed, ["shared/tensors", "shared/torch"].map(String::from).into());
}

#[test]
fn libraries_never_print_exit_or_read_the_environment() {
    const WORDS: [&str; 7] =
        ["println!", "print!(", "process::exit", "process::abort", "env::var", "std::env", "from_env"];
    // These lines may, each for a reason.
    const EXCEPTIONS: [(&str, &str); 3] = [
        ("shared/ort-engine/src/library.rs", "current_exe"), // the library may be beside the program
        ("shared/model/src/snapshot.rs", "Cache::from_env"), // all of Hugging Face's programs look in HF_HOME
        ("shared/model/src/hub.rs", "ApiBuilder::from_env"),
    ];
    let mut excepted = BTreeSet::new();
    for member in members().values() {
        // shared/cli is the layer of the process itself.
        if !member.folder.starts_with("shared/") || member.folder == "shared/cli" {
            continue;
        }
        for (place, line) in lines(member) {
            let exception = EXCEPTIONS.iter().find(|(file, word)| place.starts_with(file) && line.contains(word));
            excepted.extend(exception);
            assert!(exception.is_some() || !WORDS.iter().any(|word| line.contains(word)), "{place}: {line}");
        }
    }
    assert_eq!(excepted, EXCEPTIONS.iter().collect(), "an exception is no longer needed");
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

#[test]
fn sibling_modules_form_no_circles() {
    let mut circles = Vec::new();
    for member in members().values().filter(|member| member.folder.contains('/')) {
        for circle in Modules::read(&member.manifest.with_file_name("src")).circles() {
            circles.push(format!("{}: {circle}", member.folder));
        }
    }
    assert!(circles.is_empty(), "{} circles of modules:\n{}", circles.len(), circles.join("\n"));
}

#[test]
fn only_run_turns_flags_into_settings() {
    let mut readers = BTreeMap::new();
    for name in FILTERS {
        for reference in Modules::read(&workspace().join("bins").join(name).join("src")).references() {
            let from = reference.from.first().map(String::as_str);
            if reference.to.first().is_some_and(|to| to == "cli") && !matches!(from, None | Some("run" | "cli")) {
                readers.entry((name, reference.from)).or_insert(reference.place);
            }
        }
    }
    let shown: Vec<String> = readers.iter().map(|((name, _), place)| format!("bins/{name}: {place}")).collect();
    assert!(
        shown.is_empty(),
        "{} modules other than run and cli name crate::cli:\n{}\nhint: give the module a Settings struct, which run.rs fills",
        shown.len(),
        shown.join("\n")
    );
}
