//! The flags of the training data.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What is trained on, and in which batches.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DataArgs {
    /// Training sets: shards, 'quoted patterns' of them, or directories of pairs2shards --out; none, or -, is stdin
    #[arg(value_name = "SET", help_heading = "Input")]
    pub(crate) sets: Vec<PathBuf>,

    /// How many times the pairs of each set are seen in an epoch, separated by commas [default: 1 for each]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse_weight, help_heading = "Input")]
    pub(crate) weights: Vec<f64>,

    /// Where the pairs of a batch come from
    #[arg(long, value_name = "WHERE", value_enum, default_value_t, help_heading = "Training")]
    pub(crate) batch_from: BatchFrom,

    /// Keep pairs that share a text or a document out of each other's batches
    #[arg(long, help_heading = "Training")]
    pub(crate) no_duplicates: bool,
}

/// Where the pairs of a batch come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum BatchFrom {
    /// Each batch from one set; the sets take turns at random
    #[default]
    OneSet,
    /// Any set
    Mixed,
}

/// Most times that a pair is seen in an epoch: an epoch's order is held in memory.
const LARGEST_WEIGHT: f64 = 1000.0;

fn parse_weight(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(weight) if weight > 0.0 && weight <= LARGEST_WEIGHT => Ok(weight),
        _ => Err(format!("expected a number above 0, at most {LARGEST_WEIGHT}")),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_weight;

    #[test]
    fn weights_have_bounds() {
        assert_eq!((parse_weight("0.5"), parse_weight("1e3")), (Ok(0.5), Ok(1000.0)));
        for bad in ["", "x", "0", "-1", "NaN", "inf", "1e4"] {
            assert!(parse_weight(bad).is_err(), "{bad}");
        }
    }
}
