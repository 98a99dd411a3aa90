//! What is added to attention scores to hide keys.

use crate::graph::{Graph, Value, to};
use crate::layout::Tokens;
use crate::proto::DataType;

/// Added to the attention scores of hidden keys: large enough that the softmax gives 0, finite in every precision.
pub(crate) const MASKED: f32 = -10_000.0;

/// Hides padding, `[batch, 1, 1, sequence]`; nothing where there is none to hide, or the kernels know where rows end.
pub(crate) fn padding(graph: &mut Graph, tokens: &Tokens) -> Option<Value> {
    let Tokens::Rectangle { mask: Some(mask), .. } = tokens else { return None };
    let number = graph.number_type();
    let mask = graph.node("Cast", &[mask], &[to(number)]);
    let one = graph.number(1.0);
    let padding = graph.node("Sub", &[&one, &mask], &[]);
    let masked = graph.number(MASKED);
    let bias = graph.node("Mul", &[&padding, &masked], &[]);
    let axes = graph.integers(&[1, 2]);
    Some(graph.node("Unsqueeze", &[&bias, &axes], &[]))
}

/// Hides padding and what stands behind the query, `[batch, 1, sequence, sequence]`; nothing for rows of one length,
/// whose node does so itself.
pub(crate) fn causal(graph: &mut Graph, tokens: &Tokens) -> Option<Value> {
    let Tokens::Rectangle { mask: Some(mask), .. } = tokens else { return None };
    let place = tokens.places(graph);
    let (rows, columns) = (graph.integers(&[1]), graph.integers(&[0]));
    let query = graph.node("Unsqueeze", &[&place, &rows], &[]);
    let key = graph.node("Unsqueeze", &[&place, &columns], &[]);
    let is_behind = graph.node("Greater", &[&key, &query], &[]);
    let is_token = graph.node("Cast", &[mask], &[to(DataType::Bool)]);
    let is_padding = graph.node("Not", &[&is_token], &[]);
    let axes = graph.integers(&[1, 2]);
    let is_padding = graph.node("Unsqueeze", &[&is_padding, &axes], &[]);
    let is_hidden = graph.node("Or", &[&is_padding, &is_behind], &[]);
    let (masked, seen) = (graph.number(MASKED), graph.number(0.0));
    Some(graph.node("Where", &[&is_hidden, &masked, &seen], &[]))
}
