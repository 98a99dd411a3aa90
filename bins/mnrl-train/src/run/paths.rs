//! Files that must not be inside the directory for the model.

use std::path::{Path, PathBuf};

use embtune_cli::is_inside;

use crate::cli::Cli;

/// Refuses inputs and outputs inside `--out`. They would be removed when the model replaces that directory; an output
/// would also create the directory during the training, so that the model could not appear there.
///
/// # Errors
/// The flag and the path.
pub(super) fn check_paths(cli: &Cli) -> anyhow::Result<()> {
    let out = &cli.out;
    anyhow::ensure!(
        out.to_str().is_some(),
        "--out {}: is not UTF-8, which ONNX Runtime requires to open the model again",
        out.display()
    );
    let given = |name: &'static str, path: &Option<PathBuf>| path.clone().map(|path| (name, path));
    let written =
        [Some(("--checkpoint-dir", cli.checkpoint.folder(&cli.out))), given("--tensorboard", &cli.tensorboard)];
    let read = [
        given("--dev-queries", &cli.training.dev.dev_queries),
        given("--dev-corpus", &cli.training.dev.dev_corpus),
        given("--dev-qrels", &cli.training.dev.dev_qrels),
        // The log, if stdout is a file.
        given("the log", &Some(PathBuf::from("/proc/self/fd/1"))),
    ];
    let files = cli.training.data.sets.iter().filter(|set| *set != Path::new("-"));
    let sets = files.map(|set| Some(("the training set", set.clone())));
    for (name, path) in written.into_iter().chain(read).chain(sets).flatten() {
        anyhow::ensure!(
            !is_inside(&path, out),
            "{name} {} is inside --out {}, which is replaced as a whole\nhint: choose a path outside that directory",
            shown(&path),
            out.display()
        );
    }
    // The base model itself may be replaced, but not a directory above it.
    let model = Path::new(&cli.model.model);
    anyhow::ensure!(
        !is_inside(model, out) || is_inside(out, model),
        "--model {} is inside --out {}, which is replaced as a whole\nhint: choose another directory",
        cli.model.model,
        out.display()
    );
    Ok(())
}

/// A path as it was given, or the file that stdout is redirected to.
fn shown(path: &Path) -> String {
    let redirected = path.canonicalize().ok().filter(|_| path.starts_with("/proc"));
    redirected.unwrap_or_else(|| path.to_owned()).display().to_string()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn nothing_that_is_needed_may_be_inside_the_directory_for_the_model() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().display().to_string();
        std::fs::create_dir_all(place.path().join("out/base")).unwrap();
        std::os::unix::fs::symlink("out", place.path().join("link")).unwrap();
        let check = |flags: &str| {
            let line = format!("mnrl-train --model M --out ROOT/out {flags}").replace("ROOT", &root);
            check_paths(&Cli::try_parse_from(line.split(' ').filter(|word| !word.is_empty())).unwrap())
        };
        for good in ["", "--checkpoint-dir ROOT/outer", "--tensorboard ROOT/runs ROOT/out.safetensors", "-"] {
            check(good).unwrap();
        }
        for (bad, expected) in [
            ("--checkpoint-dir ROOT/out", "--checkpoint-dir"),
            ("--checkpoint-dir ROOT/link/none/below", "--checkpoint-dir"),
            ("--tensorboard ROOT/base/../out/runs", "--tensorboard"),
            ("ROOT/link/train.safetensors", "the training set"),
            ("--dev-queries ROOT/out/q --dev-corpus c --dev-qrels r", "--dev-queries"),
        ] {
            let message = check(bad).unwrap_err().to_string();
            assert!(message.starts_with(expected) && message.contains("inside --out"), "{bad}: {message}");
        }
        let model = |model: &str| {
            let line = format!("mnrl-train --out ROOT/out --model ROOT/{model}").replace("ROOT", &root);
            check_paths(&Cli::try_parse_from(line.split(' ')).unwrap())
        };
        model("link").unwrap();
        assert!(model("link/base").unwrap_err().to_string().starts_with("--model"));
    }

    #[test]
    fn checkpoints_are_beside_the_model() {
        let folder = |flags: &str| {
            let line = format!("mnrl-train --model M {flags}");
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            cli.checkpoint.folder(&cli.out)
        };
        assert_eq!(folder("--out models/tuned/"), Path::new("models/tuned.checkpoints"));
        assert_eq!(folder("--out models/tuned/ --checkpoint-dir x"), Path::new("x"));
        let here = std::env::current_dir().unwrap();
        assert_eq!(folder("--out ."), PathBuf::from(format!("{}.checkpoints", here.display())));
    }
}
