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
    /// Two files of vectors that are searched.
    Vectors { queries: PathBuf, corpus: PathBuf },
    /// A run, searched by somebody else.
    Run(PathBuf),
}

impl FromStr for System {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected NAME=QUERIES,CORPUS or NAME=RUN";
        let (name, files) = text.split_once('=').ok_or(EXPECTED)?;
        // The name is a column of the report and a tag in TREC's format, which has no quotes, and part of file names.
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || "._-+:".contains(c)) {
            return Err(format!("{EXPECTED}; a name has letters, digits and . _ - + : only, found \"{name}\""));
        }
        let source = match files.split(',').collect::<Vec<_>>()[..] {
            [run] if !run.is_empty() => Source::Run(run.into()),
            [queries, corpus] if !queries.is_empty() && !corpus.is_empty() => {
                Source::Vectors { queries: queries.into(), corpus: corpus.into() }
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
    fn a_comma_tells_vectors_from_runs() {
        let vectors = Source::Vectors { queries: "q".into(), corpus: "d/c=1".into() };
        assert_eq!("base=q,d/c=1".parse(), Ok(System { name: "base".into(), source: vectors }));
        assert_eq!("b=x.run".parse(), Ok(System { name: "b".into(), source: Source::Run("x.run".into()) }));
        for bad in ["q,c", "=q,c", "a b=q", "a/b=q", "a=", "a=q,", "a=,c", "a=q,c,x"] {
            assert!(bad.parse::<System>().is_err(), "{bad}");
        }
    }
}
