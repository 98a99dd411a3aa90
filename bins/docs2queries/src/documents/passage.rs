//! What one request is about: a document, or a piece of it.

use std::sync::Arc;

use super::Source;
use super::cut::pieces;

/// A piece of a document's text, or all of it.
#[derive(Debug, Clone)]
pub(crate) struct Passage {
    /// The document.
    pub(crate) document: Arc<Source>,
    /// The text, without the title.
    pub(crate) text: String,
    /// Which piece it is, when there are several.
    pub(crate) part: Option<Part>,
    /// Whether no further piece of the document follows.
    pub(crate) is_last: bool,
}

/// Where a piece stands in its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// From 0.
    pub(crate) number: usize,
    /// First character of the document's text, and the one behind the last.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Passage {
    /// What is embedded: the document's title and this text.
    pub(crate) fn full_text(&self) -> String {
        self.document.with_title(&self.text)
    }

    /// How messages call it: the document's id, and the number of the piece as `embed --on-long chunk` counts.
    pub(crate) fn name(&self) -> String {
        match self.part {
            Some(part) => format!("{}#{}", self.document.id, part.number),
            None => self.document.id.clone(),
        }
    }
}

/// The passages of a document, of at most `most` characters each; a document that is no longer stays as it is.
pub(crate) fn passages(document: Source, most: usize) -> Vec<Passage> {
    let document = Arc::new(document);
    if document.text.trim().chars().nth(most).is_none() {
        let text = document.text.clone();
        return vec![Passage { document, text, part: None, is_last: true }];
    }
    let (mut bytes, mut characters) = (0, 0);
    let mut passages: Vec<Passage> = pieces(&document.text, most)
        .into_iter()
        .enumerate()
        .map(|(number, range)| {
            let start = characters + document.text[bytes..range.start].chars().count();
            let end = start + document.text[range.clone()].chars().count();
            (bytes, characters) = (range.end, end);
            let part = Some(Part { number, start, end });
            Passage { document: Arc::clone(&document), text: document.text[range].to_owned(), part, is_last: false }
        })
        .collect();
    if let Some(last) = passages.last_mut() {
        last.is_last = true;
    }
    passages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_document_stays_as_it_is() {
        let [passage] = &passages(Source::example("d", Some("T"), " text \n"), 4)[..] else { panic!("one") };
        assert_eq!((passage.text.as_str(), passage.part, passage.is_last), (" text \n", None, true));
        assert_eq!((passage.full_text(), passage.name()), ("T  text \n".into(), "d".into()));
    }

    #[test]
    fn a_long_one_comes_in_pieces_with_their_places() {
        let text = " Äää äää.\n\nBbb bbb.\n\nCcc ccc.";
        let found = passages(Source::example("d", Some("T"), text), 9);
        let whole: Vec<char> = text.chars().collect();
        for (number, passage) in found.iter().enumerate() {
            let part = passage.part.unwrap();
            assert_eq!(whole[part.start..part.end].iter().collect::<String>(), passage.text);
            assert_eq!((part.number, passage.is_last), (number, number == 2));
            assert_eq!(passage.name(), format!("d#{number}"));
        }
        assert_eq!(found[2].full_text(), "T Ccc ccc.");
    }
}
