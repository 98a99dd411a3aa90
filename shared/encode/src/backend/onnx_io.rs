//! The inputs and outputs of an ONNX file, recognised by their names and types.

use embtune_ort_engine::{ElementType, TensorInfo};
use embtune_tokenize::Tokens;

use crate::batch::{Batch, attention_mask, longest, padded_ids};

/// The meaning of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InputKind {
    TokenIds,
    /// 1 for tokens, 0 for padding.
    AttentionMask,
    /// Always 0: every token belongs to the first text of a pair.
    TokenTypes,
    /// 0, 1, 2….
    Positions,
}

/// The names that exporters (optimum, transformers, torch) give to inputs.
const INPUT_NAMES: [(&str, InputKind); 4] = [
    ("input_ids", InputKind::TokenIds),
    ("attention_mask", InputKind::AttentionMask),
    ("token_type_ids", InputKind::TokenTypes),
    ("position_ids", InputKind::Positions),
];

/// The names that exporters give to hidden states.
const HIDDEN_STATES: [&str; 2] = ["last_hidden_state", "token_embeddings"];
/// The name that sentence-transformers' exporter gives to the pooled vector.
const SENTENCE_EMBEDDING: &str = "sentence_embedding";

/// The inputs of a file; each is a rectangle of integers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inputs(Vec<(&'static str, InputKind, ElementType)>);

impl Inputs {
    /// Recognises a file's declared inputs, or says why they cannot be filled.
    pub(super) fn new(declared: &[TensorInfo], positions_from_zero: bool) -> Result<Self, String> {
        let mut inputs = Vec::new();
        for input in declared {
            let TensorInfo { name, element_type, shape } = input;
            let Some((name, kind)) = INPUT_NAMES.into_iter().find(|(known, _)| known == name) else {
                let known = INPUT_NAMES.map(|(name, _)| name).join(", ");
                return Err(format!("its input \"{name}\" is unknown (known: {known})"));
            };
            if !matches!(element_type, ElementType::I64 | ElementType::I32) || shape.len() != 2 {
                return Err(format!(
                    "its input \"{name}\" must be int64 or int32 [batch, sequence], found {}",
                    type_and_shape(input)
                ));
            }
            if shape.iter().any(Option::is_some) {
                return Err(format!(
                    "its input \"{name}\" has a fixed size, {}: export it with dynamic axes",
                    type_and_shape(input)
                ));
            }
            if kind == InputKind::Positions && !positions_from_zero {
                return Err(format!(
                    "its input \"{name}\" is not supported for this model, whose positions start after its padding token's"
                ));
            }
            inputs.push((name, kind, element_type.clone()));
        }
        match inputs.iter().any(|(_, kind, _)| *kind == InputKind::TokenIds) {
            true => Ok(Self(inputs)),
            false => Err("has no input \"input_ids\"".into()),
        }
    }

    /// Whether the file can tell padding from tokens.
    pub(super) fn has_mask(&self) -> bool {
        self.0.iter().any(|(_, kind, _)| *kind == InputKind::AttentionMask)
    }

    /// The inputs for some rows; short rows are padded on the right.
    pub(super) fn batch(&self, rows: &[&Tokens], pad_token_id: usize) -> Batch {
        let longest = longest(rows);
        let shape = vec![rows.len(), longest];
        let size = rows.len() * longest;
        let mut batch = Batch::default();
        for (name, kind, element_type) in &self.0 {
            let values = match kind {
                InputKind::TokenIds => padded_ids(rows, longest, pad_token_id),
                InputKind::AttentionMask => attention_mask(rows, longest),
                InputKind::TokenTypes => vec![0; size],
                InputKind::Positions => (0..size).map(|index| (index % longest) as i64).collect(),
            };
            match element_type {
                ElementType::I32 => {
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
pub(super) struct EncoderOutput {
    pub(super) name: String,
    /// Whether it is `[batch, dimension]`, one vector for each text, rather than `[batch, sequence, hidden]`.
    pub(super) is_pooled: bool,
}

impl EncoderOutput {
    /// Chooses among a file's declared outputs: hidden states or a pooled vector by name, else the only output that can
    /// be hidden states of `width` elements. The pooled vector is preferred where the directory has no modules that say
    /// how to pool (`has_modules`).
    pub(super) fn find(declared: &[TensorInfo], width: Option<usize>, has_modules: bool) -> Result<Self, String> {
        let named = |name: &str| declared.iter().find(|output| output.name == name);
        let pooled = named(SENTENCE_EMBEDDING).map(|output| (output, true));
        let hidden = HIDDEN_STATES.into_iter().find_map(named).map(|output| (output, false));
        let by_name = if has_modules { hidden.or(pooled) } else { pooled.or(hidden) };
        let (output, is_pooled) = if let Some(found) = by_name {
            found
        } else {
            let fits = |output: &&TensorInfo| {
                output.shape.len() == 3 && width.is_some() && output.shape.last() == Some(&width)
            };
            let mut fitting = declared.iter().filter(fits);
            match (fitting.next(), fitting.next()) {
                (Some(output), None) => (output, false),
                _ => return Err(no_usable_output(declared)),
            }
        };
        let axes = if is_pooled { "[batch, dimension]" } else { "[batch, sequence, hidden]" };
        if output.element_type != ElementType::F32 || output.shape.len() != axes.split(' ').count() {
            return Err(format!(
                "its output \"{}\" must be float32 {axes}, found {}",
                output.name,
                type_and_shape(output)
            ));
        }
        Ok(Self { name: output.name.clone(), is_pooled })
    }
}

fn no_usable_output(declared: &[TensorInfo]) -> String {
    let expected = HIDDEN_STATES.map(|name| format!("\"{name}\"")).join(" or ");
    let found = declared.iter().map(|output| format!("\"{}\" {}", output.name, type_and_shape(output)));
    format!("has no output {expected} (outputs: {})", found.collect::<Vec<_>>().join(", "))
}

/// Type and shape as ONNX tools print them, such as `int64 [?, ?]`.
fn type_and_shape(tensor: &TensorInfo) -> String {
    let element_type = match &tensor.element_type {
        ElementType::I64 => "int64",
        ElementType::I32 => "int32",
        ElementType::F32 => "float32",
        ElementType::Other(name) => name,
    };
    let shape = tensor.shape.iter().map(|size| size.map_or("?".into(), |size| size.to_string()));
    format!("{element_type} [{}]", shape.collect::<Vec<_>>().join(", "))
}
