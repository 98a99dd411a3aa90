//! Where the programs are.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The filters, in the order of the pipeline.
pub const FILTERS: [&str; 7] =
    ["docs2queries", "mine-negatives", "pairs2shards", "mnrl-train", "st2onnx", "embed", "ir-eval"];

/// The folder of the programs: that of the running test's profile, such as `target/release`.
///
/// # Panics
/// When the programs cannot be built.
pub fn programs() -> &'static Path {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = profile_folder();
        // Cargo has just built a filter for the filter's own tests. For the tests of this package it builds
        // none, and old programs would be tested unnoticed.
        if env::var("CARGO_PKG_NAME").as_deref() == Ok(env!("CARGO_PKG_NAME")) {
            build(&folder)?;
        }
        Ok(folder)
    });
    folder.as_ref().unwrap_or_else(|error| panic!("{error}"))
}

/// The folder of the running test's profile, such as `target/release`.
pub(crate) fn profile_folder() -> PathBuf {
    let test = env::current_exe().expect("the test's own path");
    test.ancestors().nth(2).expect("tests are in target/PROFILE/deps").to_owned()
}

/// Builds all programs into `folder`, which takes half a second when they are up to date.
fn build(folder: &Path) -> Result<(), String> {
    let profile = folder.file_name().and_then(|name| name.to_str()).expect("a profile");
    let profile = if profile == "debug" { "dev" } else { profile };
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--workspace", "--bins", "--profile", profile, "--target-dir"]);
    cargo.arg(folder.parent().expect("a target folder")).current_dir(crate::workspace());
    // Cargo's variables for this test must not reach the other cargo: build scripts that read them would run again.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_") && !name.starts_with("CARGO_HOME")) {
            cargo.env_remove(name);
        }
    }
    let output = cargo.output().expect("cargo runs");
    let messages = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("the programs cannot be built: {cargo:?}\n{messages}")) }
}
