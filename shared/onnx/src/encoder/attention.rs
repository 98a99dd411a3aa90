//! Attention of every row over its own tokens, and the biases that hide keys from it.

use embtune_encoders::{Attention, Linear, Mask, Norm, Projection};
use embtune_model::ModelError;

use crate::encoder::builder::{Angles, Builder, Hidden, Windows};
use crate::encoder::linear::{Input, Smoothing, linear};
use crate::encoder::norm;

use crate::graph::{Graph, MICROSOFT, Value, float, int, ints, to};
use crate::proto::DataType;
use crate::tokens::{Tokens, flatten};

/// Added to the attention scores of hidden keys: large enough for the softmax to give 0, and finite in every precision.
pub(crate) const MASKED: f32 = -10_000.0;
/// SmoothQuant's α for query, key and value (see [`crate::encoder::int8`]).
const ALPHA: f32 = 0.3;

/// Appends queries, keys and values of `x`, and the attention; the result is `[tokens, heads · size]`.
pub(crate) fn append(
    builder: &mut Builder<'_>,
    attention: &Attention,
    x: &Hidden,
    bias: Option<&Value>,
) -> Result<Value, ModelError> {
    let Attention { heads, key_value_heads, size, scale, mask, .. } = *attention;
    let [mut query, mut key, mut value] = projections(builder, attention, x)?;
    if let Some([of_query, of_key]) = &attention.head_norms {
        query = head_norm(builder, of_query, &query, heads)?;
        key = head_norm(builder, of_key, &key, key_value_heads)?;
    }
    if let Some(rotary) = attention.rotary {
        let angles = Angles::of(builder, rotary, size);
        query = angles.rotate(builder, &query, heads);
        key = angles.rotate(builder, &key, key_value_heads);
    }
    if key_value_heads != heads {
        [key, value] = [key, value].map(|x| repeated(builder.graph, &x, attention));
    }
    let scale = scale as f32;
    let bias = match mask {
        Mask::Full => bias.cloned().or_else(|| padding_bias(builder)),
        Mask::Causal => causal_bias(builder),
        Mask::Window(reach) => {
            let windows = windows(builder, reach);
            return Ok(windows.attention(builder, [&query, &key, &value], heads, size, scale));
        }
    };
    let core = Core { query, key, value, heads, size, scale, bias, causal: mask == Mask::Causal };
    Ok(core.append(builder.graph, builder.tokens))
}

/// Queries, keys and values, `[tokens, heads · size]` each.
fn projections(builder: &mut Builder<'_>, attention: &Attention, x: &Hidden) -> Result<[Value; 3], ModelError> {
    // Of query, key and value, only the value's weights determine how channels are smoothed.
    let first_row = (attention.heads + attention.key_value_heads) * attention.size;
    let smoothing = x.norm.as_ref().map(|norm| Smoothing { norm, alpha: ALPHA, first_row });
    let input = Input { smoothing, ..Input::of(&x.value) };
    match &attention.projection {
        Projection::Separate(layers) => linear(builder, layers.each_ref(), input),
        Projection::Stacked(layer) => stacked(builder, layer, attention, input),
    }
}

fn stacked(
    builder: &mut Builder<'_>,
    layer: &Linear,
    attention: &Attention,
    input: Input<'_>,
) -> Result<[Value; 3], ModelError> {
    let [qkv] = linear(builder, [layer], input)?;
    if attention.heads == attention.key_value_heads {
        return Ok(builder.split(&qkv));
    }
    let sizes = [attention.heads, attention.key_value_heads, attention.key_value_heads];
    let sizes = builder.graph.integers(&sizes.map(|heads| (heads * attention.size) as i64));
    let parts = builder.graph.node_with_outputs("Split", &[&qkv, &sizes], &[int("axis", -1)], 3);
    Ok(std::array::from_fn(|index| parts.get(index).cloned().unwrap_or_default()))
}

/// A norm over each head.
fn head_norm(builder: &mut Builder<'_>, norm: &Norm, x: &Value, heads: usize) -> Result<Value, ModelError> {
    let by_head = builder.graph.integers(&[-1, heads as i64, norm.width as i64]);
    let by_head = builder.graph.node("Reshape", &[x, &by_head], &[]);
    let normed = norm::append(builder, norm, &by_head)?;
    Ok(flatten(builder.graph, &normed, heads * norm.width))
}

/// Repeats each head of keys or values for every query head that shares it, `[tokens, heads · size]`.
fn repeated(graph: &mut Graph, x: &Value, attention: &Attention) -> Value {
    let Attention { heads, key_value_heads: groups, size, .. } = *attention;
    let one = graph.integers(&[-1, groups as i64, 1, size as i64]);
    let one = graph.node("Reshape", &[x, &one], &[]);
    let many = graph.integers(&[1, 1, (heads / groups) as i64, 1]);
    let many = graph.node("Expand", &[&one, &many], &[]);
    flatten(graph, &many, heads * size)
}

/// Query, key and value of every token, `[tokens, heads · size]` each.
struct Core {
    query: Value,
    key: Value,
    value: Value,
    heads: usize,
    size: usize,
    scale: f32,
    /// Added to the scores: hides padding, and carries the encoder's own biases, such as relative positions. Broadcasts
    /// to `[batch, heads, sequence, sequence]`.
    bias: Option<Value>,
    /// Whether a token sees only itself and the tokens before it. Where rows are padded, the bias must hide the others.
    causal: bool,
}

impl Core {
    /// `softmax(scale · Q Kᵀ + bias) V`, `[tokens, heads · size]`.
    fn append(&self, graph: &mut Graph, tokens: &Tokens) -> Value {
        match tokens {
            Tokens::Rectangle { mask: None, .. } => self.fused(graph, tokens),
            Tokens::Rectangle { .. } => self.plain(graph, tokens),
            Tokens::Packed { cu_seqlens, padded_index, .. } => self.packed(graph, cu_seqlens, padded_index),
        }
    }

