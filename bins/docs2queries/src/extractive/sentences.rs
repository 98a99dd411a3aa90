//! The sentences of a text; code, headings and tables are not sentences.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation as _;

/// A shorter sentence says too little to be a query.
const MIN_WORDS: usize = 4;
/// A longer sentence is a list or a clause that nobody would type.
const MAX_WORDS: usize = 60;

/// Abbreviations whose full stop does not end a sentence.
const ABBREVIATIONS: [&str; 36] = [
    "mr", "mrs", "ms", "dr", "prof", "sr", "jr", "st", "vs", "etc", "e.g", "eg", "i.e", "ie", "cf", "al", "fig",
    "figs", "eq", "no", "nos", "art", "arts", "sec", "para", "ch", "vol", "pp", "ed", "eds", "inc", "corp", "co",
    "ltd", "approx", "resp",
];

/// The sentences of `text` that can be queries, in order, as ranges of bytes without white space around them.
pub(super) fn sentences(text: &str) -> Vec<Range<usize>> {
    paragraphs(text)
        .into_iter()
        .flat_map(|paragraph| {
            let start = paragraph.start;
            split(&text[paragraph]).into_iter().map(move |range| range.start + start..range.end + start)
        })
        .filter(|range| (MIN_WORDS..=MAX_WORDS).contains(&count_words(&text[range.clone()])))
        .collect()
}

/// The number of words, as Unicode defines them.
pub(super) fn count_words(text: &str) -> usize {
    text.unicode_words().count()
}

/// The paragraphs and list items of a text that may be Markdown, without fenced code, headings, tables and link
/// definitions.
pub(super) fn paragraphs(text: &str) -> Vec<Range<usize>> {
    let mut paragraphs: Vec<Range<usize>> = Vec::new();
    let mut open = false;
    let mut fence: Option<&str> = None;
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        let start = end;
        end += line.len();
        let content = line.trim();
        let content_start = start + (line.len() - line.trim_start().len());
        if let Some(mark) = fence {
            if content.starts_with(mark) {
                fence = None;
            }
            continue;
        }
        fence = ["```", "~~~"].into_iter().find(|mark| content.starts_with(mark));
        if fence.is_some() || !is_prose(content) {
            open = false;
            continue;
        }
        let marker = list_marker(content);
        match paragraphs.last_mut() {
            Some(paragraph) if open && marker == 0 => paragraph.end = content_start + content.len(),
            _ => paragraphs.push(content_start + marker..content_start + content.len()),
        }
        open = true;
    }
    paragraphs
}

fn is_prose(line: &str) -> bool {
    let heading = line.starts_with('#') && line.trim_start_matches('#').starts_with([' ', '\t']);
    let rule = line.chars().all(|c| matches!(c, '-' | '=' | '*' | '_' | ' '));
    let table = line.starts_with('|');
    let link_definition = line.starts_with('[') && line.contains("]: ");
    !(heading || rule || table || link_definition)
}

/// The length in bytes of the bullet or number that a list item begins with, or 0.
fn list_marker(line: &str) -> usize {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let mark = match line[digits..].chars().next() {
        Some('-' | '*' | '+') if digits == 0 => 1,
        Some('•') if digits == 0 => '•'.len_utf8(),
        Some('.' | ')') if (1..=3).contains(&digits) => digits + 1,
        _ => return 0,
    };
    let blanks = line[mark..].len() - line[mark..].trim_start().len();
    if blanks == 0 { 0 } else { mark + blanks }
}

/// The sentences of one paragraph.
fn split(paragraph: &str) -> Vec<Range<usize>> {
    // In text that is all lower case, letters do not show where a sentence begins.
    let is_cased = paragraph.chars().any(char::is_uppercase);
    let masked = mask(paragraph, is_cased);
    let mut sentences: Vec<Range<usize>> = Vec::new();
    for (start, piece) in masked.split_sentence_bound_indices() {
        let end = start + piece.trim_end().len();
        let is_continued = is_cased && piece.starts_with(char::is_lowercase);
        match sentences.last_mut() {
            Some(last) if is_continued || is_incomplete(&paragraph[last.clone()]) => last.end = end,
            _ => sentences.push(start..end),
        }
    }
    sentences
}

