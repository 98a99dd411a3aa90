//! The table of characters that a sentencepiece model brings along.

use serde_json::Value;

/// Bits of a digit of base64.
const DIGIT_BITS: usize = 6;
/// Digits of the table that hold its first number.
const FIRST: usize = 6;

/// Refuses a table that says of itself that it is larger than it is: the library would first make room for it, and then
/// read it.
///
/// The table is base64 of the length in bytes of its trie, an u32, little-endian; the trie; and the texts
/// (sentencepiece's `Normalizer::DecodePrecompiledCharsMap`).
///
/// # Errors
/// What is wrong.
pub(super) fn check(normalizer: &Value) -> Result<(), String> {
    let Some(table) = super::class::precompiled(normalizer).and_then(|step| step.get("precompiled_charsmap")) else {
        return Ok(());
    };
    let table = table.as_str().ok_or("precompiled_charsmap must be a string")?;
    let bytes = table.trim_end_matches('=').len() * DIGIT_BITS / 8;
    let digits = table.bytes().take(FIRST).map(digit).collect::<Option<Vec<u64>>>();
    let bits = digits
        .filter(|digits| digits.len() == FIRST)
        .map(|digits| digits.iter().fold(0, |bits, digit| bits << DIGIT_BITS | digit));
    // 36 bits, of which the first 32 are the number.
    let length = bits.map(|bits| u32::from_be_bytes(((bits >> 4) as u32).to_le_bytes())).map(|length| length as usize);
    match length {
        Some(length) if length <= bytes.saturating_sub(4) => Ok(()),
        _ => Err("precompiled_charsmap is cut short or no table of characters".into()),
    }
}

/// The value of a digit of base64.
fn digit(letter: u8) -> Option<u64> {
    let value = match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::check;

    #[test]
    fn a_table_has_the_length_that_it_says() {
        let of = |table: &str| {
            check(&json!({"type": "Sequence", "normalizers": [{"type": "Precompiled", "precompiled_charsmap": table}]}))
        };
        // 4, then four bytes.
        assert_eq!(of("BAAAAAAAAAA="), Ok(()));
        assert_eq!(of("AAAAAAAAAAA="), Ok(()));
        for bad in ["", "AAAA", "/////wAAAAA=", "CAAAAAAAAAA=", "not base64"] {
            assert!(of(bad).unwrap_err().starts_with("precompiled_charsmap"), "{bad}");
        }
        assert_eq!(check(&json!({"type": "Lowercase"})), Ok(()));
    }
}
