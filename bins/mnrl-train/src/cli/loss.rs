//! The flags of the loss.

use std::fmt::{self, Display, Formatter};

use anyhow::ensure;
use clap::{Args, ValueEnum};
use embtune_cli::parse_not_negative;

use crate::loss::{Direction, Hardness, HardnessMode, Loss, Mnrl, Objective, Partition};

/// What is asked of the vectors.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Loss")]
pub(crate) struct LossArgs {
    /// What is asked of the vectors
    #[arg(long = "loss", value_name = "LOSS", default_value = "mnrl")]
    pub(crate) kind: LossKind,

    /// Factor on similarities, the inverse of a temperature [default: 20]
    ///
    /// For mnrl, symmetric and cosent. With --similarity dot, 1 is usual.
    #[arg(long, value_name = "FACTOR", value_parser = parse_positive)]
    scale: Option<f64>,

    /// Similarity of two vectors [default: cosine]
    #[arg(long, value_name = "SIMILARITY")]
    similarity: Option<Similarity>,

    /// What is compared with what, separated by commas [default: q2d]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    directions: Option<Vec<Direction>>,

    /// How the directions share a softmax [default: joint]
    #[arg(long, value_name = "HOW")]
    partition: Option<Partition>,

    /// Negatives that get more weight the more similar they are
    #[arg(long, value_name = "WHICH", requires = "hardness_strength")]
    hardness_mode: Option<HardnessMode>,

    /// Strength of that weight
    #[arg(long, value_name = "FACTOR", value_parser = parse_not_negative, requires = "hardness_mode")]
    hardness_strength: Option<f64>,

    /// Also ask it of vectors cut to these sizes, largest first: the losses are added up
    #[arg(long, value_name = "SIZES", value_delimiter = ',')]
    matryoshka: Vec<usize>,

    /// Let rows with the same text, document id or group be each other's negatives
    #[arg(long)]
    pub(crate) no_mask: bool,
}

/// The losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LossKind {
    /// Each anchor is to be closest to its positive, among all documents of the batch
    Mnrl,
    /// mnrl in both directions: each positive is to be closest to its anchor, too
    Symmetric,
}

/// Similarity of two vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Similarity {
    Cosine,
    Dot,
}

impl LossArgs {
    /// The loss for vectors of a size.
    ///
    /// # Errors
    /// A flag that the loss does not have, values that do not go together.
    pub(crate) fn objective(&self, size: usize) -> anyhow::Result<Objective> {
        self.check_flags()?;
        self.check_matryoshka(size)?;
        Ok(Objective::new(self.loss()?, self.matryoshka.iter().map(|size| *size as i64).collect()))
    }

    fn loss(&self) -> anyhow::Result<Box<dyn Loss>> {
        let scale = self.scale.unwrap_or(20.0);
        let cosine = self.similarity.unwrap_or(Similarity::Cosine) == Similarity::Cosine;
        let directions = match (self.kind, &self.directions) {
            (LossKind::Mnrl, None) => vec![Direction::QueryToDocument],
            (LossKind::Symmetric, _) => vec![Direction::QueryToDocument, Direction::DocumentToQuery],
            (_, Some(directions)) => sorted(directions)?,
        };
        let default = if self.kind == LossKind::Symmetric { Partition::PerDirection } else { Partition::Joint };
        let partition = self.partition.unwrap_or(default);
        ensure!(
            partition == Partition::Joint || directions.iter().all(|direction| direction.has_positive()),
            "--partition per-direction does not go with q2q and d2d, which have no positive\nhint: use --partition joint"
        );
        let strength = self.hardness_strength.unwrap_or_default();
        let hardness = self.hardness_mode.map(|mode| Hardness { mode, strength });
        Ok(Box::new(Mnrl { scale, cosine, directions, partition, hardness }))
    }

    /// Refuses flags that the loss does not have.
    fn check_flags(&self) -> anyhow::Result<()> {
        use LossKind::{Mnrl, Symmetric};
        let flags: [(&str, bool, &[LossKind]); 6] = [
            ("--scale", self.scale.is_some(), &[Mnrl, Symmetric]),
            ("--similarity", self.similarity.is_some(), &[Mnrl, Symmetric]),
            ("--directions", self.directions.is_some(), &[Mnrl]),
            ("--partition", self.partition.is_some(), &[Mnrl]),
            ("--hardness-mode", self.hardness_mode.is_some(), &[Mnrl]),
            ("--no-mask", self.no_mask, &[Mnrl, Symmetric]),
        ];
        for (flag, given, losses) in flags {
            ensure!(
                !given || losses.contains(&self.kind),
                "--loss {} has no {flag}\nhint: {flag} goes with {}",
                name(self.kind),
                losses.iter().map(|kind| name(*kind)).collect::<Vec<_>>().join(", ")
            );
        }
        Ok(())
    }

    fn check_matryoshka(&self, size: usize) -> anyhow::Result<()> {
        let sizes = &self.matryoshka;
        ensure!(
            sizes.first().is_none_or(|largest| *largest <= size),
            "--matryoshka {}: the model's vectors have {size} elements",
            sizes[0]
        );
        ensure!(
            sizes.is_sorted_by(|a, b| a > b) && !sizes.contains(&0),
            "--matryoshka takes different sizes, the largest first\nhint: for instance {size},{},{}",
            size / 2,
            size / 4
        );
        Ok(())
    }
}

/// Directions in their order, each once.
fn sorted(directions: &[Direction]) -> anyhow::Result<Vec<Direction>> {
    let mut directions = directions.to_vec();
    directions.sort_unstable();
    directions.dedup();
    ensure!(
        directions[0] == Direction::QueryToDocument,
        "--directions without q2d, which has the pairs themselves\nhint: add q2d"
    );
    Ok(directions)
}

fn parse_positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("expected a number above 0".into()),
    }
}

/// As the flag takes it.
fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

impl Display for LossArgs {
    /// For the model card.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", name(self.kind))
    }
}
