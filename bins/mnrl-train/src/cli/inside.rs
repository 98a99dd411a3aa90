//! What must not lie inside the directory for the model.

use std::path::{Path, PathBuf};

use embtune_cli::is_inside;

use super::Cli;

impl Cli {
    /// Refuses what would be removed, with everything else in `--out`, when the model appears there as a whole; and what
    /// would make the directory in the meantime, so that it could not appear.
    ///
    /// # Errors
    /// The flag, and the path.
    pub(crate) fn check_inside_out(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.out.to_str().is_some(),
            "--out {}: is not UTF-8, and ONNX Runtime, which opens the model again, takes no other names",
            self.out.display()
        );
        let given = |name: &'static str, path: &Option<PathBuf>| path.clone().map(|path| (name, path));
        let checkpoints = self.checkpoint.folder(&self.out);
        let written = [Some(("--checkpoint-dir", checkpoints)), given("--tensorboard", &self.tensorboard)];
        let read = [
            given("--dev-queries", &self.dev.dev_queries),
            given("--dev-corpus", &self.dev.dev_corpus),
            given("--dev-qrels", &self.dev.dev_qrels),
            // The log, if stdout is a file.
            given("the log", &Some(PathBuf::from("/proc/self/fd/1"))),
        ];
        let files = self.data.sets.iter().filter(|set| *set != Path::new("-"));
        let sets = files.map(|set| Some(("the training set", set.clone())));
        for (name, path) in written.into_iter().chain(read).chain(sets).flatten() {
            anyhow::ensure!(
                !is_inside(&path, &self.out),
                "{name} {} is inside of --out {}, which is replaced as a whole\nhint: put it beside that directory",
                shown(&path),
                self.out.display()
            );
        }
        // The base model itself may be replaced, but a directory above it may not.
        let model = Path::new(&self.model.model);
        anyhow::ensure!(
            !is_inside(model, &self.out) || is_inside(&self.out, model),
            "--model {} is inside of --out {}, which is replaced as a whole\nhint: name another directory",
            self.model.model,
            self.out.display()
        );
        Ok(())
    }
}

/// A path as it was given, or the file behind stdout.
fn shown(path: &Path) -> String {
    path.canonicalize()
        .ok()
        .filter(|_| path.starts_with("/proc"))
        .unwrap_or_else(|| path.to_owned())
        .display()
        .to_string()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn the_place_for_the_model_holds_nothing_that_is_needed() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().display().to_string();
        std::fs::create_dir_all(place.path().join("out/base")).unwrap();
        std::os::unix::fs::symlink("out", place.path().join("link")).unwrap();
        let check = |flags: &str| {
            let line = format!("mnrl-train --model M --out ROOT/out {flags}").replace("ROOT", &root);
            Cli::try_parse_from(line.split(' ').filter(|word| !word.is_empty())).unwrap().check_inside_out()
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
            assert!(message.starts_with(expected) && message.contains("inside of --out"), "{bad}: {message}");
        }
        let model = |model: &str| {
            let line = format!("mnrl-train --out ROOT/out --model ROOT/{model}").replace("ROOT", &root);
            Cli::try_parse_from(line.split(' ')).unwrap().check_inside_out()
        };
        model("link").unwrap();
        assert!(model("link/base").unwrap_err().to_string().starts_with("--model"));
    }
}