/// The paragraph, with each byte in its place, but with everything masked that Unicode's rules would wrongly take for
/// the end of a sentence: line breaks, punctuation in `code spans`, and punctuation inside words (`a.b`, `?x=1`).
fn mask(paragraph: &str, is_cased: bool) -> String {
    let mut masked = String::with_capacity(paragraph.len());
    let mut in_code = false;
    for (index, c) in paragraph.char_indices() {
        let rest = &paragraph[index + c.len_utf8()..];
        if c == '`' {
            in_code = !in_code && rest.contains('`');
        }
        masked.push(match c {
            '\n' | '\r' => ' ',
            '.' | '?' | '!' if in_code || is_inside_word(rest) => '_',
            // By Unicode's rules a full stop before a lower-case letter does not end a sentence, but `!` does.
            '.' if !is_cased => '!',
            _ => c,
        });
    }
    masked
}

fn is_inside_word(rest: &str) -> bool {
    rest.chars().next().is_some_and(|next| !next.is_whitespace() && !".?!)]}\"'”’»*_`".contains(next))
}

/// Whether a piece ends with an abbreviation, an initial or a paragraph number, so that the sentence continues.
fn is_incomplete(piece: &str) -> bool {
    let word = piece.rsplit(char::is_whitespace).next().unwrap_or_default();
    let Some(stem) = word.trim_start_matches(['(', '[', '"', '“', '‘', '\'']).strip_suffix('.') else {
        return false;
    };
    let is_number = !stem.is_empty() && stem.chars().all(|c| c.is_ascii_digit() || c == '.');
    if is_number {
        return word == piece;
    }
    let mut letters = stem.split('.');
    let initials = letters.all(|part| part.chars().count() == 1 && part.chars().all(char::is_uppercase));
    initials || ABBREVIATIONS.contains(&stem.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<&str> {
        sentences(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn wrapped_lines_are_one_sentence() {
        assert_eq!(
            read("A variable was used after its contents\nhave been moved. Then it\r\nwas used once more!\n"),
            ["A variable was used after its contents\nhave been moved.", "Then it\r\nwas used once more!"]
        );
    }

    #[test]
    fn markdown_around_the_prose_is_left_out() {
        let text = "# A heading of five words\n\nThe first sentence of it.\n```rust\nlet not = a sentence. At all of it;\n\
            ```\n| a table | is | no | sentence |\n\n- the first item has words\n- the second item has words\n  and goes \
            on here\n12. the third one is numbered\n\n---\n[a link]: https://example.org is a definition\n";
        assert_eq!(
            read(text),
            [
                "The first sentence of it.",
                "the first item has words",
                "the second item has words\n  and goes on here",
                "the third one is numbered"
            ]
        );
    }

    #[test]
    fn a_fence_that_never_closes_hides_the_rest() {
        assert_eq!(
            read("One two three four.\n~~~\nfive six seven eight.\n```\nnine ten eleven twelve."),
            ["One two three four."]
        );
    }

    #[test]
    fn punctuation_in_code_does_not_end_a_sentence() {
        assert_eq!(
            read("Use the `?` operator and `println!` here. Not `a. B` but `c`."),
            ["Use the `?` operator and `println!` here.", "Not `a. B` but `c`."]
        );
        assert_eq!(
            read("See example.org/a?b=C and foo.Bar for more."),
            ["See example.org/a?b=C and foo.Bar for more."]
        );
    }

    #[test]
    fn abbreviations_and_numbers_do_not_end_a_sentence() {
        for sentence in [
            "Dr. Smith of Acme Corp. Signed the contract in the U.S. District of it.",
            "It was shown by J. R. Smith (cf. Fig. 3) in 1999.",
            "3.1. Confidential Information stays with its owner.",
        ] {
            assert_eq!(read(sentence), [sentence]);
        }
        assert_eq!(read("The answer to it is 42. Nobody knows the question.").len(), 2);
    }

    #[test]
    fn sentences_that_are_too_short_or_too_long_are_left_out() {
        assert!(read("Too short it. Erroneous code example:").is_empty());
        assert!(read(&"word ".repeat(61)).is_empty());
        assert_eq!(read(&"word ".repeat(60)).len(), 1);
    }

    #[test]
    fn text_without_capitals_is_split_too() {
        let text = "the flow is laminar at first . it is turbulent, e.g. behind the edge. the wing was tested .";
        assert_eq!(
            read(text),
            ["the flow is laminar at first .", "it is turbulent, e.g. behind the edge.", "the wing was tested ."]
        );
    }

    #[test]
    fn other_scripts_are_split_too() {
        assert_eq!(read("これは最初の文です。これは二番目の文です。").len(), 2);
        assert_eq!(
            read("«Où est-il donc?» demanda le vieil homme. Personne ne lui répondit jamais."),
            ["«Où est-il donc?» demanda le vieil homme.", "Personne ne lui répondit jamais."]
        );
    }
}
