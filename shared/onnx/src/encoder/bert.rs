//! BERT and its relatives: learned positions, and layers that end with the norm (post-norm).
//!
//! Source of the formulas: `transformers/models/{bert,xlm_roberta,mpnet,distilbert}/modeling_*.py`.

use embtune_model::{Activation, BertConfig, LayerNames, MAX_RELATIVE_DISTANCE, ModelError, relative_position_bucket};

use crate::activation;
use crate::encoder::attention::{Attention, padding_bias};
use crate::encoder::builder::Builder;
use crate::encoder::int8::InputRange;
use crate::graph::{Value, int, ints, to};
use crate::proto::DataType;
use crate::tokens::{Tokens, flatten};

/// GELU is never below this value.
const GELU_MIN: f32 = -0.17;
/// SmoothQuant's α for query, key and value (see [`crate::encoder::int8`]).
const ATTENTION_ALPHA: f32 = 0.3;
/// SmoothQuant's α for the first feed-forward matrix.
const FEED_FORWARD_ALPHA: f32 = 0.7;

/// Appends the encoder; the result is `[tokens, hidden]`, where padding counts as tokens.
pub(super) fn append(builder: &mut Builder<'_>, config: &BertConfig) -> Result<Value, ModelError> {
    let names = config.architecture.embedding_names();
    let padding = padding_bias(builder.graph, builder.tokens);
    let relative = names.relative_attention_bias.map(|table| relative_bias(builder, table)).transpose()?;
    let bias = match (relative, padding) {
        (Some(relative), Some(padding)) => Some(builder.add(&relative, &padding)),
        (relative, padding) => relative.or(padding),
    };
    let mut hidden = embeddings(builder, config)?;
    let mut norm = names.norm.to_owned();
    for index in 0..config.num_hidden_layers {
        let names = config.architecture.layer_names(index);
        hidden = layer(builder, config, &names, &norm, &hidden, bias.as_ref())?;
        norm = names.output_norm;
    }
    Ok(hidden)
}

/// The bias for the distance between each query and key, from the rows of `table`: `[1, heads, sequence, sequence]`.
fn relative_bias(builder: &mut Builder<'_>, table: &str) -> Result<Value, ModelError> {
    let max_distance = MAX_RELATIVE_DISTANCE as i64;
    let buckets: Vec<i64> =
        (-max_distance..=max_distance).map(|offset| relative_position_bucket(offset) as i64).collect();
    let table = builder.weight(table)?;
    let buckets = builder.graph.integers(&buckets);
    let by_offset = builder.graph.node("Gather", &[&table, &buckets], &[]);
    let by_offset = builder.graph.node("Transpose", &[&by_offset], &[ints("perm", &[1, 0])]);

    let positions = builder.tokens.positions(builder.graph);
    let (rows, columns) = (builder.graph.integers(&[1]), builder.graph.integers(&[0]));
    let query = builder.graph.node("Unsqueeze", &[&positions, &rows], &[]);
    let key = builder.graph.node("Unsqueeze", &[&positions, &columns], &[]);
    let offset = builder.graph.node("Sub", &[&key, &query], &[]);
    let (least, most) = (builder.graph.integer(-max_distance), builder.graph.integer(max_distance));
    let offset = builder.graph.node("Clip", &[&offset, &least, &most], &[]);
    let index = builder.graph.node("Add", &[&offset, &most], &[]);
    let bias = builder.graph.node("Gather", &[&by_offset, &index], &[int("axis", 1)]);
    Ok(builder.graph.node("Unsqueeze", &[&bias, &columns], &[]))
}

