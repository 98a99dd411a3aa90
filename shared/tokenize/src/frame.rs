//! The special tokens around a text.

/// Token ids that a tokenizer puts before and after each text.
pub(crate) struct Frame {
    pub(crate) before: Vec<u32>,
    pub(crate) after: Vec<u32>,
}

/// Any text that becomes tokens will do.
const PROBES: [&str; 5] = ["a", "A", "1", ".", "\u{96e8}"];

impl Frame {
    /// What a tokenizer without truncation puts around texts.
    ///
    /// # Errors
    /// What is wrong with the tokenizer: special tokens in other places.
    pub(crate) fn of(tokenizer: &tokenizers::Tokenizer) -> Result<Self, String> {
        let encode = |text, special| tokenizer.encode_fast(text, special).map_err(|error| error.to_string());
        for probe in PROBES {
            let bare = encode(probe, false)?;
            if bare.is_empty() {
                continue;
            }
            let framed = encode(probe, true)?;
            let is_special = |mask: &&u32| **mask == 1;
            let mask = framed.get_special_tokens_mask();
            let before = mask.iter().take_while(is_special).count();
            let after = mask[before..].iter().rev().take_while(is_special).count();
            let (before, rest) = framed.get_ids().split_at(before);
            let (text, after) = rest.split_at(rest.len() - after);
            if text != bare.get_ids() {
                return Err("puts special tokens into the midst of texts, or leaves texts out".into());
            }
            return Ok(Self { before: before.to_vec(), after: after.to_vec() });
        }
        Err(format!("makes no tokens of any of {}", PROBES.map(|probe| format!("\"{probe}\"")).join(", ")))
    }

    pub(crate) fn len(&self) -> usize {
        self.before.len() + self.after.len()
    }
}
