//! The model that learns: gradients of batches, updates, and vectors of texts.

use embtune_model::{Architecture, BertConfig, ModelDir, NewWeights};
use embtune_torch::tch::{Device, Kind, Tensor, no_grad};
use embtune_torch::{AdamW, Overlap, TorchError, clip, seed};

use crate::cli::Cli;
use crate::data::batch::Batch;
use crate::distributed::{Split, Team};
use crate::loss::{Objective, Targets};
use crate::network::{Network, Pass, Row};
use crate::training::grad_cache::{Budget, GradCache};
use crate::training::keys::{batch_key, row_key};
use crate::weights::groups::{self, specs};
use crate::weights::parameters::Parameters;

pub(crate) struct Learner<'a> {
    pub(crate) model: &'a ModelDir,
    pub(crate) config: &'a BertConfig,
    pub(crate) device: Device,
    pub(crate) parameters: Parameters,
    pub(crate) optimizer: AdamW,
    /// Exponential moving average of the trained values, f32 `[n]`.
    pub(crate) average: Option<Tensor>,
    cli: &'a Cli,
    team: &'a Team,
    network: Network,
    /// With other processes.
    overlap: Option<Overlap<'a>>,
    objective: Objective,
    pass: Pass,
    pub(crate) budget: Budget,
}

/// What a batch gave.
#[derive(Debug, Clone, Default)]
pub(crate) struct BatchLoss {
    pub(crate) loss: f64,
    /// Whether there was anything to compare; where there was not, the loss is 0 whatever the weights.
    pub(crate) compares: bool,
    /// Pairs of anchor and document that did not count as negatives.
    pub(crate) masked: u64,
    /// Pairs whose vectors hold NaN or infinity, or all when only the loss does: numbers inside the batch.
    pub(crate) broken: Vec<usize>,
}

impl<'a> Learner<'a> {
    pub(crate) fn new(
        model: &'a ModelDir,
        config: &'a BertConfig,
        cli: &'a Cli,
        device: Device,
        team: &'a Team,
    ) -> anyhow::Result<Self> {
        let optimizer = &cli.optimizer;
        let options = groups::Options {
            weight_decay: optimizer.weight_decay,
            layer_decay: optimizer.layer_decay,
            freeze: optimizer.freeze,
            lora: optimizer.lora.as_ref(),
            seed: cli.training.seed,
        };
        let parameters = Parameters::load(specs(model, options)?, &model.weights()?, device)?;
        // Looked at in any case: the trained model has the same file.
        let of_model = dropout_of(model, config)?;
        let [hidden_dropout, attention_dropout] = cli.training.dropout.map_or(of_model, |share| [share; 2]);
        let pass = Pass { kind: cli.engine.precision.kind(), hidden_dropout, attention_dropout };
        let network = Network::new(model, config, &parameters, optimizer.lora.as_ref())?;
        let learner = Self {
            network,
            overlap: team.overlap(&parameters)?,
            objective: cli.loss.objective(model.dimension())?,
            optimizer: AdamW::new(&parameters.values, parameters.segments.clone())?,
            average: optimizer.ema.map(|_| parameters.values.copy()),
            budget: cli.engine.budget(config, device)?,
            model,
            config,
            cli,
            team,
            device,
            parameters,
            pass,
        };
        learner.seed_dropout(0);
        Ok(learner)
    }

