//! The flags of the loss.

use anyhow::ensure;
use clap::{Args, ValueEnum};
use embtune_cli::parse_not_negative;

use crate::loss::{
    CoSent, Contrastive, Direction, Distance, Gist, Hardness, HardnessMode, Loss, MarginMse, MarginStrategy, Mnrl,
    Objective, Partition, Triplet, value_name,
};

/// What is asked of the vectors. A flag that is not given has the loss's default.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Loss")]
pub(crate) struct LossArgs {
    /// What is asked of the vectors
    #[arg(long = "loss", value_name = "LOSS", default_value = "mnrl")]
    pub(crate) kind: LossKind,

    /// Factor on similarities, the inverse of a temperature: for mnrl, symmetric, cosent [default: 20]
    ///
    /// With dot products, 1 is usual.
    #[arg(long, value_name = "FACTOR", value_parser = parse_positive)]
    scale: Option<f64>,

    /// Similarity of two vectors: for mnrl, symmetric, cosent, margin-mse [default: cosine; dot for margin-mse]
    #[arg(long, value_name = "SIMILARITY")]
    similarity: Option<Similarity>,

    /// What is compared with what: for mnrl [default: q2d], gist [default: q2d,q2q,d2d]
    ///
    /// q2d is always among them. gist has no d2q, and of its d2d only positives are compared.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    directions: Option<Vec<Direction>>,

    /// How the directions of mnrl share a softmax [default: joint]
    #[arg(long, value_name = "HOW")]
    partition: Option<Partition>,

    /// Negatives of mnrl that weigh more the more similar they are to the anchor
    #[arg(long, value_name = "WHICH", requires = "hardness_strength")]
    hardness_mode: Option<HardnessMode>,

    /// Strength of that weight: its factor on the similarity; 9 and 5 have been used for in-batch and hard
    #[arg(long, value_name = "FACTOR", value_parser = parse_not_negative, requires = "hardness_mode")]
    hardness_strength: Option<f64>,

    /// How far apart negatives have to be: for triplet [default: 5], contrastive [default: 0.5], gist [default: 0]
    ///
    /// triplet: how much farther than the positive. contrastive: from the anchor, as 1 less the cosine. gist: see
    /// --margin-strategy.
    #[arg(long, value_name = "MARGIN", value_parser = parse_not_negative)]
    margin: Option<f64>,

    /// Distance of triplet [default: euclidean]
    #[arg(long, value_name = "DISTANCE")]
    distance: Option<Distance>,

    /// Divisor of gist's cosines [default: 0.01]
    #[arg(long, value_name = "DIVISOR", value_parser = parse_positive)]
    temperature: Option<f64>,

    /// Highest guide cosine of a negative of gist, given that of anchor and positive [default: absolute]
    #[arg(long, value_name = "HOW")]
    margin_strategy: Option<MarginStrategy>,

    /// Also train vectors that are cut to these sizes, the largest first, as in 384,256,128
    ///
    /// The loss is the sum over the sizes. The whole vector is trained when its size is among them.
    #[arg(long, value_name = "SIZES", value_delimiter = ',')]
    matryoshka: Vec<usize>,

    /// Let rows with the same text, document id or group be each other's negatives
    #[arg(long)]
    pub(crate) no_mask: bool,
}

/// The losses, with what they make of a shard's pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LossKind {
    /// Each anchor is to be closest to its positive, of all documents in the batch
    Mnrl,
    /// mnrl, and each positive is to be closest to its anchor, of all anchors in the batch
    Symmetric,
    /// The positive is to be closer to the anchor than each of the pair's negatives, by a margin
    Triplet,
    /// The positive is to be close to the anchor, and the pair's negatives far; scores, where the shard has them, are
    /// the labels: 1 for close, 0 for far
    Contrastive,
    /// The similarities of anchors with their positives and negatives are to have the order of the shard's scores
    Cosent,
    /// Similarity to the positive less that to each of the pair's negatives is to be as the shard's scores have it
    MarginMse,
    /// mnrl without negatives that a guide model, whose vectors are in the shard, finds closer than the positive
    Gist,
}

