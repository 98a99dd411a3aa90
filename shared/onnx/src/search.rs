//! Graphs for exact search.

use crate::graph::{Graph, Value, int};
use crate::proto::DataType;

/// The `k` largest dot products of every query with a block of corpus vectors.
///
/// Inputs: `queries` f32 `[queries, dim]`, `corpus` f32 `[rows, dim]`, `k` i64 `[1]`. Outputs: `scores` f32 and
/// `indices` i64, both `[queries, k]`, by descending score.
pub fn top_k(dim: usize) -> Vec<u8> {
    let mut graph = Graph::new("top_k", DataType::Float);
    let scores = scores(&mut graph, dim);
    let k = graph.input("k", DataType::Int64, &["1"]);
    let attributes = [int("axis", 1), int("largest", 1), int("sorted", 1)];
    let outputs = graph.node_with_outputs("TopK", &[&scores, &k], &attributes, 2);
    let types = [("scores", DataType::Float), ("indices", DataType::Int64)];
    for (value, (name, data_type)) in outputs.into_iter().zip(types) {
        graph.output(name, value, data_type, &["queries", "hits"]);
    }
    graph.into_bytes()
}

/// The dot products of every query with a block of corpus vectors.
///
/// Inputs: those of [`top_k`] without `k`. Output: `scores` f32 `[queries, rows]`.
pub fn dot_products(dim: usize) -> Vec<u8> {
    let mut graph = Graph::new("products", DataType::Float);
    let scores = scores(&mut graph, dim);
    graph.output("scores", scores, DataType::Float, &["queries", "rows"]);
    graph.into_bytes()
}

fn scores(graph: &mut Graph, dim: usize) -> Value {
    let dim = dim.to_string();
    let queries = graph.input("queries", DataType::Float, &["queries", &dim]);
    let corpus = graph.input("corpus", DataType::Float, &["rows", &dim]);
    graph.node("Gemm", &[&queries, &corpus], &[int("transB", 1)])
}
