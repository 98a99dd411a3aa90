//! Output formats, from flags and file extensions.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::ValueEnum;
use clap::builder::{PathBufValueParser, TypedValueParser};

use crate::output::{is_stdout, is_stream};

/// A format that a filter writes.
pub trait OutputFormat: ValueEnum + Copy + PartialEq {
    /// File extensions of this format, without the dot; messages name the first one.
    fn extensions(self) -> &'static [&'static str];
}

/// Commands that compress a file X, by the extension that they add.
const COMPRESSED: [(&str, &str); 6] = [
    ("gz", "gzip X"),
    ("zst", "zstd --rm X"),
    ("bz2", "bzip2 X"),
    ("xz", "xz X"),
    ("lz4", "lz4 --rm X"),
    ("zip", "zip -m X.zip X"),
];

/// Formats that no filter writes, and commands that convert JSON Lines to them (X is the file name without extension).
const CONVERTED: [(&str, &str); 5] = [
    ("json", "jq -s . X.jsonl > X.json"),
    ("parquet", "python3 -c 'import pandas; pandas.read_json(\"X.jsonl\", lines=True).to_parquet(\"X.parquet\")'"),
    ("arrow", "python3 -c 'import pandas; pandas.read_json(\"X.jsonl\", lines=True).to_feather(\"X.arrow\")'"),
    ("feather", "python3 -c 'import pandas; pandas.read_json(\"X.jsonl\", lines=True).to_feather(\"X.feather\")'"),
    ("csv", "python3 -c 'import pandas; pandas.read_json(\"X.jsonl\", lines=True).to_csv(\"X.csv\", index=False)'"),
];

/// Other extensions of known formats.
const KNOWN: &str = "jsonl ndjson tsv tab html htm md tex npy npz safetensors h5 pkl pt onnx xlsx";

/// The format of an output, from `asked` (--format) and the extension of its name, which must agree; without either,
/// `stdout` or `file`. The name of a device or a pipe does not matter.
///
/// # Errors
/// An extension of another format, or of one that is not written.
pub fn output_format<F: OutputFormat>(asked: Option<F>, path: Option<&Path>, stdout: F, file: F) -> anyhow::Result<F> {
    let Some(path) = path.filter(|path| !is_stdout(Some(path))) else { return Ok(asked.unwrap_or(stdout)) };
    let Some(extension) = extension(path) else { return Ok(asked.unwrap_or(file)) };
    let all = || F::value_variants().iter().copied();
    let name = path.display();
    let promised = all().find(|form| form.extensions().contains(&&*extension));
    match (promised, asked) {
        (Some(promised), None) => Ok(promised),
        (Some(promised), Some(asked)) if promised == asked || asked.extensions().contains(&&*extension) => Ok(asked),
        _ if is_stream(Some(path)) => Ok(asked.unwrap_or(file)),
        (Some(_), Some(asked)) => {
            let other = path.with_extension(asked.extensions()[0]);
            let (value, other) = (value_name(asked), other.display());
            bail!("{name}: --format {value} does not match the extension\nhint: -o {other}, or leave out --format")
        }
        (None, Some(asked)) => match extension_error(path, asked.extensions()) {
            // JSON Lines often have this extension.
            Some(_) if extension == "json" => Ok(asked),
            Some(what) => bail!("{name}: {what}"),
            None => Ok(asked),
        },
        (None, None) => {
            if let Some(what) = compressed(path, &extension) {
                bail!("{name}: {what}");
            }
            let known: Vec<String> = all().map(|form| format!(".{}", form.extensions()[0])).collect();
            let is_lines = all().any(|form| form.extensions().contains(&"jsonl"));
            let conversion = conversion(path, &extension).filter(|_| is_lines);
            let remedy = conversion.map_or_else(
                || "--format allows other names".to_owned(),
                |command| format!("{command} converts .jsonl"),
            );
            bail!("{name}: no output format has the extension .{extension}\nhint: use {}; {remedy}", known.join(", "))
        }
    }
}

/// A parser for the path of an output with one format, whose extension must be one of `own` or unknown.
pub fn output_path_parser(own: &'static [&'static str]) -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match extension_error(&path, own) {
        Some(what) => Err(what),
        None => Ok(path),
    })
}

/// A message about a name that has the extension of a format other than `own`.
fn extension_error(path: &Path, own: &[&str]) -> Option<String> {
    let extension = &*extension(path).filter(|extension| !own.contains(&&**extension))?;
    if is_stream(Some(path)) {
        return None;
    }
    if let Some(what) = compressed(path, extension) {
        return Some(what);
    }
    if let Some(command) = conversion(path, extension).filter(|_| own.contains(&"jsonl")) {
        return Some(format!("the output format is .{}\nhint: {command} converts it", own[0]));
    }
    let is_known =
        KNOWN.split(' ').any(|known| known == extension) || CONVERTED.iter().any(|(known, _)| *known == extension);
    is_known
        .then(|| format!("the output format is .{0}\nhint: name it {1}", own[0], path.with_extension(own[0]).display()))
}