/// Similarity of two vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Similarity {
    /// Cosine of their angle
    Cosine,
    /// Dot product
    Dot,
}

/// What shards have, beside anchors and positives, in every pair.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Supply {
    /// A negative in some pair at least.
    pub(crate) negatives: bool,
    pub(crate) scores: bool,
    /// Vectors of a guide model.
    pub(crate) guide: bool,
}

impl LossArgs {
    /// The loss for vectors of a size.
    ///
    /// # Errors
    /// A flag that the loss does not have, values that do not go together.
    pub(crate) fn objective(&self, size: usize) -> anyhow::Result<Objective> {
        self.check_flags()?;
        self.check_matryoshka(size)?;
        let sizes = self.matryoshka.iter().map(|size| *size as i64).collect();
        Ok(Objective::new(self.loss()?, sizes))
    }

    /// Whether the loss makes use of scores, if there are any.
    pub(crate) fn reads_scores(&self) -> bool {
        matches!(self.kind, LossKind::Contrastive | LossKind::Cosent | LossKind::MarginMse)
    }

    /// Whether the loss needs a guide model's vectors.
    pub(crate) fn reads_guide(&self) -> bool {
        self.kind == LossKind::Gist
    }

    /// Whether vectors of the trained model are to be compared by cosine, else by dot product.
    pub(crate) fn compares_cosines(&self) -> bool {
        match self.similarity {
            Some(similarity) => similarity == Similarity::Cosine,
            None => self.kind != LossKind::MarginMse,
        }
    }

    /// Refuses shards that lack what the loss needs.
    ///
    /// # Errors
    /// When they do.
    pub(crate) fn check_supply(&self, supply: Supply) -> anyhow::Result<()> {
        let name = value_name(self.kind);
        let hard = self.hardness_mode == Some(HardnessMode::Hard);
        let learns_from_negatives = matches!(self.kind, LossKind::Triplet | LossKind::MarginMse);
        ensure!(
            supply.negatives || !(hard || learns_from_negatives),
            "{} needs negatives, and no pair has one\nhint: mine-negatives adds them",
            if hard { "--hardness-mode hard".into() } else { format!("--loss {name}") }
        );
        ensure!(
            supply.negatives || supply.scores || self.kind != LossKind::Contrastive,
            "--loss contrastive needs negatives or scores: from positives alone all vectors become one\nhint: mine-negatives adds negatives"
        );
        ensure!(
            supply.scores || !matches!(self.kind, LossKind::Cosent | LossKind::MarginMse),
            "--loss {name} needs a score for each document\nhint: pairs2shards writes them for pairs with \"scores\""
        );
        ensure!(
            supply.guide || !self.reads_guide(),
            "--loss {name} needs the vectors of a guide model\nhint: pairs2shards writes them into the shards"
        );
        Ok(())
    }

    fn loss(&self) -> anyhow::Result<Box<dyn Loss>> {
        let scale = self.scale.unwrap_or(20.0);
        let cosine = |default| self.similarity.unwrap_or(default) == Similarity::Cosine;
        let margin = |default| self.margin.unwrap_or(default);
        Ok(match self.kind {
            LossKind::Mnrl => Box::new(Mnrl {
                scale,
                cosine: cosine(Similarity::Cosine),
                others: self.other_directions(&[])?,
                partition: self.partition()?,
                hardness: self
                    .hardness_mode
                    .zip(self.hardness_strength)
                    .map(|(mode, strength)| Hardness { mode, strength }),
            }),
            LossKind::Symmetric => Box::new(Mnrl {
                scale,
                cosine: cosine(Similarity::Cosine),
                others: vec![Direction::DocumentToQuery],
                partition: Partition::PerDirection,
                hardness: None,
            }),
            LossKind::Triplet => {
                Box::new(Triplet { distance: self.distance.unwrap_or(Distance::Euclidean), margin: margin(5.0) })
            }
            LossKind::Contrastive => Box::new(Contrastive { margin: margin(0.5) }),
            LossKind::Cosent => Box::new(CoSent { scale, cosine: cosine(Similarity::Cosine) }),
            LossKind::MarginMse => Box::new(MarginMse { cosine: cosine(Similarity::Dot) }),
            LossKind::Gist => Box::new(Gist {
                temperature: self.temperature.unwrap_or(0.01),
                strategy: self.margin_strategy.unwrap_or(MarginStrategy::Absolute),
                margin: margin(0.0),
                others: self.other_directions(&[Direction::QueryToQuery, Direction::DocumentToDocument])?,
            }),
        })
    }