    /// Adds the gradient of a batch, times `share`: the part that comes through the rows of this process. Batches are
    /// numbered through, for their dropout. Behind the last batch of a step follows [`share_gradient`](Self::share_gradient).
    ///
    /// # Errors
    /// What libtorch says; a row that is damaged; another process that is gone or hangs.
    pub(crate) fn accumulate(
        &mut self,
        batch: &Batch<'_>,
        number: u64,
        share: f64,
        is_last: bool,
    ) -> anyhow::Result<BatchLoss> {
        let split = Split::new(&batch.lengths, self.team.size());
        let own = split.rows(self.team.rank());
        let key = batch_key(self.cli.training.seed, number);
        let tokens = own.iter().map(|row| batch.row(*row)).collect::<Result<Vec<_>, _>>()?;
        let rows: Vec<_> =
            own.iter().zip(&tokens).map(|(row, tokens)| Row { tokens, key: row_key(key, *row) }).collect();
        let cache = GradCache {
            network: &self.network,
            config: self.config,
            device: self.device,
            pass: self.pass,
            budget: self.budget,
            overlap: self.overlap.as_ref().filter(|_| is_last),
        };
        let forward = cache.forward(&rows)?;
        let vectors = if rows.is_empty() { self.no_vectors()? } else { forward.vectors()? };
        let vectors = self.team.gather(vectors, &split)?;
        let (found, grads) = self.loss(batch, &vectors)?;
        cache.backward(&rows, forward, &select_own(&grads, own, share)?)?;
        Ok(found)
    }

    /// A batch's loss, and its gradient by the vectors.
    ///
    /// # Shapes
    /// - `vectors`, output: `[rows, dimension]`, f32
    fn loss(&self, batch: &Batch<'_>, vectors: &Tensor) -> anyhow::Result<(BatchLoss, Tensor)> {
        let targets = batch.targets(&self.cli.loss, self.device)?;
        Ok(self.loss_of(&targets, batch, vectors)?)
    }

    fn loss_of(
        &self,
        targets: &Targets,
        batch: &Batch<'_>,
        vectors: &Tensor,
    ) -> Result<(BatchLoss, Tensor), TorchError> {
        let leaf = vectors.f_set_requires_grad(true)?;
        let pairs = batch.pairs as i64;
        let anchors = leaf.f_narrow(0, 0, pairs)?;
        let documents = leaf.f_narrow(0, pairs, leaf.size()[0] - pairs)?;
        let loss = self.objective.backward(&anchors, &documents, targets)?.f_double_value(&[])?;
        let broken = if loss.is_finite() { Vec::new() } else { broken_pairs(&leaf, batch)? };
        let (masked, compares) = (self.objective.masked(targets), self.objective.compares(targets)?);
        Ok((BatchLoss { loss, compares, masked, broken }, leaf.f_grad()?))
    }

    /// The vectors of no rows.
    fn no_vectors(&self) -> Result<Tensor, TorchError> {
        Ok(Tensor::f_zeros([0, self.model.dimension() as i64], (Kind::Float, self.device))?)
    }

    /// Adds up what all processes have of the gradient.
    ///
    /// # Errors
    /// Another process that is gone or hangs.
    pub(crate) fn share_gradient(&self) -> anyhow::Result<()> {
        self.overlap.as_ref().map_or(Ok(()), |overlap| self.team.finish(overlap))
    }

    /// Seeds what CUDA draws its dropout from, as of a step: each process has rows of its own, and noise of its own.
    pub(crate) fn seed_dropout(&self, step: u64) {
        seed(self.cli.training.seed.wrapping_add(step << 32 | self.team.rank() as u64));
    }

    /// The norm of the gradient so far, and what it is to be divided by.
    pub(crate) fn clip(&self) -> Result<(f64, Tensor), TorchError> {
        let longest = Some(self.cli.optimizer.max_grad_norm).filter(|norm| *norm > 0.0);
        let (norm, divisor) = clip(&self.parameters.grads, longest.unwrap_or(f64::INFINITY))?;
        Ok((norm.f_double_value(&[])?, divisor))
    }

    /// One step of the optimizer; the gradient is 0 afterwards.
    pub(crate) fn update(&mut self, learning_rate: f64, divisor: &Tensor) -> Result<(), TorchError> {
        self.optimizer.step(&self.parameters.values, &self.parameters.grads, learning_rate, divisor)?;
        let _ = self.parameters.grads.f_zero_()?;
        if let (Some(average), Some(decay)) = (&mut self.average, self.cli.optimizer.ema) {
            let _ = average.f_lerp_(&self.parameters.values, 1.0 - decay)?;
        }
        Ok(())
    }

    /// Vectors of rows of token ids, without dropout: f32 `[rows, dimension]`, on the learner's device.
    pub(crate) fn encode(&self, rows: &[Vec<u32>]) -> Result<Tensor, TorchError> {
        self.encode_as(self.kind(), rows)
    }

