//! The table of characters that a sentencepiece model contains.

use serde_json::Value;

/// Bits of a base64 digit.
const DIGIT_BITS: usize = 6;
/// Number of base64 digits that contain the table's first number.
const HEADER_DIGITS: usize = 6;

/// Refuses a table whose header claims more bytes than it has: the library would allocate them before reading.
///
/// The table is base64 of: the length of its trie in bytes (u32, little-endian), the trie, and the texts
/// (sentencepiece's `Normalizer::DecodePrecompiledCharsMap`).
///
/// # Errors
/// A message about the first fault of the table.
pub(super) fn check(normalizer: &Value) -> Result<(), String> {
    let Some(table) = super::file::precompiled(normalizer).and_then(|step| step.get("precompiled_charsmap")) else {
        return Ok(());
    };
    let table = table.as_str().ok_or("precompiled_charsmap must be a string")?;
    let bytes = table.trim_end_matches('=').len() * DIGIT_BITS / 8;
    let digits = table.bytes().take(HEADER_DIGITS).map(digit).collect::<Option<Vec<u64>>>();
    let bits = digits
        .filter(|digits| digits.len() == HEADER_DIGITS)
        .map(|digits| digits.iter().fold(0, |bits, digit| bits << DIGIT_BITS | digit));
    // 36 bits, the first 32 of which are the number.
    let length = bits.map(|bits| u32::from_be_bytes(((bits >> 4) as u32).to_le_bytes())).map(|length| length as usize);
    match length {
        Some(length) if length <= bytes.saturating_sub(4) => Ok(()),
        _ => Err("precompiled_charsmap is cut short or not a table of characters".into()),
    }
}

/// The value of a base64 digit.
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
    fn the_length_in_the_header_is_checked() {
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
