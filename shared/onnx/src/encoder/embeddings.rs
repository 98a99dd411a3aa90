//! What depends on token ids and positions alone: embeddings, and the bias by relative position.

use embtune_encoders::{Embeddings, RelativeBias};
use embtune_model::ModelError;

use crate::encoder::attention::padding_bias;
use crate::encoder::builder::Builder;
use crate::graph::{Value, int, ints, to};
use crate::proto::DataType;
use crate::tokens::{Tokens, flatten};

/// Appends `word + type + position`, `[tokens, width]`.
pub(crate) fn append(builder: &mut Builder<'_>, embeddings: &Embeddings) -> Result<Value, ModelError> {
    let words = builder.weight(&embeddings.words.stem)?;
    let mut sum = builder.graph.node("Gather", &[&words, builder.tokens.input_ids()], &[]);
    if let Some(types) = &embeddings.token_types {
        let table = builder.weight(&types.stem)?;
        let ids = match builder.tokens {
            Tokens::Rectangle { token_type_ids: Some(ids), .. } => ids.clone(),
            _ => builder.graph.integer(0),
        };
        let token_type = builder.graph.node("Gather", &[&table, &ids], &[]);
        sum = builder.sum(&sum, &token_type);
    }
    if let Some(positions) = &embeddings.positions {
        let table = builder.weight(&positions.stem)?;
        let position = position_embeddings(builder, &table);
        sum = builder.sum(&sum, &position);
    }
    Ok(flatten(builder.graph, &sum, embeddings.words.width))
}

/// The position embeddings, in a shape that broadcasts to that of the word embeddings.
fn position_embeddings(builder: &mut Builder<'_>, table: &Value) -> Value {
    match builder.tokens {
        Tokens::Packed { position_ids, .. } => builder.graph.node("Gather", &[table, position_ids], &[]),
        Tokens::Rectangle { input_ids, .. } => match builder.position_padding {
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

/// Appends the bias for the distance between each query and key, which also hides padding:
/// `[1 or batch, heads, sequence, sequence]`.
pub(crate) fn relative_bias(builder: &mut Builder<'_>, bias: &RelativeBias) -> Result<Value, ModelError> {
    let most = bias.last_start();
    let buckets: Vec<i64> = bias.buckets(most).into_iter().map(|bucket| bucket as i64).collect();
    let table = builder.weight(&bias.table.stem)?;
    let graph = &mut *builder.graph;
    let buckets = graph.integers(&buckets);
    let by_offset = graph.node("Gather", &[&table, &buckets], &[]);
    let by_offset = graph.node("Transpose", &[&by_offset], &[ints("perm", &[1, 0])]);

    let positions = builder.tokens.positions(graph);
    let (rows, columns) = (graph.integers(&[1]), graph.integers(&[0]));
    let query = graph.node("Unsqueeze", &[&positions, &rows], &[]);
    let key = graph.node("Unsqueeze", &[&positions, &columns], &[]);
    let offset = graph.node("Sub", &[&key, &query], &[]);
    let (least, most) = (graph.integer(-(most as i64)), graph.integer(most as i64));
    let offset = graph.node("Clip", &[&offset, &least, &most], &[]);
    let index = graph.node("Add", &[&offset, &most], &[]);
    let bias = graph.node("Gather", &[&by_offset, &index], &[int("axis", 1)]);
    let bias = graph.node("Unsqueeze", &[&bias, &columns], &[]);
    Ok(match padding_bias(builder) {
        Some(padding) => builder.sum(&bias, &padding),
        None => bias,
    })
}