/// A message about a name that has the extension of a compressed file.
fn compressed(path: &Path, extension: &str) -> Option<String> {
    let (_, command) = COMPRESSED.iter().find(|(known, _)| *known == extension)?;
    let plain = path.with_extension("").display().to_string();
    Some(format!("outputs are not compressed\nhint: name it {plain}, then: {}", command.replace('X', &plain)))
}

/// The command that converts JSON Lines to a file with this extension.
fn conversion(path: &Path, extension: &str) -> Option<String> {
    let (_, command) = CONVERTED.iter().find(|(known, _)| *known == extension)?;
    Some(command.replace("X", &path.with_extension("").display().to_string()))
}

/// The extension in lower case; `all-MiniLM-L6-v2.1` has none, because it ends in a version.
fn extension(path: &Path) -> Option<String> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    extension.chars().any(char::is_alphabetic).then_some(extension)
}

/// The name of a flag's value.
pub fn value_name(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
    enum Vectors {
        Jsonl,
        Npy,
        Table,
    }

    impl OutputFormat for Vectors {
        fn extensions(self) -> &'static [&'static str] {
            match self {
                Self::Jsonl => &["jsonl", "ndjson"],
                Self::Npy => &["npy"],
                Self::Table => &["txt"],
            }
        }
    }

    fn of(asked: Option<Vectors>, path: &str) -> Result<Vectors, String> {
        output_format(asked, Some(Path::new(path)), Vectors::Table, Vectors::Npy).map_err(|error| error.to_string())
    }

    #[test]
    fn the_extension_decides() {
        for (path, expected) in [
            ("x.jsonl", Vectors::Jsonl),
            ("d/x.v1.NDJSON", Vectors::Jsonl),
            ("x.npy", Vectors::Npy),
            ("x", Vectors::Npy),
            ("all-MiniLM-L6-v2.1", Vectors::Npy),
            (".hidden", Vectors::Npy),
            ("a.json/x", Vectors::Npy),
            ("/dev/null", Vectors::Npy),
            ("-", Vectors::Table),
            ("/dev/stdout", Vectors::Table),
        ] {
            assert_eq!(of(None, path), Ok(expected), "{path}");
            assert_eq!(of(Some(expected), path), Ok(expected), "{path}");
        }
        assert_eq!(output_format(None, None, Vectors::Table, Vectors::Npy).unwrap(), Vectors::Table);
        for path in ["x", "x.tmp", "x.json", "/dev/null", "-"] {
            assert_eq!(of(Some(Vectors::Jsonl), path), Ok(Vectors::Jsonl), "{path}");
        }
    }

    #[test]
    fn wrong_extensions_are_refused() {
        for (asked, path, expected) in [
            (None, "x.tmp", "x.tmp: no output format has the extension .tmp\nhint: use .jsonl, .npy, .txt"),
            (None, "x.json", "x.json: no output format has the extension .json"),
            (None, "d/x.json", "; jq -s . d/x.jsonl > d/x.json converts .jsonl"),
            (None, "x.parquet", "pandas.read_json(\"x.jsonl\", lines=True).to_parquet(\"x.parquet\")"),
            (None, "x.jsonl.gz", "x.jsonl.gz: outputs are not compressed\nhint: name it x.jsonl, then: gzip x.jsonl"),
            (Some(Vectors::Jsonl), "x.jsonl.zst", "x.jsonl.zst: outputs are not compressed"),
            (Some(Vectors::Jsonl), "x.csv", "x.csv: the output format is .jsonl\nhint: python3 -c"),
            (Some(Vectors::Npy), "x.html", "x.html: the output format is .npy\nhint: name it x.npy"),
            (Some(Vectors::Jsonl), "x.npy", "x.npy: --format jsonl does not match the extension\nhint: -o x.jsonl, or"),
        ] {
            let message = of(asked, path).unwrap_err();
            assert!(message.contains(expected), "{path}: {message}");
        }
    }

    #[test]
    fn outputs_with_one_format_refuse_other_extensions() {
        let refused = |path: &str, own: &[&str]| extension_error(Path::new(path), own);
        for path in ["x.jsonl", "x", "x.pairs", "x.txt", "-", "/dev/null", "x.v2"] {
            assert_eq!(refused(path, &["jsonl", "ndjson"]), None, "{path}");
        }
        for (path, expected) in [
            ("x.json", "the output format is .jsonl\nhint: jq -s . x.jsonl > x.json converts it"),
            ("x.jsonl.gz", "outputs are not compressed\nhint: name it x.jsonl, then: gzip x.jsonl"),
            ("x.safetensors", "the output format is .jsonl\nhint: name it x.jsonl"),
        ] {
            assert_eq!(refused(path, &["jsonl", "ndjson"]).unwrap(), expected);
        }
        let shard = refused("x.csv", &["safetensors"]).unwrap();
        assert_eq!(shard, "the output format is .safetensors\nhint: name it x.safetensors");
    }
}