/// `LayerNorm(word + type + position)`, `[tokens, hidden]`.
fn embeddings(builder: &mut Builder<'_>, config: &BertConfig) -> Result<Value, ModelError> {
    let names = config.architecture.embedding_names();
    let table = builder.weight(names.word)?;
    let mut sum = builder.graph.node("Gather", &[&table, builder.tokens.input_ids()], &[]);
    if let Some(name) = names.token_type {
        let table = builder.weight(name)?;
        let ids = match builder.tokens {
            Tokens::Rectangle { token_type_ids: Some(ids), .. } => ids.clone(),
            _ => builder.graph.integer(0),
        };
        let token_type = builder.graph.node("Gather", &[&table, &ids], &[]);
        sum = builder.add(&sum, &token_type);
    }
    let table = builder.weight(names.position)?;
    let position = position_embeddings(builder, config, &table);
    let sum = builder.add(&sum, &position);
    let sum = flatten(builder.graph, &sum, config.hidden_size);
    builder.layer_norm(names.norm, true, config.layer_norm_eps, &sum)
}

/// The position embeddings, in a shape that broadcasts to that of the word embeddings.
fn position_embeddings(builder: &mut Builder<'_>, config: &BertConfig, table: &Value) -> Value {
    match builder.tokens {
        Tokens::Packed { position_ids, .. } => builder.graph.node("Gather", &[table, position_ids], &[]),
        Tokens::Rectangle { input_ids, .. } => match config.position_padding() {
            // Rows 0 to sequence − 1, the same for every text.
            None => {
                let zero = builder.graph.integers(&[0]);
                let length = builder.tokens.longest(builder.graph);
                builder.graph.node("Slice", &[table, &zero, &length, &zero], &[])
            }
            // cumsum(ids ≠ pad) · (ids ≠ pad) + pad: a padding token takes the row `pad`, wherever it occurs.
            Some(pad) => {
                let pad = builder.graph.integer(pad as i64);
                let is_pad = builder.graph.node("Equal", &[input_ids, &pad], &[]);
                let is_token = builder.graph.node("Not", &[&is_pad], &[]);
                let is_token = builder.graph.node("Cast", &[&is_token], &[to(DataType::Int64)]);
                let axis = builder.graph.integer(1);
                let count = builder.graph.node("CumSum", &[&is_token, &axis], &[]);
                let count = builder.graph.node("Mul", &[&count, &is_token], &[]);
                let position = builder.graph.node("Add", &[&count, &pad], &[]);
                builder.graph.node("Gather", &[table, &position], &[])
            }
        },
    }
}

/// `x = LN(x + attention(x))`, then `x = LN(x + W₂ act(W₁ x))`. `norm` is the stem of the layer norm that produced
/// `hidden`.
fn layer(
    builder: &mut Builder<'_>,
    config: &BertConfig,
    names: &LayerNames,
    norm: &str,
    hidden: &Value,
    bias: Option<&Value>,
) -> Result<Value, ModelError> {
    let range = InputRange::Normed { norm, alpha: ATTENTION_ALPHA, first_layer: 2 };
    let [query, key, value] = builder.affine(&[&names.query, &names.key, &names.value], range, hidden)?;
    let (heads, size) = (config.num_attention_heads, config.head_size());
    let attention = Attention { query: &query, key: &key, value: &value, heads, size, bias, causal: false };
    let context = attention.append(builder.graph, builder.tokens);
    let [output] = builder.affine(&[&names.attention_output], InputRange::Unknown, &context)?;
    let sum = builder.add(&output, hidden);
    let hidden = builder.layer_norm(&names.attention_norm, true, config.layer_norm_eps, &sum)?;

    let range = InputRange::Normed { norm: &names.attention_norm, alpha: FEED_FORWARD_ALPHA, first_layer: 0 };
    let [inner] = builder.affine(&[&names.intermediate], range, &hidden)?;
    let inner = activation::append(builder.graph, config.hidden_act, &inner);
    let min = if config.hidden_act == Activation::Relu { 0.0 } else { GELU_MIN };
    let [output] = builder.affine(&[&names.output], InputRange::Above(min), &inner)?;
    let sum = builder.add(&output, &hidden);
    builder.layer_norm(&names.output_norm, true, config.layer_norm_eps, &sum)
}
