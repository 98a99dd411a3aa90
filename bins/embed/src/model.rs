//! Loading the model.

use std::path::PathBuf;

use clap::ValueEnum;
use embtune_cli::{Device, Session};
use embtune_encode::{Encoder, EncoderOptions};
use embtune_model::{AnyEncoder, AnyModelDir, locate};

/// Which model is used, and how it runs.
pub(crate) struct ModelSettings {
    /// A directory or a Hugging Face name.
    pub(crate) model: String,
    pub(crate) offline: bool,
    pub(crate) role: Option<Role>,
    /// `None` takes the model's own prompt for the role.
    pub(crate) prompt: Option<String>,
    pub(crate) max_seq_length: Option<usize>,
    /// Whether vectors are scaled to length 1 if the model says so.
    pub(crate) normalize: bool,
    pub(crate) precision: Precision,
    pub(crate) batch_tokens: Option<usize>,
    pub(crate) device: Device,
    pub(crate) threads: usize,
    pub(crate) ort_library: Option<PathBuf>,
    /// Whether to record which kernels run.
    pub(crate) profile: bool,
}

/// Purpose of the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Search queries
    Query,
    /// Documents that are searched
    Document,
}

impl From<Role> for embtune_model::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Query => Self::Query,
            Role::Document => Self::Document,
        }
    }
}

/// Number format of the model's computations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Precision {
    /// 32-bit floats, like the reference (TF32 is off on CUDA)
    Fp32,
    /// 16-bit floats; CUDA only
    Fp16,
    /// 8-bit integers in linear layers, twice as fast; CPU only. Vectors do not depend on other texts of the batch
    Int8,
}

impl From<Precision> for embtune_encode::Precision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::Fp32 => Self::Fp32,
            Precision::Fp16 => Self::Fp16,
            Precision::Int8 => Self::Int8,
        }
    }
}

/// A model that has been loaded.
pub(crate) struct LoadedModel {
    pub(crate) directory: AnyModelDir,
    pub(crate) encoder: Encoder,
    /// Whether vectors have length 1.
    pub(crate) normalized: bool,
}

/// Finds and loads the model, and reports any of its properties that may surprise the user.
///
/// # Errors
/// The model cannot be found, fetched or loaded, or the device cannot run.
pub(crate) fn load(settings: &ModelSettings, session: &Session) -> anyhow::Result<LoadedModel> {
    let directory = AnyModelDir::open_any(&locate(&settings.model, settings.offline)?)?;
    let normalized = directory.normalizes() && settings.normalize;
    let prompt = prompt(settings, &directory, session);
    let options = EncoderOptions {
        prompt: &prompt,
        max_seq_length: settings.max_seq_length,
        normalize: normalized,
        precision: settings.precision.into(),
        batch_tokens: settings.batch_tokens,
        device: settings.device,
        threads: settings.threads,
        profile: settings.profile,
        ort_library: settings.ort_library.as_deref(),
    };
    let encoder = Encoder::load(&directory, &options)?;
    if let Some(guess) = encoder.pooling_guess() {
        session.warn(guess);
    }
    if let Some(dim) = directory.truncate_dim() {
        session.info(format!("the model keeps {dim} elements of its vectors (truncate_dim)"));
    }
    if let Some(reason) = encoder.cuda_failure() {
        session.warn(format!("CUDA is installed but cannot run, so the CPU is used: {reason}"));
    }
    if settings.device == Device::Auto && encoder.device() != Device::Cpu {
        session.notice(format!("running on {}", encoder.device()));
    }
    if let AnyEncoder::Onnx(file) = directory.encoder() {
        session.info(format!("the model runs through {}: {}", file.name(), file.reason));
    }
    if let Some(folder) = directory.adapter_folder() {
        session.info(format!("the adapter {} is merged into its base", folder.display()));
    }
    session.info(format!("model {} on {}, {} elements", directory.root().display(), encoder.device(), encoder.dim()));
    Ok(LoadedModel { directory, encoder, normalized })
}

/// The text that is put before each text. A model with prompts that is used without a role deserves a warning.
fn prompt(settings: &ModelSettings, directory: &AnyModelDir, session: &Session) -> String {
    if let Some(prompt) = &settings.prompt {
        return prompt.clone();
    }
    if settings.role.is_none() {
        if let Some(name) = directory.default_prompt_name() {
            session
                .notice(format!("no --role is given: the model's default prompt, \"{name}\", is put before each text"));
        } else if directory.has_prompts() {
            session.warn("the model has prompts for queries and documents, but no --role is given: none is used");
        }
    }
    directory.prompt(settings.role.map(Into::into)).to_owned()
}
