//! The model in training: gradients of batches, updates, and vectors of texts.

use clap::Args;
use embtune_cli::{parse_bytes, parse_not_negative, parse_share};
use embtune_model::ModelDir;
use embtune_torch::tch::{Device, Kind, Tensor, no_grad};
use embtune_torch::{AdamW, Reducer, TorchError, clip};
use serde::Serialize;

use super::grad_cache::GradCache;
use super::memory::Budget;
use crate::checkpoint::NamedTensor;
use crate::data::batch::Batch;
use crate::distributed::{ProcessGroup, RowAssignment};
use crate::loss::{Objective, Targets};
use crate::network::{Network, Pass, Precision, Row, batch_key, row_key};
use crate::weights::param_groups::{ParamArgs, specs};
use crate::weights::parameters::Parameters;

/// How a model is trained.
#[derive(Debug, Clone, Args, Serialize)]
#[command(next_help_heading = "Optimizer")]
pub(crate) struct LearnerArgs {
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) parameters: ParamArgs,

    /// Largest norm of the gradient, to which a longer one is scaled down; 0 turns clipping off
    #[arg(
        long,
        value_name = "NORM",
        default_value_t = 1.0,
        value_parser = parse_not_negative,
        hide_short_help = true
    )]
    pub(crate) max_grad_norm: f64,

    /// Save the exponential moving average of the weights, with this decay per step
    #[arg(long, value_name = "DECAY", value_parser = parse_share, hide_short_help = true)]
    pub(crate) ema: Option<f64>,

    /// Dropout on hidden states and attention, below 1 [default: the model's]
    #[arg(long, help_heading = "Training", value_name = "SHARE", value_parser = parse_share, hide_short_help = true)]
    pub(crate) dropout: Option<f64>,

    /// Type of matrices
    ///
    /// Hidden states have it too. Weights, norms, sums and the loss are fp32 in any case.
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = Precision::Fp32, help_heading = "Training")]
    pub(crate) precision: Precision,

    /// Tokens that go through the network at once [default: 2048 on the CPU, 65536 on CUDA, fewer for large models]
    ///
    /// A text with more tokens goes alone. By default they need at most 1 GB on the CPU, and half of --memory on CUDA.
    #[arg(long, help_heading = "Engine", value_name = "NUM", value_parser = clap::value_parser!(u32).range(1..), hide_short_help = true)]
    pub(crate) batch_tokens: Option<u32>,

    /// Memory for what the backward pass needs of a batch; what does not fit is computed twice
    ///
    /// The default is 2G on the CPU, and 70 % of the free memory on CUDA. The result is the same bit for bit.
    #[serde(skip)]
    #[arg(long, help_heading = "Engine", value_name = "BYTES", value_parser = parse_bytes, hide_short_help = true)]
    pub(crate) memory: Option<usize>,
}

/// A model with its optimizer and its objective.
pub(crate) struct Learner<'a> {
    pub(crate) model: &'a ModelDir,
    pub(crate) device: Device,
    pub(crate) parameters: Parameters,
    pub(crate) optimizer: AdamW,
    /// Exponential moving average of the trained values, f32 `[n]`.
    average: Option<Tensor>,
    pub(crate) budget: Budget,
    pub(crate) args: LearnerArgs,
    /// Seed of the dropout.
    seed: u64,
    pub(crate) objective: Objective,
    group: &'a ProcessGroup,
    network: Network,
    /// If there are several processes.
    reducer: Option<Reducer<'a>>,
    pass: Pass,
}

/// The loss of a batch.
#[derive(Debug, Clone, Default)]
pub(crate) struct BatchLoss {
    pub(crate) loss: f64,
    /// Whether there was anything to compare; if not, the loss is 0 whatever the weights are.
    pub(crate) compares: bool,
    /// Pairs of anchor and document that were excluded as false negatives.
    pub(crate) masked: u64,
    /// Pairs whose vectors contain NaN or infinity, as indices in the batch; all of them if only the loss is not
    /// finite.
    pub(crate) not_finite: Vec<usize>,
}

impl<'a> Learner<'a> {
    /// # Errors
    /// A model that cannot be loaded, or settings that do not fit it.
    pub(crate) fn new(
        model: &'a ModelDir,
        args: LearnerArgs,
        seed: u64,
        objective: Objective,
        device: Device,
        group: &'a ProcessGroup,
    ) -> anyhow::Result<Self> {
        model.check_trainable()?;
        let parameters = Parameters::load(specs(model, &args.parameters, seed)?, &model.weights()?, device)?;
        // Checked even if it is not used, because the trained model gets the same config.json.
        let of_model = dropout_of(model)?;
        let [hidden_dropout, attention_dropout] = args.dropout.map_or(of_model, |share| [share; 2]);
        let kind = args.precision.kind();
        let network = Network::new(model, &parameters, args.parameters.lora.as_ref())?;
        let reducer = group.reducer(&parameters.grads, &parameters.leaves())?;
        let (batch_tokens, memory) =
            (args.batch_tokens.map(|tokens| tokens as usize), args.memory.map(|bytes| bytes as u64));
        let learner = Self {
            network,
            reducer,
            optimizer: AdamW::new(&parameters.values, parameters.groups.clone())?,
            average: args.ema.map(|_| parameters.values.copy()),
            budget: Budget::new(batch_tokens, memory, model.encoder(), kind, device)?,
            pass: Pass { kind, hidden_dropout, attention_dropout },
            model,
            args,
            seed,
            objective,
            group,
            device,
            parameters,
        };
        learner.seed_dropout(0);
        Ok(learner)
    }

