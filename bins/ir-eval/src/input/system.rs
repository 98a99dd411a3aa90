//! The operand: a system to measure.

use std::path::PathBuf;
use std::str::FromStr;

/// A system: its name and where its rankings come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct System {
    pub(crate) name: String,
    pub(crate) source: Source,
}

/// Where the rankings of a system come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Two files of vectors that are searched; and, it may be, those that order the hits.
    Vectors { queries: PathBuf, corpus: PathBuf, full: Option<PathBuf> },
    /// A folder or a Hugging Face name: a model, whose vectors are made first. A file: a run, searched by somebody else.
    ModelOrRun(PathBuf),
}

impl FromStr for System {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected NAME=QUERIES,CORPUS, NAME=MODEL or NAME=RUN";
        let (name, files) = text.split_once('=').ok_or(EXPECTED)?;
        // The name is a column of the report and a tag in TREC's format, which has no quotes, and part of file names.
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || "._-+:".contains(c)) {
            return Err(format!("{EXPECTED}; a name has letters, digits and . _ - + : only, found \"{name}\""));
        }
        let files: Vec<&str> = files.split(',').collect();
        let source = match files[..] {
            _ if files.contains(&"") => return Err(EXPECTED.into()),
            [path] => Source::ModelOrRun(path.into()),
            [queries, corpus] => Source::Vectors { queries: queries.into(), corpus: corpus.into(), full: None },
            [queries, corpus, full] => {
                Source::Vectors { queries: queries.into(), corpus: corpus.into(), full: Some(full.into()) }
            }
            _ => return Err(EXPECTED.into()),
        };
        Ok(Self { name: name.into(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_tell_vectors_from_the_rest() {
        let vectors = Source::Vectors { queries: "q".into(), corpus: "d/c=1".into(), full: None };
        assert_eq!("base=q,d/c=1".parse(), Ok(System { name: "base".into(), source: vectors }));
        assert_eq!("b=x.run".parse(), Ok(System { name: "b".into(), source: Source::ModelOrRun("x.run".into()) }));
        let rescored = Source::Vectors { queries: "q".into(), corpus: "b".into(), full: Some("c".into()) };
        assert_eq!("r=q,b,c".parse(), Ok(System { name: "r".into(), source: rescored }));
        for bad in ["q,c", "=q,c", "a b=q", "a/b=q", "a=", "a=q,", "a=,c", "a=q,c,x,y", "a=q,,c"] {
            assert!(bad.parse::<System>().is_err(), "{bad}");
        }
    }
}
