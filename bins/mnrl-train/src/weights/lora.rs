//! LoRA: trains `W + α / r · B A` instead of W (Hu et al. 2021), as PEFT does.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::fs;
use std::path::Path;
use std::str::FromStr;

use anyhow::Context as _;
use embtune_encoders::{Parameter, ParameterKind, Part};
use embtune_model::NewWeights;
use embtune_tensors::{Dtype, write_tensors};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Serialize, Serializer};
use serde_json::json;

use super::parameters::{Initial, ParamSpec};

/// `--lora r=16,alpha=32,targets=query,value`. A checkpoint stores it as the flag has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lora {
    /// r: number of rows of A and of columns of B.
    pub(crate) rank: usize,
    /// α.
    pub(crate) alpha: usize,
    /// Names of linear layers, or the last components of their names.
    pub(crate) targets: Vec<String>,
}

/// The largest r and alpha, more than any layer has rows.
const LARGEST: usize = 1 << 20;

/// The target that means every linear layer of the encoder's layers.
const ALL_LINEAR: &str = "all-linear";

/// The suffixes of the names of A and B.
const A: &str = ".lora_A.weight";
const B: &str = ".lora_B.weight";

impl Display for Lora {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "r={},alpha={},targets={}", self.rank, self.alpha, self.targets.join(","))
    }
}

impl FromStr for Lora {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut rank, mut alpha, mut targets) = (None, None, Vec::new());
        for part in text.split(',') {
            let number = |text: &str| {
                let number = text.parse::<usize>().ok().filter(|n| (1..=LARGEST).contains(n));
                number.ok_or(format!("\"{text}\" is not a number from 1 to {LARGEST}"))
            };
            match part.split_once('=') {
                Some(("r", _)) if rank.is_some() => return Err("r is given twice".into()),
                Some(("alpha", _)) if alpha.is_some() => return Err("alpha is given twice".into()),
                Some(("r", value)) => rank = Some(number(value)?),
                Some(("alpha", value)) => alpha = Some(number(value)?),
                Some(("targets", value)) => targets.push(value.to_owned()),
                None if !targets.is_empty() => targets.push(part.to_owned()),
                _ => return Err(format!("\"{part}\": expected r=NUM, alpha=NUM, targets=NAME,NAME…")),
            }
        }
        let rank = rank.ok_or("r=NUM is missing")?;
        if targets.is_empty() {
            targets = vec!["query".into(), "value".into()];
        }
        Ok(Self { rank, alpha: alpha.unwrap_or(2 * rank), targets })
    }
}

impl Serialize for Lora {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Lora {
    /// α / r.
    pub(crate) fn scale(&self) -> f64 {
        self.alpha as f64 / self.rank as f64
    }

    /// Whether a linear layer is a target, by its whole name or by the last components of its name.
    pub(crate) fn adapts(&self, stem: &str) -> bool {
        let is_end =
            |target: &str| stem.strip_suffix(target).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        self.targets.iter().any(|target| target == ALL_LINEAR || is_end(target))
    }

    /// The targets as names of layers, which PEFT also takes. Its own `all-linear` is not the same: it has the linear
    /// layers outside of the encoder's layers, too.
    fn named_targets<'a>(&'a self, changes: &'a NewWeights) -> Vec<&'a str> {
        match self.targets.iter().any(|target| target == ALL_LINEAR) {
            true => changes.keys().filter_map(|name| name.strip_suffix(A)).collect(),
            false => self.targets.iter().map(String::as_str).collect(),
        }
    }

    /// The names of A and B of a layer.
    pub(crate) fn names(stem: &str) -> [String; 2] {
        [format!("{stem}{A}"), format!("{stem}{B}")]
    }

    /// A and B of every target, without options yet: A is uniform in ±1/√in, like `kaiming_uniform_` with `a = √5`, B
    /// is 0.
    ///
    /// # Errors
    /// A target that names no linear layer.
    pub(super) fn specs(&self, parameters: &[Parameter], seed: u64) -> anyhow::Result<Vec<(Part, ParamSpec)>> {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let mut specs = Vec::new();
        for Target { stem, output, input, part } in self.layers(parameters) {
            let bound = 1.0 / (input as f32).sqrt();
            let a = (0..self.rank * input).map(|_| generator.random_range(-bound..bound)).collect();
            let initial = [Initial::Values(a), Initial::Zeros];
            let shapes = [[self.rank, input], [output, self.rank]];
            for ((name, shape), initial) in Self::names(stem).into_iter().zip(shapes).zip(initial) {
                specs.push((part, ParamSpec { name, shape: shape.to_vec(), training: None, initial }));
            }
        }
        for target in &self.targets {
            let one = Self { targets: vec![target.clone()], ..self.clone() };
            anyhow::ensure!(
                !one.layers(parameters).is_empty(),
                "--lora: no linear layer is called \"{target}\"\nhint: this model has {}",
                layer_kinds(parameters)
            );
        }
        Ok(specs)
    }