    /// Directions beside q2d, in their order, each once.
    fn other_directions(&self, default: &[Direction]) -> anyhow::Result<Vec<Direction>> {
        let Some(directions) = &self.directions else { return Ok(default.to_vec()) };
        let mut directions = directions.clone();
        directions.sort_unstable();
        directions.dedup();
        ensure!(
            directions[0] == Direction::QueryToDocument,
            "--directions lacks q2d, which has the positives\nhint: add q2d"
        );
        ensure!(
            self.kind != LossKind::Gist || !directions.contains(&Direction::DocumentToQuery),
            "--loss gist has no direction d2q"
        );
        Ok(directions.split_off(1))
    }

    fn partition(&self) -> anyhow::Result<Partition> {
        let partition = self.partition.unwrap_or(Partition::Joint);
        let with_positives = self.directions.iter().flatten().all(|direction| direction.has_positive());
        ensure!(
            partition == Partition::Joint || with_positives,
            "--partition per-direction does not go with q2q and d2d, which have no positives"
        );
        Ok(partition)
    }

    /// Refuses flags that the loss does not have.
    fn check_flags(&self) -> anyhow::Result<()> {
        use LossKind::{Contrastive, Cosent, Gist, MarginMse, Mnrl, Symmetric, Triplet};
        let flags: [(&str, bool, &[LossKind]); 10] = [
            ("--scale", self.scale.is_some(), &[Mnrl, Symmetric, Cosent]),
            ("--similarity", self.similarity.is_some(), &[Mnrl, Symmetric, Cosent, MarginMse]),
            ("--directions", self.directions.is_some(), &[Mnrl, Gist]),
            ("--partition", self.partition.is_some(), &[Mnrl]),
            ("--hardness-mode", self.hardness_mode.is_some(), &[Mnrl]),
            ("--margin", self.margin.is_some(), &[Triplet, Contrastive, Gist]),
            ("--distance", self.distance.is_some(), &[Triplet]),
            ("--temperature", self.temperature.is_some(), &[Gist]),
            ("--margin-strategy", self.margin_strategy.is_some(), &[Gist]),
            ("--no-mask", self.no_mask, &[Mnrl, Symmetric, Triplet, Contrastive, Gist]),
        ];
        for (flag, given, losses) in flags {
            ensure!(
                !given || losses.contains(&self.kind),
                "--loss {} has no {flag}\nhint: {flag} is for {}",
                value_name(self.kind),
                losses.iter().map(|kind| value_name(*kind)).collect::<Vec<_>>().join(", ")
            );
        }
        Ok(())
    }

    fn check_matryoshka(&self, size: usize) -> anyhow::Result<()> {
        let sizes = &self.matryoshka;
        ensure!(
            sizes.iter().all(|cut| (1..=size).contains(cut)),
            "--matryoshka takes sizes from 1 to the model's, {size}"
        );
        ensure!(sizes.is_sorted_by(|a, b| a > b), "--matryoshka takes different sizes, the largest first");
        Ok(())
    }
}

fn parse_positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("expected a number above 0".into()),
    }
}
