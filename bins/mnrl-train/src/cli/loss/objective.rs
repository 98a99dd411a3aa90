//! From flags to a loss.

use anyhow::ensure;
use embtune_cli::value_name;

use super::{LossArgs, LossKind, Similarity};
use crate::loss::{
    CoSent, Contrastive, Direction, Distance, Gist, Hardness, Loss, MarginMse, MarginStrategy, Mnrl, Objective,
    Partition, Triplet,
};

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

    /// What a person should know of the flags before hours of training, for vectors of a size.
    pub(crate) fn warning(&self, size: usize) -> Option<String> {
        let largest = self.matryoshka.first()?;
        (*largest < size).then(|| {
            format!(
                "--matryoshka trains vectors cut to {largest}, not whole ones\nhint: put {size} first to train them too"
            )
        })
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

    /// Directions beside q2d, each once.
    fn other_directions(&self, default: &[Direction]) -> anyhow::Result<Vec<Direction>> {
        let Some(directions) = &self.directions else { return Ok(default.to_vec()) };
        let mut directions = directions.clone();
        directions.sort_unstable();
        directions.dedup();
        ensure!(
            directions.first() == Some(&Direction::QueryToDocument),
            "--directions lacks q2d, which has the positives"
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
        ensure!(
            self.matryoshka.iter().all(|cut| (1..=size).contains(cut)),
            "--matryoshka takes sizes from 1 to that of the model's vectors, {size}"
        );
        ensure!(self.matryoshka.is_sorted_by(|a, b| a > b), "--matryoshka takes different sizes, the largest first");
        Ok(())
    }
}