    /// The same, computed in another type than that of the training.
    pub(crate) fn encode_as(&self, kind: Kind, rows: &[Vec<u32>]) -> Result<Tensor, TorchError> {
        let pass = Pass { kind, ..self.pass.without_dropout() };
        self.network.encode(rows, self.config, pass, self.device)
    }

    /// The type that the network computes in.
    pub(crate) fn kind(&self) -> Kind {
        self.pass.kind
    }

    /// What is trained as the base model has it, on the learner's device.
    pub(crate) fn base_values(&self) -> anyhow::Result<Tensor> {
        let base = self.parameters.base(&self.model.weights()?)?;
        Ok(base.f_to_device(self.device).map_err(TorchError::from)?)
    }

    /// Whether what is in training is what the base model has.
    pub(crate) fn is_base(&self) -> anyhow::Result<bool> {
        self.parameters.is_base(&self.model.weights()?)
    }

    /// The values that would be saved now, in the place where they are: the average if there is one.
    pub(crate) fn result(&self) -> Tensor {
        self.average.as_ref().unwrap_or(&self.parameters.values).shallow_clone()
    }

    /// Does something with other values in place of those in training, which come back afterwards.
    pub(crate) fn with_values<T>(
        &mut self,
        values: &Tensor,
        act: impl FnOnce(&Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        if values.data_ptr() == self.parameters.values.data_ptr() {
            return act(self);
        }
        let kept = self.parameters.values.copy();
        self.set_values(values)?;
        let outcome = act(self);
        self.set_values(&kept)?;
        outcome
    }

    /// Puts values in the place of those in training.
    fn set_values(&mut self, values: &Tensor) -> Result<(), TorchError> {
        // Under no_grad, or the copy would be part of the leaves' graph.
        no_grad(|| self.parameters.values.f_copy_(values)).map(|_| ()).map_err(TorchError::from)
    }

    /// All weights by name as they are now; LoRA's changes stand beside what they change.
    pub(crate) fn weights(&self) -> Result<NewWeights, TorchError> {
        self.parameters.to_weights()
    }
}

/// The model's own dropout, on hidden states and on attention.
///
/// # Errors
/// What is no share of a whole.
fn dropout_of(model: &ModelDir, config: &BertConfig) -> anyhow::Result<[f64; 2]> {
    let keys = match config.architecture {
        Architecture::DistilBert => ["dropout", "attention_dropout"],
        _ => ["hidden_dropout_prob", "attention_probs_dropout_prob"],
    };
    let shares = [config.hidden_dropout_prob, config.attention_probs_dropout_prob];
    for (key, share) in keys.into_iter().zip(shares) {
        anyhow::ensure!(
            (0.0..1.0).contains(&share),
            "{}: {key} is {share}, expected a number from 0 to less than 1\nhint: correct it in the file, which the trained model has too",
            model.root().join("config.json").display()
        );
    }
    Ok(shares)
}

/// Some rows of a gradient, times `share`.
fn select_own(grads: &Tensor, own: &[usize], share: f64) -> Result<Tensor, TorchError> {
    let own: Vec<_> = own.iter().map(|row| *row as i64).collect();
    let own = Tensor::f_from_slice(&own)?.f_to_device(grads.device())?;
    Ok(grads.f_index_select(0, &own)?.f_mul_scalar(share)?)
}

/// Pairs with a row whose vector is not finite; all pairs when there is none.
fn broken_pairs(vectors: &Tensor, batch: &Batch<'_>) -> Result<Vec<usize>, TorchError> {
    let sums =
        Vec::<f32>::try_from(&vectors.f_detach()?.f_sum_dim_intlist(&[1_i64][..], false, None)?.f_contiguous()?)?;
    let mut pairs: Vec<_> =
        (0..batch.lengths.len()).filter(|row| !sums[*row].is_finite()).map(|row| batch.pair(row)).collect();
    pairs.sort_unstable();
    pairs.dedup();
    Ok(if pairs.is_empty() { (0..batch.pairs).collect() } else { pairs })
}
