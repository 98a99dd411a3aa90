//! GELU, which operator set 17 does not have.

use crate::graph::{Graph, Value};

/// `x · ½ · (1 + erf(x / √2))`; ONNX Runtime fuses it into one kernel.
pub(crate) fn gelu(graph: &mut Graph, x: &Value) -> Value {
    let root = graph.scalar(std::f32::consts::SQRT_2);
    let scaled = graph.node("Div", &[x, &root], &[]);
    let erf = graph.node("Erf", &[&scaled], &[]);
    half_of_one_plus(graph, x, &erf)
}

/// `x · ½ · (1 + tanh(√(2/π) · (x + 0.044715 x³)))`
pub(crate) fn gelu_tanh(graph: &mut Graph, x: &Value) -> Value {
    let three = graph.scalar(3.0);
    let cube = graph.node("Pow", &[x, &three], &[]);
    let factor = graph.scalar(0.044_715);
    let cube = graph.node("Mul", &[&cube, &factor], &[]);
    let sum = graph.node("Add", &[x, &cube], &[]);
    let factor = graph.scalar((2.0 / std::f32::consts::PI).sqrt());
    let scaled = graph.node("Mul", &[&sum, &factor], &[]);
    let tanh = graph.node("Tanh", &[&scaled], &[]);
    half_of_one_plus(graph, x, &tanh)
}

fn half_of_one_plus(graph: &mut Graph, x: &Value, y: &Value) -> Value {
    let (one, half) = (graph.scalar(1.0), graph.scalar(0.5));
    let sum = graph.node("Add", &[y, &one], &[]);
    let product = graph.node("Mul", &[x, &sum], &[]);
    graph.node("Mul", &[&product, &half], &[])
}
