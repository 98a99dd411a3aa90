//! The subject of one request: a document, or a passage of a long one.

use std::ops::Range;
use std::sync::Arc;

use unicode_segmentation::UnicodeSegmentation as _;

use super::SourceDocument;

/// A part of a document's text, or all of it.
#[derive(Debug, Clone)]
pub(crate) struct Passage {
    /// The document.
    pub(crate) document: Arc<SourceDocument>,
    /// The text, without the title.
    pub(crate) text: String,
    /// Which part it is, if there are several.
    pub(crate) part: Option<Part>,
    /// Whether it is the last of its document.
    pub(crate) is_last: bool,
}

/// Where a passage is in its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// Counted from 0.
    pub(crate) number: usize,
    /// The position of its first character in the document's text.
    pub(crate) start: usize,
    /// The position after its last character.
    pub(crate) end: usize,
}

impl Passage {
    /// The text that is embedded: the document's title and this passage.
    pub(crate) fn full_text(&self) -> String {
        self.document.with_title(&self.text)
    }

    /// How messages call it: the document's id and the number of the part, counted as by `embed --on-long chunk`.
    pub(crate) fn name(&self) -> String {
        match self.part {
            Some(part) => format!("{}#{}", self.document.id, part.number),
            None => self.document.id.clone(),
        }
    }
}

/// The passages of a document, of at most `max_chars` characters each. A document that is short enough stays as it is.
pub(crate) fn passages(document: SourceDocument, max_chars: usize) -> Vec<Passage> {
    let document = Arc::new(document);
    if document.text.trim().chars().nth(max_chars).is_none() {
        let text = document.text.clone();
        return vec![Passage { document, text, part: None, is_last: true }];
    }
    let (mut bytes, mut characters) = (0, 0);
    let mut passages: Vec<Passage> = split(&document.text, max_chars)
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

/// Splits a text into parts of at most `max_chars` characters and about the same length, as ranges of bytes without
/// white space around them.
///
/// A text is split between paragraphs; if none ends in the second half of what fits, between lines, else between
/// sentences, else between words.
fn split(text: &str, max_chars: usize) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut rest = trimmed(text, 0..text.len());
    let mut length = text[rest.clone()].chars().count();
    while length > max_chars {
        // All parts of one length, because a last part of three words would be useless.
        let wanted = length.div_ceil(length.div_ceil(max_chars));
        let cut = rest.start + boundary(&text[rest.clone()], wanted, max_chars);
        parts.push(trimmed(text, rest.start..cut));
        let left = trimmed(text, cut..rest.end);
        length -= text[rest.start..left.start].chars().count();
        rest = left;
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts
}

/// The byte at which to split a text of more than `max_chars` characters, as near to `wanted` characters as possible.
fn boundary(text: &str, wanted: usize, max_chars: usize) -> usize {
    let byte = |characters: usize| text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at);
    let (least, wanted, limit) = (byte(wanted / 2), byte(wanted), byte(max_chars));
    let head = &text[..limit];
    let nearest = |boundaries: &mut dyn Iterator<Item = usize>| {
        boundaries.filter(|at| *at > least).min_by_key(|at| at.abs_diff(wanted))
    };
    let words = || head.match_indices(char::is_whitespace).map(|(at, _)| at);
    nearest(&mut paragraph_ends(head))
        .or_else(|| nearest(&mut head.match_indices('\n').map(|(at, _)| at + 1)))
        .or_else(|| nearest(&mut head.split_sentence_bound_indices().map(|(at, _)| at)))
        .or_else(|| words().min_by_key(|at| at.abs_diff(wanted)))
        .unwrap_or(limit)
}

/// The ends of paragraphs, where a blank line follows.
fn paragraph_ends(text: &str) -> impl Iterator<Item = usize> {
    text.match_indices('\n').map(|(at, _)| at).filter(|at| {
        let line = text[at + 1..].split_inclusive('\n').next().unwrap_or_default();
        line.ends_with('\n') && line.trim().is_empty()
    })
}

/// The range without white space at its ends.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let part = &text[range.clone()];
    let start = range.start + (part.len() - part.trim_start().len());
    start..start + part.trim().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_document_stays_as_it_is() {
        let [passage] = &passages(SourceDocument::example("d", Some("T"), " text \n"), 4)[..] else { panic!("one") };
        assert_eq!((passage.text.as_str(), passage.part, passage.is_last), (" text \n", None, true));
        assert_eq!((passage.full_text(), passage.name()), ("T  text \n".into(), "d".into()));
    }

    #[test]
    fn a_long_document_comes_in_parts_with_their_positions() {
        let text = " Äää äää.\n\nBbb bbb.\n\nCcc ccc.";
        let found = passages(SourceDocument::example("d", Some("T"), text), 9);
        let whole: Vec<char> = text.chars().collect();
        for (number, passage) in found.iter().enumerate() {
            let part = passage.part.unwrap();
            assert_eq!(whole[part.start..part.end].iter().collect::<String>(), passage.text);
            assert_eq!((part.number, passage.is_last), (number, number == 2));
            assert_eq!(passage.name(), format!("d#{number}"));
        }
        assert_eq!(found[2].full_text(), "T Ccc ccc.");
    }

    fn parts(text: &str, max_chars: usize) -> Vec<&str> {
        split(text, max_chars).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn paragraphs_stay_whole() {
        let paragraph = "Wörter und noch mehr Wörter. ".repeat(10);
        let text = [paragraph.trim(); 6].join("\n \n");
        let two = [paragraph.trim(); 2].join("\n \n");
        assert_eq!(parts(&text, 700), [two.as_str(); 3]);
    }

    #[test]
    fn lines_sentences_and_words_come_next() {
        assert_eq!(parts("aaaa bbbb\ncccc dddd eeee", 14), ["aaaa bbbb", "cccc dddd eeee"]);
        assert_eq!(parts("One is here. Two is there.", 15), ["One is here.", "Two is there."]);
        assert_eq!(parts("aaaa bbbb cccc dddd", 10), ["aaaa bbbb", "cccc dddd"]);
        assert_eq!(parts("ääääääää", 3), ["äää", "äää", "ää"]);
    }

    #[test]
    fn short_texts_are_one_part_and_blank_ones_none() {
        assert_eq!(parts("  short\n", 5), ["short"]);
        assert!(parts(" \n", 5).is_empty());
    }

    #[test]
    fn nothing_is_lost_and_nothing_is_too_long() {
        let text: String = (0..500).map(|n| format!("word{n}{}", ["\n\n", " ", ". ", "\n"][n * 7 % 4])).collect();
        for max_chars in [10, 57, 300, 2000] {
            let parts = parts(&text, max_chars);
            assert!(parts.iter().all(|part| part.chars().count() <= max_chars));
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(parts.iter().flat_map(|part| words(part)).collect::<Vec<_>>(), words(&text));
        }
    }
}
