//! What a loss reads of the shards.

use anyhow::ensure;
use embtune_cli::value_name;

use super::{LossArgs, LossKind, Similarity};
use crate::loss::HardnessMode;

/// What the shards have beside anchors and positives.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Supply {
    /// A negative, in some pair at least.
    pub(crate) negatives: bool,
    /// A score of every positive and negative.
    pub(crate) scores: bool,
    /// Scores that are all 0 or 1.
    pub(crate) labels: bool,
    /// Of these, positives with a 0.
    pub(crate) far: usize,
    /// A guide model's vectors.
    pub(crate) guide: bool,
}

impl LossArgs {
    /// Whether the loss makes use of scores, if there are any.
    pub(crate) fn reads_scores(&self) -> bool {
        matches!(self.kind, LossKind::Contrastive | LossKind::Cosent | LossKind::MarginMse)
    }

    /// Whether the loss takes scores for labels, which only 0 and 1 are: those of `mine-negatives` are none.
    pub(crate) fn reads_labels(&self) -> bool {
        self.kind == LossKind::Contrastive
    }

    /// What a person should know of labels that the loss does not read.
    pub(crate) fn unread_labels(&self, supply: Supply) -> Option<String> {
        let far = Some(supply.far).filter(|far| *far > 0 && !self.reads_scores())?;
        Some(format!(
            "{far} pairs have the label 0, which --loss {} does not read: their positives are trained as answers\n\
             hint: --loss contrastive reads labels; for another loss, leave these pairs out, or make them negatives",
            value_name(self.kind)
        ))
    }

    /// Whether vectors of the trained model are to be compared by cosine, else by dot product.
    pub(crate) fn compares_cosines(&self) -> bool {
        match self.similarity {
            Some(similarity) => similarity == Similarity::Cosine,
            None => self.kind != LossKind::MarginMse,
        }
    }

    /// Whether the loss makes use of a guide model's vectors.
    pub(crate) fn reads_guide(&self) -> bool {
        self.kind == LossKind::Gist
    }

    /// Why no step of a training had anything to compare, with what to do.
    pub(crate) fn nothing_compared(&self) -> &'static str {
        match self.kind {
            LossKind::Mnrl | LossKind::Symmetric | LossKind::Gist => {
                "no step had a negative, so that nothing was learnt\n\
                 hint: a pair's negatives are the other pairs of its batch, but for those that share a text, an id or a group with it; raise --batch-size, train on pairs of more documents, or add negatives with mine-negatives"
            }
            LossKind::Cosent => {
                "no step had two different scores, so that nothing was learnt\n\
                 hint: the scores of a batch are compared with each other"
            }
            LossKind::Triplet | LossKind::MarginMse | LossKind::Contrastive => {
                "no step had a negative, so that nothing was learnt\n\
                 hint: a pair's negatives come with it, but for those that share a text, an id or a group with its positive; mine-negatives adds some"
            }
        }
    }

    /// Refuses shards that lack what the loss needs.
    ///
    /// # Errors
    /// When they do.
    pub(crate) fn check_supply(&self, supply: Supply) -> anyhow::Result<()> {
        let name = value_name(self.kind);
        let contrastive = self.kind == LossKind::Contrastive;
        let hard = self.hardness_mode == Some(HardnessMode::Hard);
        let by_negatives = matches!(self.kind, LossKind::Triplet | LossKind::MarginMse);
        ensure!(
            supply.negatives || !(hard || by_negatives),
            "{} needs negatives, and no pair has one\nhint: mine-negatives adds them",
            if hard { "--hardness-mode hard".into() } else { format!("--loss {name}") }
        );
        ensure!(
            supply.negatives || supply.labels || !contrastive,
            "--loss {name} needs negatives, or labels of 0 and 1: positives alone would make all vectors one\nhint: mine-negatives adds negatives; pairs2shards takes labels from the pairs' field \"label\""
        );
        ensure!(
            supply.scores || contrastive || !self.reads_scores(),
            "--loss {name} needs a score of each positive and negative\nhint: pairs2shards takes them from the pairs' field \"scores\""
        );
        ensure!(
            supply.guide || !self.reads_guide(),
            "--loss {name} needs a guide model's vectors\nhint: pairs2shards takes them with --guide-queries and --guide-corpus"
        );
        Ok(())
    }
}
