//! The texts of queries and documents: those that are shown, and the words that are too common to be informative.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use embtune_cli::Session;
use embtune_records::{Document, Records};
use unicode_segmentation::UnicodeSegmentation as _;

/// Documents from which common words are counted.
const SAMPLE: usize = 10_000;
/// A word is common if more than one document in this many has it.
const COMMON_IN: usize = 20;

/// Texts by id.
#[derive(Debug, Default)]
pub(crate) struct Texts(HashMap<String, String>);

impl Texts {
    /// Reads the texts with these ids; without a file there are none.
    pub(crate) fn read(file: Option<&Path>, ids: &HashSet<&str>, session: &Session) -> anyhow::Result<Self> {
        let mut texts = HashMap::new();
        let Some(file) = file.filter(|_| !ids.is_empty()) else { return Ok(Self(texts)) };
        let input = session.input(file)?;
        for record in Records::<Document, _>::with_default_limit(input.name.clone(), input) {
            let record = record?;
            if ids.contains(record.id()) {
                texts.insert(record.id().to_owned(), record.full_text().into_owned());
            }
        }
        Ok(Self(texts))
    }

    pub(crate) fn get(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }
}

/// The distinct words of a text in lower case.
pub(crate) fn words(text: &str) -> BTreeSet<String> {
    text.to_lowercase().unicode_words().map(str::to_owned).collect()
}

/// The words that are common in the first documents of a file; without a file there are none.
pub(crate) fn common_words(file: Option<&Path>, session: &Session) -> anyhow::Result<HashSet<String>> {
    let Some(file) = file else { return Ok(HashSet::new()) };
    let input = session.input(file)?;
    let (mut counts, mut documents) = (HashMap::new(), 0);
    for record in Records::<Document, _>::with_default_limit(input.name.clone(), input).take(SAMPLE) {
        documents += 1;
        for word in words(&record?.full_text()) {
            *counts.entry(word).or_insert(0) += 1;
        }
    }
    counts.retain(|_, count| *count * COMMON_IN > documents);
    Ok(counts.into_keys().collect())
}

/// The beginning of a text, on one line. `more` follows if it is cut at `most` characters.
pub(crate) fn shorten(text: &str, most: usize, more: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<&str>>().join(" ");
    match words.char_indices().nth(most) {
        None => words,
        Some((end, _)) => format!("{}{more}", &words[..end]),
    }
}
