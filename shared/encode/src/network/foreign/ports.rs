//! What the inputs and outputs of an ONNX file mean, as their names and types tell.

use embtune_ort_engine::{Number, Port};
use embtune_tokenize::Tokens;

use crate::network::batch::{Batch, longest, padded};

/// What an input is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    TokenIds,
    /// 1 for tokens, 0 for padding.
    Mask,
    /// 0: every token is of the first text.
    TokenTypes,
    /// 0, 1, 2….
    Positions,
}

/// The names that exporters (optimum, transformers, torch) give inputs.
const NAMES: [(&str, Meaning); 4] = [
    ("input_ids", Meaning::TokenIds),
    ("attention_mask", Meaning::Mask),
    ("token_type_ids", Meaning::TokenTypes),
    ("position_ids", Meaning::Positions),
];

/// Hidden states, by the names that exporters give them.
const HIDDEN_STATES: [&str; 2] = ["last_hidden_state", "token_embeddings"];
/// A text's vector, by the name that sentence-transformers' exporter gives it.
const VECTOR: &str = "sentence_embedding";

/// The inputs of a file: each takes a rectangle of integers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inputs(Vec<(&'static str, Meaning, Number)>);

impl Inputs {
    /// Finds out what a file's inputs are, or says why they cannot be filled.
    pub(super) fn of(ports: &[Port], counts_from_zero: bool) -> Result<Self, String> {
        let known = || NAMES.map(|(name, _)| name).join(", ");
        let mut inputs = Vec::new();
        for Port { name, number, shape } in ports {
            let Some((name, meaning)) = NAMES.into_iter().find(|(known, _)| known == name) else {
                return Err(format!("its input \"{name}\" is not known (known: {})", known()));
            };
            if !matches!(number, Number::I64 | Number::I32) || shape.len() != 2 {
                return Err(format!(
                    "its input \"{name}\" must be int64 or int32 [batch, sequence], found {}",
                    kind(number, shape)
                ));
            }
            if shape.iter().any(Option::is_some) {
                return Err(format!(
                    "its input \"{name}\" has a fixed size, {}: export it with dynamic axes",
                    kind(number, shape)
                ));
            }
            if meaning == Meaning::Positions && !counts_from_zero {
                return Err(format!(
                    "its input \"{name}\" is not supported for this model, which counts positions from behind its padding"
                ));
            }
            inputs.push((name, meaning, number.clone()));
        }
        match inputs.iter().any(|(_, meaning, _)| *meaning == Meaning::TokenIds) {
            true => Ok(Self(inputs)),
            false => Err("has no input \"input_ids\"".into()),
        }
    }

    /// Whether padding can be told from tokens.
    pub(super) fn has_mask(&self) -> bool {
        self.0.iter().any(|(_, meaning, _)| *meaning == Meaning::Mask)
    }

    /// Rows filled on the right to the longest.
    pub(super) fn batch(&self, rows: &[&Tokens], pad_token_id: usize) -> Batch {
        let longest = longest(rows);
        let shape = vec![rows.len(), longest];
        let all = rows.len() * longest;
        let mut batch = Batch::default();
        for (name, meaning, number) in &self.0 {
            let values = match meaning {
                Meaning::TokenIds => padded::ids(rows, longest, pad_token_id),
                Meaning::Mask => padded::mask(rows, longest),
                Meaning::TokenTypes => vec![0; all],
                Meaning::Positions => (0..all).map(|place| (place % longest) as i64).collect(),
            };
            match number {
                Number::I32 => {
                    batch.ints.push((name, values.into_iter().map(|value| value as i32).collect(), shape.clone()));
                }
                _ => batch.longs.push((name, values, shape.clone())),
            }
        }
        batch
    }
}

/// The output that is read, f32.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: String,
    /// Whether it is `[batch, dimension]`, one vector a text; else `[batch, sequence, hidden]`.
    pub(super) is_pooled: bool,
}

/// Chooses among a file's outputs: hidden states by name, or a text's vector by name, which is preferred where there
/// are no modules that say how one is made (`has_modules`); else the only output that can be hidden states of `width`
/// elements.
pub(super) fn output(ports: &[Port], width: Option<usize>, has_modules: bool) -> Result<Found, String> {
    let named = |name: &str| ports.iter().find(|port| port.name == name);
    let vector = named(VECTOR).map(|port| (port, true));
    let hidden = HIDDEN_STATES.into_iter().find_map(named).map(|port| (port, false));
    let by_name = if has_modules { hidden.or(vector) } else { vector.or(hidden) };
    let (port, is_pooled) = if let Some(found) = by_name {
        found
    } else {
        let fits = |port: &&Port| port.shape.len() == 3 && width.is_some() && port.shape.last() == Some(&width);
        let mut fitting = ports.iter().filter(fits);
        match (fitting.next(), fitting.next()) {
            (Some(port), None) => (port, false),
            _ => return Err(nothing_fits(ports)),
        }
    };
    let Port { name, number, shape } = port;
    let form = if is_pooled { "[batch, dimension]" } else { "[batch, sequence, hidden]" };
    if *number != Number::F32 || shape.len() != form.split(' ').count() {
        return Err(format!("its output \"{name}\" must be float32 {form}, found {}", kind(number, shape)));
    }
    Ok(Found { name: name.clone(), is_pooled })
}

fn nothing_fits(ports: &[Port]) -> String {
    let found: Vec<String> =
        ports.iter().map(|port| format!("\"{}\" {}", port.name, kind(&port.number, &port.shape))).collect();
    let expected = HIDDEN_STATES.map(|name| format!("\"{name}\"")).join(" or ");
    let found = found.join(", ");
    format!("has no output {expected} (outputs: {found})")
}

/// A type as people write it.
fn kind(number: &Number, shape: &[Option<usize>]) -> String {
    let number = match number {
        Number::I64 => "int64",
        Number::I32 => "int32",
        Number::F32 => "float32",
        Number::Other(name) => name,
    };
    let shape: Vec<String> = shape.iter().map(|size| size.map_or("?".into(), |size| size.to_string())).collect();
    format!("{number} [{}]", shape.join(", "))
}