    /// ONNX Runtime's own operator. Without a mask it computes the scores in blocks, as FlashAttention-2 does, and
    /// never holds all `sequence²` of them.
    fn fused(&self, graph: &mut Graph, tokens: &Tokens) -> Value {
        let width = (self.heads * self.size) as i64;
        let [query, key, value] =
            [&self.query, &self.key, &self.value].map(|x| tokens.to_rectangle(graph, x, &[width]));
        let absent = Value::new();
        let mut inputs = vec![&query, &key, &value];
        if let Some(bias) = &self.bias {
            inputs.extend([&absent, &absent, bias]);
        }
        let attributes = [
            int("num_heads", self.heads as i64),
            float("scale", self.scale),
            int("unidirectional", self.causal.into()),
        ];
        let context = graph.node_in(MICROSOFT, "MultiHeadAttention", &inputs, &attributes);
        flatten(graph, &context, self.heads * self.size)
    }

    /// Standard operators, for every reader.
    fn plain(&self, graph: &mut Graph, tokens: &Tokens) -> Value {
        // There are fewer queries than scores, so that scaling the queries is cheaper.
        let scale = graph.scalar(self.scale);
        let query = graph.node("Mul", &[&self.query, &scale], &[]);
        let mut heads = |value: &Value, order: &[i64]| {
            let split = tokens.to_rectangle(graph, value, &[self.heads as i64, self.size as i64]);
            graph.node("Transpose", &[&split], &[ints("perm", order)])
        };
        let query = heads(&query, &[0, 2, 1, 3]);
        let key = heads(&self.key, &[0, 2, 3, 1]);
        let value = heads(&self.value, &[0, 2, 1, 3]);
        let mut scores = graph.node("MatMul", &[&query, &key], &[]);
        if let Some(bias) = &self.bias {
            scores = graph.node("Add", &[&scores, bias], &[]);
        }
        let probabilities = graph.node("Softmax", &[&scores], &[int("axis", -1)]);
        let context = graph.node("MatMul", &[&probabilities, &value], &[]);
        let context = graph.node("Transpose", &[&context], &[ints("perm", &[0, 2, 1, 3])]);
        flatten(graph, &context, self.heads * self.size)
    }

    /// CUDA's kernels of variable length. Nothing is copied as long as query, key and value are separate inputs without
    /// a bias.
    fn packed(&self, graph: &mut Graph, cu_seqlens: &Value, padded_index: &Value) -> Value {
        let absent = Value::new();
        let inputs = [&self.query, &self.key, &self.value, &absent, padded_index, cu_seqlens];
        let attributes = [int("num_heads", self.heads as i64), float("scale", self.scale)];
        graph.node_in(MICROSOFT, "PackedMultiHeadAttention", &inputs, &attributes)
    }
}

/// A bias that hides padding, `[batch, 1, 1, sequence]`; `None` if there is no padding, or the kernels know where rows
/// end.
pub(crate) fn padding_bias(builder: &mut Builder<'_>) -> Option<Value> {
    let Tokens::Rectangle { mask: Some(mask), .. } = builder.tokens else { return None };
    if builder.shared.padding.is_none() {
        let graph = &mut *builder.graph;
        let hidden_type = graph.hidden_type();
        let mask = graph.node("Cast", &[mask], &[to(hidden_type)]);
        let one = graph.scalar(1.0);
        let padding = graph.node("Sub", &[&one, &mask], &[]);
        let masked = graph.scalar(MASKED);
        let bias = graph.node("Mul", &[&padding, &masked], &[]);
        let axes = graph.integers(&[1, 2]);
        builder.shared.padding = Some(graph.node("Unsqueeze", &[&bias, &axes], &[]));
    }
    builder.shared.padding.clone()
}

/// A bias that hides padding and the keys after each query, `[batch, 1, sequence, sequence]`; `None` for rows of equal
/// length, where [`Core::causal`] is enough.
fn causal_bias(builder: &mut Builder<'_>) -> Option<Value> {
    let Tokens::Rectangle { mask: Some(mask), .. } = builder.tokens else { return None };
    if builder.shared.causal.is_none() {
        let graph = &mut *builder.graph;
        let positions = builder.tokens.positions(graph);
        let (rows, columns) = (graph.integers(&[1]), graph.integers(&[0]));
        let query = graph.node("Unsqueeze", &[&positions, &rows], &[]);
        let key = graph.node("Unsqueeze", &[&positions, &columns], &[]);
        let is_after = graph.node("Greater", &[&key, &query], &[]);
        let is_token = graph.node("Cast", &[mask], &[to(DataType::Bool)]);
        let is_padding = graph.node("Not", &[&is_token], &[]);
        let axes = graph.integers(&[1, 2]);
        let is_padding = graph.node("Unsqueeze", &[&is_padding, &axes], &[]);
        let is_hidden = graph.node("Or", &[&is_padding, &is_after], &[]);
        let (masked, visible) = (graph.scalar(MASKED), graph.scalar(0.0));
        builder.shared.causal = Some(graph.node("Where", &[&is_hidden, &masked, &visible], &[]));
    }
    builder.shared.causal.clone()
}

/// The division of the sequence into blocks for windows of this reach.
fn windows(builder: &mut Builder<'_>, reach: usize) -> Windows {
    if let Some((_, windows)) = builder.shared.windows.iter().find(|(known, _)| *known == reach) {
        return windows.clone();
    }
    let windows = Windows::new(builder, reach);
    builder.shared.windows.push((reach, windows.clone()));
    windows
}
