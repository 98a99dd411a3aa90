//! Texts that show nothing.

/// Whether a text has no character that shows: it is empty, or holds white space, control characters and what is
/// ignored by default (zero-width spaces and joiners, direction marks, variation selectors, fillers) alone.
pub fn is_blank(text: &str) -> bool {
    !text.chars().any(shows)
}

/// Whether a character shows: Unicode 16, `White_Space`, `Cc` and `Default_Ignorable_Code_Point`.
fn shows(character: char) -> bool {
    let is_ignorable = matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}');
    !(character.is_whitespace() || character.is_control() || is_ignorable)
}

#[cfg(test)]
mod tests {
    use super::is_blank;

    #[test]
    fn what_does_not_show_is_blank() {
        for blank in
            ["", " \t\n", "\u{a0}\u{3000}", "\u{200b}\u{200d}\u{feff}", "\u{ad}\u{2060} \0", "\u{fe0f}\u{3164}"]
        {
            assert!(is_blank(blank), "{blank:?}");
        }
        for text in ["a", "\u{200b}a", ".", "\u{301}", "\u{1f600}", "\u{2800}"] {
            assert!(!is_blank(text), "{text:?}");
        }
    }
}
