//! The systems to measure, and the files that they are measured with.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use embtune_cli::HubArgs;

/// What is measured.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct InputArgs {
    /// Systems to measure; the others are compared with the first
    ///
    /// NAME=QUERIES,CORPUS takes two files of vectors, in any form that `embed` writes: safetensors, JSON Lines, or
    /// X.npy with the ids in X.ids, one per line. Each may be a quoted glob pattern ('b=q.npy,corpus-*.npy'), whose
    /// files are one corpus, which may be larger than memory. NAME=QUERIES,CORPUS,FULL finds four times as many hits in
    /// CORPUS, whose vectors may be quantised, and orders them by the vectors in FULL. NAME=MODEL takes a model, as a
    /// directory or a Hugging Face name, and embeds --queries and --corpus with it. NAME=RUN takes a run: see Files.
    #[arg(value_name = "SYSTEM", required = true)]
    pub(crate) systems: Vec<System>,

    /// Relevance judgments in BEIR's or TREC's form, CSV or JSON (see Files)
    #[arg(long, value_name = "FILE")]
    pub(crate) qrels: PathBuf,

    /// Texts of the queries, for models and for showing single queries
    #[arg(long, value_name = "FILE")]
    pub(crate) queries: Option<PathBuf>,

    /// Texts of the documents, likewise
    #[arg(long, value_name = "FILE")]
    pub(crate) corpus: Option<PathBuf>,

    /// What mnrl-train wrote to stdout, to show its curves on the page
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) training_log: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) hub: HubArgs,
}

/// A system: its name and where its rankings come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct System {
    pub(crate) name: String,
    pub(crate) origin: Origin,
}

/// Where the rankings of a system come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Two files of vectors to search, and optionally a third whose vectors order the hits.
    Vectors { queries: PathBuf, corpus: PathBuf, full: Option<PathBuf> },
    /// A directory or a Hugging Face name is a model, which embeds the texts first. A file is a run, which has been
    /// searched elsewhere.
    ModelOrRun(PathBuf),
}

impl FromStr for System {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected NAME=QUERIES,CORPUS, NAME=MODEL or NAME=RUN";
        let (name, files) = text.split_once('=').ok_or(EXPECTED)?;
        // The name is a column of the report, a tag in TREC's format, which has no quotes, and a part of file names.
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || "._-+:".contains(c)) {
            return Err(format!("{EXPECTED}; a name may have letters, digits and . _ - + : only, found \"{name}\""));
        }
        let files: Vec<&str> = files.split(',').collect();
        let origin = match files[..] {
            _ if files.contains(&"") => return Err(EXPECTED.into()),
            [path] => Origin::ModelOrRun(path.into()),
            [queries, corpus] => Origin::Vectors { queries: queries.into(), corpus: corpus.into(), full: None },
            [queries, corpus, full] => {
                Origin::Vectors { queries: queries.into(), corpus: corpus.into(), full: Some(full.into()) }
            }
            _ => return Err(EXPECTED.into()),
        };
        Ok(Self { name: name.into(), origin })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_tell_vectors_from_the_rest() {
        let vectors = Origin::Vectors { queries: "q".into(), corpus: "d/c=1".into(), full: None };
        assert_eq!("base=q,d/c=1".parse(), Ok(System { name: "base".into(), origin: vectors }));
        assert_eq!("b=x.run".parse(), Ok(System { name: "b".into(), origin: Origin::ModelOrRun("x.run".into()) }));
        let rescored = Origin::Vectors { queries: "q".into(), corpus: "b".into(), full: Some("c".into()) };
        assert_eq!("r=q,b,c".parse(), Ok(System { name: "r".into(), origin: rescored }));
        for bad in ["q,c", "=q,c", "a b=q", "a/b=q", "a=", "a=q,", "a=,c", "a=q,c,x,y", "a=q,,c"] {
            assert!(bad.parse::<System>().is_err(), "{bad}");
        }
    }
}
