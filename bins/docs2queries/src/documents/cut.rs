//! Cutting a long text where it has borders.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation as _;

/// The pieces of `text`, of at most `most` characters each and about the same length, in order, without white space
/// around them, as ranges of bytes.
///
/// A cut is made between paragraphs; where none ends in the second half of what fits, between lines, else between
/// sentences, else between words.
pub(super) fn pieces(text: &str, most: usize) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut rest = trimmed(text, 0..text.len());
    let mut length = text[rest.clone()].chars().count();
    while length > most {
        // As many as there must be, of one length: a last piece of three words is a document of its own to nobody.
        let wanted = length.div_ceil(length.div_ceil(most));
        let cut = rest.start + border(&text[rest.clone()], wanted, most);
        pieces.push(trimmed(text, rest.start..cut));
        let left = trimmed(text, cut..rest.end);
        length -= text[rest.start..left.start].chars().count();
        rest = left;
    }
    if !rest.is_empty() {
        pieces.push(rest);
    }
    pieces
}

/// Where to cut: nearest to `wanted` characters, in bytes; `text` is longer than `most` characters.
fn border(text: &str, wanted: usize, most: usize) -> usize {
    let byte = |characters: usize| text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at);
    let (least, wanted, limit) = (byte(wanted / 2), byte(wanted), byte(most));
    let head = &text[..limit];
    let nearest = |borders: &mut dyn Iterator<Item = usize>| {
        borders.filter(|at| *at > least).min_by_key(|at| at.abs_diff(wanted))
    };
    let words = || head.match_indices(char::is_whitespace).map(|(at, _)| at);
    nearest(&mut paragraph_ends(head))
        .or_else(|| nearest(&mut head.match_indices('\n').map(|(at, _)| at + 1)))
        .or_else(|| nearest(&mut head.split_sentence_bound_indices().map(|(at, _)| at)))
        .or_else(|| words().min_by_key(|at| at.abs_diff(wanted)))
        .unwrap_or(limit)
}

/// Where a blank line follows.
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

    fn cut(text: &str, most: usize) -> Vec<&str> {
        pieces(text, most).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn paragraphs_stay_whole() {
        let paragraph = "Wörter und noch mehr Wörter. ".repeat(10);
        let text = [paragraph.trim(); 6].join("\n \n");
        let two = [paragraph.trim(); 2].join("\n \n");
        assert_eq!(cut(&text, 700), [two.as_str(); 3]);
    }

    #[test]
    fn lines_sentences_and_words_come_next() {
        assert_eq!(cut("aaaa bbbb\ncccc dddd eeee", 14), ["aaaa bbbb", "cccc dddd eeee"]);
        assert_eq!(cut("One is here. Two is there.", 15), ["One is here.", "Two is there."]);
        assert_eq!(cut("aaaa bbbb cccc dddd", 10), ["aaaa bbbb", "cccc dddd"]);
        assert_eq!(cut("ääääääää", 3), ["äää", "äää", "ää"]);
    }

    #[test]
    fn short_texts_are_one_piece_and_blank_ones_none() {
        assert_eq!(cut("  short\n", 5), ["short"]);
        assert!(cut(" \n", 5).is_empty());
    }

    #[test]
    fn nothing_is_lost_and_nothing_is_too_long() {
        let text: String = (0..500).map(|n| format!("word{n}{}", ["\n\n", " ", ". ", "\n"][n * 7 % 4])).collect();
        for most in [10, 57, 300, 2000] {
            let pieces = cut(&text, most);
            assert!(pieces.iter().all(|piece| piece.chars().count() <= most));
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(pieces.iter().flat_map(|piece| words(piece)).collect::<Vec<_>>(), words(&text));
        }
    }
}
