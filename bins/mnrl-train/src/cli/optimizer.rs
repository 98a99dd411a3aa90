//! The flags of the optimizer.

use clap::Args;
use embtune_cli::{parse_not_negative, parse_share};

use crate::training::schedule::{Decay, Schedule};
use crate::weights::groups::Freeze;
use crate::weights::lora::Lora;
use crate::weights::merge::MergeBase;

/// How weights change.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Optimizer")]
pub(crate) struct OptimizerArgs {
    /// Highest learning rate
    #[arg(long, value_name = "RATE", default_value = "2e-5", value_parser = parse_not_negative)]
    pub(crate) learning_rate: f64,

    /// What the learning rate does after the warm-up
    #[arg(long, value_name = "SHAPE", value_enum, default_value_t = Decay::Linear)]
    pub(crate) schedule: Decay,

    /// Steps in which the learning rate rises from 0
    #[arg(long, value_name = "NUM", default_value_t = 100, conflicts_with = "warmup_ratio")]
    pub(crate) warmup_steps: u64,

    /// The same as a share of all steps, below 1
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    pub(crate) warmup_ratio: Option<f64>,

    /// Weight decay, on all but biases and norms
    #[arg(long, value_name = "RATE", default_value_t = 0.0, value_parser = parse_not_negative)]
    pub(crate) weight_decay: f64,

    /// Largest norm of the gradient; a longer one is shortened to it. 0: no gradient is shortened
    #[arg(long, value_name = "NORM", default_value_t = 1.0, value_parser = parse_not_negative)]
    pub(crate) max_grad_norm: f64,

    /// Factor on the learning rate from each layer to the one below it, at most 1
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = parse_factor)]
    pub(crate) layer_decay: f64,

    /// What keeps the base model's weights: embeddings, or layers:NUM for these and the lowest NUM layers
    #[arg(long, value_name = "PART")]
    pub(crate) freeze: Option<Freeze>,

    /// Train low-rank changes of linear layers only, as in r=16,alpha=32,targets=query,value
    ///
    /// alpha is twice r unless given, and targets are query and value. The model is saved with the changes merged, and the
    /// changes alone as a PEFT adapter in its folder adapter.
    #[arg(long, value_name = "SPEC")]
    pub(crate) lora: Option<Lora>,

    /// Save the exponential moving average of the weights, with this decay a step
    #[arg(long, value_name = "DECAY", value_parser = parse_share)]
    pub(crate) ema: Option<f64>,

    /// Mix this share of the base model into the result, against forgetting; auto takes what the dev set likes best
    #[arg(long, value_name = "SHARE|auto", conflicts_with = "lora")]
    pub(crate) merge_base: Option<MergeBase>,
}

fn parse_factor(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if (0.0..=1.0).contains(&factor) => Ok(factor),
        _ => Err("expected a number from 0 to 1".into()),
    }
}

impl OptimizerArgs {
    /// The learning rates of a training of `total` steps.
    pub(crate) fn schedule(&self, total: u64) -> Schedule {
        let warmup = match self.warmup_ratio {
            Some(share) => (share * total as f64).ceil() as u64,
            None => self.warmup_steps,
        };
        Schedule { peak: self.learning_rate, decay: self.schedule, warmup, total }
    }
}
