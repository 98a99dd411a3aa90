//! Which parameters are trained, and with which options.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use clap::Args;
use embtune_cli::parse_not_negative;
use embtune_encoders::Part;
use embtune_model::ModelDir;
use serde::{Serialize, Serializer};

use super::lora::Lora;
use super::parameters::{Initial, ParamOptions, ParamSpec};

/// `--freeze`: what keeps the base model's values. A checkpoint stores it as the flag has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freeze {
    /// The embeddings.
    Embeddings,
    /// The embeddings and this many of the lowest layers.
    Layers(usize),
}

impl Display for Freeze {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embeddings => f.write_str("embeddings"),
            Self::Layers(count) => write!(f, "layers:{count}"),
        }
    }
}

impl FromStr for Freeze {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("layers:").map(str::parse) {
            Some(Ok(count)) => Ok(Self::Layers(count)),
            None if text == "embeddings" => Ok(Self::Embeddings),
            _ => Err("expected embeddings or layers:NUM".into()),
        }
    }
}

impl Serialize for Freeze {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Which parameters are trained, and how. The default trains all of them alike.
#[derive(Debug, Clone, Args, Serialize)]
#[command(next_help_heading = "Optimizer")]
pub(crate) struct ParamArgs {
    /// Weight decay, on all weights except biases and norms
    #[arg(
        long,
        value_name = "RATE",
        default_value_t = 0.0,
        value_parser = parse_not_negative,
        hide_short_help = true
    )]
    pub(crate) weight_decay: f64,

    /// Factor on the learning rate from each layer to the one below it, at most 1
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = parse_factor, hide_short_help = true)]
    pub(crate) layer_decay: f64,

    /// What keeps the base model's weights: embeddings, or layers:NUM for these and the lowest NUM layers
    #[arg(long, value_name = "PART", hide_short_help = true)]
    pub(crate) freeze: Option<Freeze>,

    /// Train low-rank changes of linear layers only, as in r=16,alpha=32,targets=query,value
    ///
    /// The default of alpha is twice r, that of targets is query and value, as BERT calls them; a name that the model
    /// does not have is refused with those that it has. all-linear means every linear layer of the encoder's layers.
    /// The model is saved with the changes merged, and the changes alone as a PEFT adapter in its folder adapter.
    #[arg(long, value_name = "SPEC", hide_short_help = true)]
    pub(crate) lora: Option<Lora>,
}

impl Default for ParamArgs {
    fn default() -> Self {
        Self { weight_decay: 0.0, layer_decay: 1.0, freeze: None, lora: None }
    }
}

fn parse_factor(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if (0.0..=1.0).contains(&factor) => Ok(factor),
        _ => Err("expected a number from 0 to 1".into()),
    }
}

/// All parameters of a model, matrices before vectors, so that those of a fused layer are consecutive.
///
/// # Errors
/// More frozen layers than the model has, or a LoRA target that names no layer.
pub(crate) fn specs(model: &ModelDir, args: &ParamArgs, seed: u64) -> anyhow::Result<Vec<ParamSpec>> {
    let layers = model.config().num_hidden_layers;
    let frozen_depth = match args.freeze {
        None => 0,
        Some(Freeze::Embeddings) => 1,
        Some(Freeze::Layers(count)) => {
            anyhow::ensure!(count <= layers, "--freeze layers:{count}: the model has {layers} layers");
            1 + count
        }
    };
    let parameters = model.parameters();
    let options = |name: &str, part: Part| {
        let depth = depth(part, layers);
        (depth >= frozen_depth).then(|| ParamOptions {
            lr_scale: args.layer_decay.powi((layers.saturating_sub(depth)) as i32),
            weight_decay: if decays(name) { args.weight_decay } else { 0.0 },
        })
    };
    let mut specs: Vec<ParamSpec> = Vec::new();
    for parameter in &parameters {
        // With LoRA, only its own matrices are trained.
        let training = options(&parameter.name, parameter.part).filter(|_| args.lora.is_none());
        let (name, shape) = (parameter.name.clone(), parameter.shape.clone());
        specs.push(ParamSpec { name, shape, training, initial: Initial::BaseModel });
    }
    if let Some(lora) = &args.lora {
        let specs_of_lora = lora.specs(&parameters, seed)?.into_iter();
        specs.extend(specs_of_lora.map(|(part, spec)| ParamSpec { training: options(&spec.name, part), ..spec }));
    }
    specs.sort_by_key(|spec| spec.shape.len() < 2);
    Ok(specs)
}

