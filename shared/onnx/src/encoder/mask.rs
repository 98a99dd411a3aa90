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

/// Hides what stands behind the query, and padding before it, `[batch or 1, 1, sequence, sequence]`; nothing for rows
/// of one length, whose node does so itself.
pub(crate) fn causal(graph: &mut Graph, tokens: &Tokens) -> Option<Value> {
    let mask = match tokens {
        Tokens::Rectangle { mask: None, .. } => return None,
        Tokens::Rectangle { mask: Some(mask), .. } => Some(mask),
        // Padding stands behind every token.
        Tokens::Packed { .. } => None,
    };
    let place = tokens.places(graph);
    let (rows, columns) = (graph.integers(&[1]), graph.integers(&[0]));
    let query = graph.node("Unsqueeze", &[&place, &rows], &[]);
    let key = graph.node("Unsqueeze", &[&place, &columns], &[]);
    let mut is_hidden = graph.node("Greater", &[&key, &query], &[]);
    let axes = match mask {
        None => graph.integers(&[0, 1]),
        Some(mask) => {
            let is_token = graph.node("Cast", &[mask], &[to(DataType::Bool)]);
            let is_padding = graph.node("Not", &[&is_token], &[]);
            let is_padding = graph.node("Unsqueeze", &[&is_padding, &rows], &[]);
            is_hidden = graph.node("Or", &[&is_hidden, &is_padding], &[]);
            rows
        }
    };
    let is_hidden = graph.node("Unsqueeze", &[&is_hidden, &axes], &[]);
    let (masked, seen) = (graph.number(MASKED), graph.number(0.0));
    Some(graph.node("Where", &[&is_hidden, &masked, &seen], &[]))
}