    /// Accumulates the gradient of a batch, times `share`, as far as it flows through the rows of this process.
    /// `number` counts the batches of the training, for their dropout. After the last batch of a step comes
    /// [`sync_gradient`](Self::sync_gradient).
    ///
    /// # Errors
    /// An error of libtorch, a damaged row, or another process that is gone or hangs.
    pub(crate) fn accumulate(
        &mut self,
        batch: &Batch<'_>,
        number: u64,
        share: f64,
        is_last: bool,
    ) -> anyhow::Result<BatchLoss> {
        let assignment = RowAssignment::new(&batch.lengths, self.group.world_size());
        let own = assignment.rows(self.group.rank());
        let key = batch_key(self.seed, number);
        let tokens = own.iter().map(|row| batch.row(*row)).collect::<Result<Vec<_>, _>>()?;
        let rows: Vec<_> =
            own.iter().zip(&tokens).map(|(row, tokens)| Row { tokens, key: row_key(key, *row) }).collect();
        let cache = GradCache {
            network: &self.network,
            device: self.device,
            pass: self.pass,
            budget: self.budget,
            reducer: self.reducer.as_ref().filter(|_| is_last),
        };
        let forward = cache.forward(&rows)?;
        let vectors = if rows.is_empty() { self.no_vectors()? } else { forward.vectors()? };
        let vectors = self.group.all_gather(vectors, &assignment)?;
        let targets = batch.targets(&self.objective, self.device)?;
        let (loss, grads) = self.loss(&targets, batch, &vectors)?;
        cache.backward(&rows, forward, &select_own(&grads, own, share)?)?;
        Ok(loss)
    }

    /// A batch's loss, and its gradient with respect to the vectors.
    ///
    /// # Shapes
    /// - `vectors`, output: `[rows, dimension]`, f32
    fn loss(&self, targets: &Targets, batch: &Batch<'_>, vectors: &Tensor) -> Result<(BatchLoss, Tensor), TorchError> {
        let leaf = vectors.f_set_requires_grad(true)?;
        let pairs = batch.pairs as i64;
        let anchors = leaf.f_narrow(0, 0, pairs)?;
        let documents = leaf.f_narrow(0, pairs, leaf.size()[0] - pairs)?;
        let loss = self.objective.backward(&anchors, &documents, targets)?.f_double_value(&[])?;
        let not_finite = if loss.is_finite() { Vec::new() } else { pairs_not_finite(&leaf, batch)? };
        let form = &self.objective.loss;
        let (masked, compares) = (form.masked(targets), form.compares(targets)?);
        Ok((BatchLoss { loss, compares, masked, not_finite }, leaf.f_grad()?))
    }

    /// The vectors of no rows.
    fn no_vectors(&self) -> Result<Tensor, TorchError> {
        Ok(Tensor::f_zeros([0, self.model.dimension() as i64], (Kind::Float, self.device))?)
    }

    /// Waits until the gradients of all processes are summed.
    ///
    /// # Errors
    /// Another process that is gone or hangs.
    pub(crate) fn sync_gradient(&self) -> anyhow::Result<()> {
        self.reducer.as_ref().map_or(Ok(()), |reducer| self.group.finish(reducer))
    }

    /// Seeds CUDA's dropout as of a step, differently in each process, because each computes other rows.
    pub(crate) fn seed_dropout(&self, step: u64) {
        embtune_torch::seed(self.seed.wrapping_add(step << 32 | self.group.rank() as u64));
    }

    /// The norm of the accumulated gradient, and the divisor that clips it.
    ///
    /// # Errors
    /// An error of libtorch.
    pub(crate) fn clip(&self) -> Result<(f64, Tensor), TorchError> {
        let max_norm = Some(self.args.max_grad_norm).filter(|norm| *norm > 0.0);
        let (norm, divisor) = clip(&self.parameters.grads, max_norm.unwrap_or(f64::INFINITY))?;
        Ok((norm.f_double_value(&[])?, divisor))
    }

