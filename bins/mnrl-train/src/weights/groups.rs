//! Which parameters are trained, and how.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use embtune_model::ModelDir;

use crate::weights::lora::Lora;
use crate::weights::parameters::{Group, Spec};

/// `--freeze`: what keeps the base model's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freeze {
    /// The embeddings.
    Embeddings,
    /// The embeddings and this many layers above them.
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

/// What decides the groups.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options<'a> {
    pub(crate) weight_decay: f64,
    /// Factor on the learning rate from each layer to the one below.
    pub(crate) layer_decay: f64,
    pub(crate) freeze: Option<Freeze>,
    pub(crate) lora: Option<&'a Lora>,
    pub(crate) seed: u64,
}

/// All parameters of a model, matrices before vectors, so that those of a fused layer stand behind each other.
///
/// # Errors
/// More frozen layers than there are, a LoRA target that names nothing.
pub(crate) fn specs(model: &ModelDir, options: Options<'_>) -> anyhow::Result<Vec<Spec>> {
    let layers = model.config().num_hidden_layers();
    let frozen_depth = match options.freeze {
        None => 0,
        Some(Freeze::Embeddings) => 1,
        Some(Freeze::Layers(count)) => {
            anyhow::ensure!(count <= layers, "--freeze layers:{count}: the model has {layers} layers");
            1 + count
        }
    };
    let parameters = model.parameters();
    let group = |name: &str| {
        let depth = depth(name, layers);
        (depth >= frozen_depth).then(|| Group {
            rate: options.layer_decay.powi((layers.saturating_sub(depth)) as i32),
            weight_decay: if decays(name) { options.weight_decay } else { 0.0 },
        })
    };
    let mut specs: Vec<Spec> = Vec::new();
    for parameter in &parameters {
        // Under LoRA only its own matrices are trained.
        let training = group(&parameter.name).filter(|_| options.lora.is_none());
        specs.push(Spec { name: parameter.name.clone(), shape: parameter.shape.clone(), training, initial: None });
    }
    if let Some(lora) = options.lora {
        let specs_of_lora = lora.specs(&parameters, options.seed)?.into_iter();
        specs.extend(specs_of_lora.map(|spec| Spec { training: group(&spec.name), ..spec }));
    }
    specs.sort_by_key(|spec| spec.shape.len() < 2);
    Ok(specs)
}

/// 0 for what is below the layers, then the layer, counted from 1; dense layers are above the last one.
fn depth(name: &str, layers: usize) -> usize {
    let mut parts = name.split('.');
    match (parts.by_ref().find(|part| *part == "layer"), parts.next().and_then(|index| index.parse::<usize>().ok())) {
        (Some(_), Some(index)) => index + 1,
        _ if name.contains("_Dense.") => layers + 1,
        _ => 0,
    }
}

/// The reference's rule: no weight decay for biases and norms, by name.
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

    fn groups(options: Options<'_>) -> Vec<(String, Option<Group>)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity/tiny-bert");
        let model = ModelDir::open(&root).unwrap();
        specs(&model, options).unwrap().into_iter().map(|spec| (spec.name, spec.training)).collect()
    }

    /// A model of 2 layers with a dense one above them has something to train when both are frozen.
    #[test]
    fn a_dense_layer_is_trained_above_frozen_ones() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity/tiny-dense");
        let model = ModelDir::open(&root).unwrap();
        let layers = model.config().num_hidden_layers();
        let options = Options { layer_decay: 0.5, freeze: Some(Freeze::Layers(layers)), ..PLAIN };
        let trained = specs(&model, options).unwrap().into_iter().filter_map(|spec| Some((spec.name, spec.training?)));
        let trained: Vec<_> = trained.collect();
        assert!(!trained.is_empty());
        for (name, group) in trained {
            assert!(name.contains("_Dense.") && group.rate == 1.0, "{name}: {group:?}");
        }
    }

    const PLAIN: Options<'_> = Options { weight_decay: 0.1, layer_decay: 1.0, freeze: None, lora: None, seed: 0 };

    #[test]
    fn biases_and_norms_do_not_decay() {
        for (name, group) in groups(PLAIN) {
            let expected = if name.ends_with("bias") || name.contains("LayerNorm") { 0.0 } else { 0.1 };
            assert_eq!(group.unwrap().weight_decay, expected, "{name}");
        }
        assert!(!decays("transformer.layer.0.sa_layer_norm.weight"));
        assert!(!decays("encoder.relative_attention_bias.weight"));
        assert!(decays("2_Dense.linear.weight"));
    }

    #[test]
    fn lower_layers_learn_slower() {
        let groups = groups(Options { layer_decay: 0.5, ..PLAIN });
        let layers =
            groups.iter().filter_map(|(name, _)| name.split('.').nth(2)?.parse::<i32>().ok()).max().unwrap() + 1;
        for (name, group) in groups {
            let below_the_last = match name.split('.').nth(2).and_then(|index| index.parse::<i32>().ok()) {
                Some(index) => layers - 1 - index,
                None => layers,
            };
            assert_eq!(group.unwrap().rate, 0.5_f64.powi(below_the_last), "{name}");
        }
    }

    #[test]
    fn lora_s_matrices_have_the_rates_of_their_layers() {
        let lora: Lora = "r=2".parse().unwrap();
        let options = Options { layer_decay: 0.5, freeze: Some(Freeze::Layers(1)), lora: Some(&lora), ..PLAIN };
        let groups = groups(options);
        assert!(groups.iter().all(|(name, group)| Lora::begins_as_zero(name).is_some() || group.is_none()));
        let trained: Vec<_> = groups.iter().filter_map(|(name, group)| Some((name, (*group)?))).collect();
        assert!(trained.len() >= 4 && trained.iter().all(|(name, _)| !name.starts_with("encoder.layer.0.")));
        let last = trained.iter().map(|(name, _)| depth(name, 0)).max().unwrap();
        for (name, group) in trained {
            let rate = 0.5_f64.powi((last - depth(name, 0)) as i32);
            assert_eq!(group, Group { rate, weight_decay: 0.1 }, "{name}");
        }
    }

    #[test]
    fn frozen_layers_are_not_trained() {
        assert_eq!("layers:2".parse(), Ok(Freeze::Layers(2)));
        assert!("layers:x".parse::<Freeze>().is_err());
        for (name, group) in groups(Options { freeze: Some(Freeze::Layers(1)), ..PLAIN }) {
            let is_frozen = name.starts_with("embeddings") || name.starts_with("encoder.layer.0.");
            assert_eq!(group.is_none(), is_frozen, "{name}");
        }
    }
}
