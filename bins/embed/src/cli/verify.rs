//! The flags of a verification.

use std::path::PathBuf;

use clap::Args;

/// What vectors are compared with.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Verification")]
pub(crate) struct VerifyArgs {
    /// Compare the vectors with those of this file instead of writing them
    #[arg(long = "verify", value_name = "REFERENCE", conflicts_with = "format")]
    pub(crate) reference: Option<PathBuf>,

    /// Lowest cosine that passes
    #[arg(long, value_name = "COSINE", default_value_t = 0.9999, value_parser = parse_cosine, requires = "reference")]
    pub(crate) min_cosine: f64,
}

fn parse_cosine(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(cosine) if (-1.0..=1.0).contains(&cosine) => Ok(cosine),
        _ => Err("expected a number from -1 to 1".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_cosine;

    #[test]
    fn cosines_have_bounds() {
        assert_eq!((parse_cosine("0.99"), parse_cosine("-1")), (Ok(0.99), Ok(-1.0)));
        for bad in ["", "x", "1.1", "NaN", "inf"] {
            assert!(parse_cosine(bad).is_err(), "{bad}");
        }
    }
}