/// The depth of a part: 0 below the layers, then the layer counted from 1, and one more above the last one.
fn depth(part: Part, layers: usize) -> usize {
    match part {
        Part::Embeddings => 0,
        Part::Layer(index) => index + 1,
        Part::Head => layers + 1,
    }
}

/// Whether a parameter decays, by the reference's rule: biases and norms, recognised by name, do not.
///
/// Source: `get_decay_parameter_names` in `transformers/trainer.py`.
fn decays(name: &str) -> bool {
    let name = name.to_lowercase();
    let is_norm = |part: &str| part == "norm" || part.ends_with("_norm");
    !name.contains("bias") && !name.contains("layernorm") && !name.contains("rmsnorm") && !name.split('.').any(is_norm)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn options(args: &ParamArgs) -> Vec<(String, Option<ParamOptions>)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity/tiny-bert");
        let model = ModelDir::open(&root).unwrap();
        specs(&model, args, 0).unwrap().into_iter().map(|spec| (spec.name, spec.training)).collect()
    }

    /// A model of 2 layers and a dense layer has something to train even if both are frozen.
    #[test]
    fn a_dense_layer_is_trained_above_frozen_ones() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity/tiny-dense");
        let model = ModelDir::open(&root).unwrap();
        let layers = model.config().num_hidden_layers;
        let args = ParamArgs { layer_decay: 0.5, freeze: Some(Freeze::Layers(layers)), ..decaying() };
        let trained = specs(&model, &args, 0).unwrap().into_iter().filter_map(|spec| Some((spec.name, spec.training?)));
        let trained: Vec<_> = trained.collect();
        assert!(!trained.is_empty());
        for (name, options) in trained {
            assert!(name.contains("_Dense.") && options.lr_scale == 1.0, "{name}: {options:?}");
        }
    }

    fn decaying() -> ParamArgs {
        ParamArgs { weight_decay: 0.1, ..ParamArgs::default() }
    }

    #[test]
    fn biases_and_norms_do_not_decay() {
        for (name, options) in options(&decaying()) {
            let expected = if name.ends_with("bias") || name.contains("LayerNorm") { 0.0 } else { 0.1 };
            assert_eq!(options.unwrap().weight_decay, expected, "{name}");
        }
        assert!(!decays("transformer.layer.0.sa_layer_norm.weight"));
        assert!(!decays("encoder.relative_attention_bias.weight"));
        assert!(decays("2_Dense.linear.weight"));
    }

    #[test]
    fn lower_layers_have_lower_rates() {
        let all = options(&ParamArgs { layer_decay: 0.5, ..decaying() });
        let layers = all.iter().filter_map(|(name, _)| name.split('.').nth(2)?.parse::<i32>().ok()).max().unwrap() + 1;
        for (name, options) in all {
            let below_the_last = match name.split('.').nth(2).and_then(|index| index.parse::<i32>().ok()) {
                Some(index) => layers - 1 - index,
                None => layers,
            };
            assert_eq!(options.unwrap().lr_scale, 0.5_f64.powi(below_the_last), "{name}");
        }
    }

    #[test]
    fn lora_matrices_have_the_rates_of_their_layers() {
        let lora = Some("r=2".parse().unwrap());
        let all = options(&ParamArgs { layer_decay: 0.5, freeze: Some(Freeze::Layers(1)), lora, ..decaying() });
        assert!(all.iter().all(|(name, options)| name.contains(".lora_") || options.is_none()));
        let trained: Vec<_> = all.iter().filter_map(|(name, options)| Some((name, (*options)?))).collect();
        assert!(trained.len() >= 4 && trained.iter().all(|(name, _)| !name.starts_with("encoder.layer.0.")));
        let layer = |name: &str| name.split('.').nth(2).unwrap().parse::<i32>().unwrap();
        let last = trained.iter().map(|(name, _)| layer(name)).max().unwrap();
        for (name, options) in trained {
            let lr_scale = 0.5_f64.powi(last - layer(name));
            assert_eq!(options, ParamOptions { lr_scale, weight_decay: 0.1 }, "{name}");
        }
    }

    #[test]
    fn frozen_layers_are_not_trained() {
        assert_eq!("layers:2".parse(), Ok(Freeze::Layers(2)));
        assert!("layers:x".parse::<Freeze>().is_err());
        for (name, options) in options(&ParamArgs { freeze: Some(Freeze::Layers(1)), ..decaying() }) {
            let is_frozen = name.starts_with("embeddings") || name.starts_with("encoder.layer.0.");
            assert_eq!(options.is_none(), is_frozen, "{name}");
        }
    }
}