    /// Takes one step of the optimizer and resets the gradient to 0.
    ///
    /// # Errors
    /// An error of libtorch.
    pub(crate) fn update(&mut self, learning_rate: f64, divisor: &Tensor) -> Result<(), TorchError> {
        self.optimizer.step(&self.parameters.values, &self.parameters.grads, learning_rate, divisor)?;
        let _ = self.parameters.grads.f_zero_()?;
        if let (Some(average), Some(decay)) = (&mut self.average, self.args.ema) {
            let _ = average.f_lerp_(&self.parameters.values, 1.0 - decay)?;
        }
        Ok(())
    }

    /// Vectors of rows of token ids, without dropout: f32 `[rows, dimension]`, on the learner's device.
    ///
    /// # Errors
    /// An error of libtorch.
    pub(crate) fn encode(&self, rows: &[Vec<u32>]) -> Result<Tensor, TorchError> {
        self.encode_as(self.kind(), rows)
    }

    /// The same vectors, computed in this type.
    ///
    /// # Errors
    /// An error of libtorch.
    pub(crate) fn encode_as(&self, kind: Kind, rows: &[Vec<u32>]) -> Result<Tensor, TorchError> {
        let pass = Pass { kind, ..self.pass.without_dropout() };
        self.network.encode(rows, pass, self.device)
    }

    /// The type that the network computes in.
    pub(crate) fn kind(&self) -> Kind {
        self.pass.kind
    }

    /// The tensors that a checkpoint stores, by name.
    pub(crate) fn tensors(&self) -> Vec<NamedTensor<'_>> {
        let mut tensors = vec![
            ("values", &self.parameters.values),
            ("moment1", &self.optimizer.moment1),
            ("moment2", &self.optimizer.moment2),
        ];
        tensors.extend(self.average.as_ref().map(|average| ("average", average)));
        tensors
    }

    /// The base model's values of the trained parameters, on the learner's device.
    ///
    /// # Errors
    /// A base model that cannot be read.
    pub(crate) fn base_values(&self) -> anyhow::Result<Tensor> {
        let base = self.parameters.base(&self.model.weights()?)?;
        Ok(base.f_to_device(self.device).map_err(TorchError::from)?)
    }

    /// Whether the model in training is still the base model.
    ///
    /// # Errors
    /// A base model that cannot be read.
    pub(crate) fn is_base(&self) -> anyhow::Result<bool> {
        self.parameters.is_base(&self.model.weights()?)
    }

    /// The values that would be saved now, not copied: the moving average if there is one.
    pub(crate) fn result(&self) -> Tensor {
        self.average.as_ref().unwrap_or(&self.parameters.values).shallow_clone()
    }

    /// Runs `act` with other values in place of those in training, and restores them afterwards.
    ///
    /// # Errors
    /// The error of `act`, or an error of libtorch.
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

    /// Replaces the values in training.
    fn set_values(&mut self, values: &Tensor) -> Result<(), TorchError> {
        // Without no_grad, the copy would become part of the leaves' graph.
        no_grad(|| self.parameters.values.f_copy_(values)).map(|_| ()).map_err(TorchError::from)
    }
}

/// The model's own dropout, on hidden states and on attention.
///
/// # Errors
/// A value outside [0, 1).
fn dropout_of(model: &ModelDir) -> anyhow::Result<[f64; 2]> {
    let embtune_encoders::Dropout { hidden, attention } = model.config().dropout;
    let mut shares = [0.0; 2];
    for (own, (key, share)) in shares.iter_mut().zip([hidden, attention]).filter_map(|(own, of)| Some((own, of?))) {
        anyhow::ensure!(
            (0.0..1.0).contains(&share),
            "{}: {key} is {share}, expected a number from 0 to less than 1\nhint: correct it in the file, which the trained model gets too",
            model.root().join("config.json").display()
        );
        *own = share;
    }
    Ok(shares)
}

/// The process's own rows of a gradient, times `share`.
fn select_own(grads: &Tensor, own: &[usize], share: f64) -> Result<Tensor, TorchError> {
    let own: Vec<_> = own.iter().map(|row| *row as i64).collect();
    let own = Tensor::f_from_slice(&own)?.f_to_device(grads.device())?;
    Ok(grads.f_index_select(0, &own)?.f_mul_scalar(share)?)
}

/// Pairs with a row whose vector is not finite; all pairs if there is none.
fn pairs_not_finite(vectors: &Tensor, batch: &Batch<'_>) -> Result<Vec<usize>, TorchError> {
    let sums =
        Vec::<f32>::try_from(&vectors.f_detach()?.f_sum_dim_intlist(&[1_i64][..], false, None)?.f_contiguous()?)?;
    let mut pairs: Vec<_> =
        (0..batch.lengths.len()).filter(|row| !sums[*row].is_finite()).map(|row| batch.pair(row)).collect();
    pairs.sort_unstable();
    pairs.dedup();
    Ok(if pairs.is_empty() { (0..batch.pairs).collect() } else { pairs })
}
