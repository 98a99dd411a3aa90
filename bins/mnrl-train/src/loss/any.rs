//! One of the losses, as a checkpoint stores it.

use serde::{Deserialize, Serialize};

use super::Loss;
use super::contrastive::Contrastive;
use super::cosent::CoSent;
use super::gist::Gist;
use super::margin_mse::MarginMse;
use super::mnrl::Mnrl;
use super::triplet::Triplet;

/// One of the losses with all of its values. Stored under the names of the flags, so that a checkpoint can say which one
/// has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "--loss", rename_all = "kebab-case")]
pub(crate) enum AnyLoss {
    Mnrl(Mnrl),
    Symmetric(Mnrl),
    Triplet(Triplet),
    Contrastive(Contrastive),
    Cosent(CoSent),
    MarginMse(MarginMse),
    Gist(Gist),
}

impl AnyLoss {
    /// The value of `--loss`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Mnrl(_) => "mnrl",
            Self::Symmetric(_) => "symmetric",
            Self::Triplet(_) => "triplet",
            Self::Contrastive(_) => "contrastive",
            Self::Cosent(_) => "cosent",
            Self::MarginMse(_) => "margin-mse",
            Self::Gist(_) => "gist",
        }
    }

    pub(crate) fn as_loss(&self) -> &dyn Loss {
        match self {
            Self::Mnrl(loss) | Self::Symmetric(loss) => loss,
            Self::Triplet(loss) => loss,
            Self::Contrastive(loss) => loss,
            Self::Cosent(loss) => loss,
            Self::MarginMse(loss) => loss,
            Self::Gist(loss) => loss,
        }
    }
}
