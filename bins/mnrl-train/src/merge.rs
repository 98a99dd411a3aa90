//! `--merge-base`: the result mixed with the base model, against forgetting.

use std::str::FromStr;

use embtune_cli::parse_share;

/// The base model's share in the result (Wortsman et al. 2022; Xiao et al. 2023, LM-Cocktail).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum MergeBase {
    /// This.
    Share(f64),
    /// The one of [`CANDIDATES`] that the dev set likes best.
    Auto,
}

/// Tenths, up to where the base model has most of the say.
pub(crate) const CANDIDATES: [f64; 7] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6];

impl FromStr for MergeBase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" { Ok(Self::Auto) } else { parse_share(text).map(Self::Share) }
    }
}

#[cfg(test)]
mod tests {
    use super::MergeBase;

    #[test]
    fn shares_are_read() {
        assert_eq!("auto".parse(), Ok(MergeBase::Auto));
        assert_eq!("0.25".parse(), Ok(MergeBase::Share(0.25)));
        assert!("1.5".parse::<MergeBase>().is_err());
    }
}