    fn layers<'a>(&self, parameters: &'a [Parameter]) -> Vec<Target<'a>> {
        linear_layers(parameters).filter(|layer| self.adapts(layer.stem)).collect()
    }

    /// Adds the changes B A to the weights; returns the merged weights, and A and B, which are no longer among them.
    pub(crate) fn merge(&self, mut weights: NewWeights, parameters: &[Parameter]) -> (NewWeights, NewWeights) {
        let mut changes = NewWeights::new();
        for Target { stem, output, input, .. } in self.layers(parameters) {
            let names = Self::names(stem);
            let [a, b] = names.each_ref().map(|name| weights.remove(name).unwrap_or_default());
            let Some(weight) = weights.get_mut(&format!("{stem}.weight")) else { continue };
            for row in 0..output {
                for rank in 0..self.rank {
                    let factor = b[row * self.rank + rank] * self.scale() as f32;
                    let (a, weight) = (&a[rank * input..][..input], &mut weight[row * input..][..input]);
                    weight.iter_mut().zip(a).for_each(|(w, a)| *w += factor * a);
                }
            }
            changes.extend(names.into_iter().zip([a, b]));
        }
        (weights, changes)
    }

    /// Writes A and B as a PEFT adapter into `folder`.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(crate) fn save_adapter(&self, changes: &NewWeights, base: &str, folder: &Path) -> anyhow::Result<()> {
        fs::create_dir(folder).with_context(|| folder.display().to_string())?;
        let tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)> = changes
            .iter()
            .map(|(name, values)| {
                let columns = values.len() / self.rank;
                let shape = if name.contains(".lora_A.") { vec![self.rank, columns] } else { vec![columns, self.rank] };
                let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
                (format!("base_model.model.{name}"), (shape, bytes))
            })
            .collect();
        let tensors: Vec<_> = tensors
            .iter()
            .map(|(name, (shape, bytes))| (name.as_str(), Dtype::F32, shape.clone(), bytes.as_slice()))
            .collect();
        let mut out = Vec::new();
        write_tensors(&tensors, Some(("format", "pt")), &mut out)?;
        let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).with_context(|| name.to_owned());
        write("adapter_model.safetensors", &out)?;
        let config = json!({
            "peft_type": "LORA", "task_type": "FEATURE_EXTRACTION", "base_model_name_or_path": base,
            "r": self.rank, "lora_alpha": self.alpha, "lora_dropout": 0.0, "bias": "none",
            "target_modules": self.named_targets(changes), "inference_mode": true, "fan_in_fan_out": false,
            "init_lora_weights": true, "modules_to_save": null, "use_rslora": false, "use_dora": false,
        });
        write("adapter_config.json", format!("{config:#}\n").as_bytes())
    }
}

/// A linear layer that LoRA can change.
struct Target<'a> {
    stem: &'a str,
    output: usize,
    input: usize,
    part: Part,
}

/// The linear layers within the layers of the encoder.
fn linear_layers(parameters: &[Parameter]) -> impl Iterator<Item = Target<'_>> {
    parameters.iter().filter_map(|parameter| {
        let stem = parameter.name.strip_suffix(".weight")?;
        let [output, input]: [usize; 2] = parameter.shape.as_slice().try_into().ok()?;
        let is_target = parameter.kind == ParameterKind::Linear && matches!(parameter.part, Part::Layer(_));
        is_target.then_some(Target { stem, output, input, part: parameter.part })
    })
}

/// The names of the linear layers within an encoder layer, for a message.
fn layer_kinds(parameters: &[Parameter]) -> String {
    let mut kinds = Vec::new();
    for Target { stem, .. } in linear_layers(parameters) {
        // What follows the number of the layer.
        let kind = stem.split_once(|c: char| c.is_ascii_digit()).map_or(stem, |(_, rest)| rest);
        let kind = kind.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds.join(", ")
}

#[cfg(test)]
mod tests {
    use embtune_encoders::Linear;

    use super::*;

    #[test]
    fn specifications_are_parsed() {
        let lora: Lora = "r=4,targets=query,attention.output.dense".parse().unwrap();
        assert_eq!((lora.rank, lora.alpha, lora.scale()), (4, 8, 2.0));
        assert!(lora.adapts("encoder.layer.0.attention.self.query"));
        assert!(lora.adapts("encoder.layer.1.attention.output.dense"));
        assert!(!lora.adapts("encoder.layer.1.output.dense"), "the suffix of another layer");
        let all: Lora = "r=4,targets=all-linear".parse().unwrap();
        assert!(all.adapts("layers.0.self_attn.k_proj"));
        for bad in ["", "r=0", "alpha=3", "r=4,query", "r=4,what=1", "r=4,r=4", "r=4,alpha=1,alpha=2", "r=9999999999"] {
            assert!(bad.parse::<Lora>().is_err(), "{bad}");
        }
    }

    #[test]
    fn changes_are_merged() {
        let lora = Lora { rank: 1, alpha: 2, targets: vec!["q".into()] };
        let parameters = Linear::new("x.q", [2, 3], true).parameters(Part::Layer(0));
        let weights = NewWeights::from([
            ("x.q.weight".into(), vec![1.0; 6]),
            ("x.q.lora_A.weight".into(), vec![1.0, 2.0, 3.0]),
            ("x.q.lora_B.weight".into(), vec![0.5, -1.0]),
        ]);
        let (merged, changes) = lora.merge(weights, &parameters);
        assert_eq!(merged, NewWeights::from([("x.q.weight".into(), vec![2.0, 3.0, 4.0, -1.0, -3.0, -5.0])]));
        assert_eq!(changes.into_keys().collect::<Vec<_>>(), ["x.q.lora_A.weight", "x.q.lora_B.weight"]);
    }
}
