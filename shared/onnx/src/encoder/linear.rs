//! Linear layers, in the encoder's precision.

use embtune_model::ModelError;

use crate::encoder::int8::{self, Input};
use crate::graph::{Graph, Value, ints};
use crate::precision::Precision;
use crate::weights::WeightSource;

/// Linear layers that read the same values, as one product: their outputs stand side by side.
pub(crate) struct Linear<'a> {
    /// Stems of the tensors' names; a layer's weight is `[out, in]`.
    pub(crate) names: &'a [&'a str],
    /// What the layers read, for the integers.
    pub(crate) input: Input<'a>,
    /// Whether there are biases.
    pub(crate) biased: bool,
}

impl Linear<'_> {
    /// `x Wᵀ + b` for every layer: `[tokens, in]` to one `[tokens, out]` each.
    pub(crate) fn append<const N: usize>(
        &self,
        graph: &mut Graph,
        weights: &WeightSource,
        precision: Precision,
        x: &Value,
    ) -> Result<[Value; N], ModelError> {
        let outputs = match precision {
            Precision::Int8 => int8::append(graph, weights, self, x)?,
            Precision::Fp32 | Precision::Fp16 => self.floats(graph, weights, x)?,
        };
        // The names were as many as the caller wants outputs.
        Ok(std::array::from_fn(|index| outputs.get(index).cloned().unwrap_or_default()))
    }

    fn floats(&self, graph: &mut Graph, weights: &WeightSource, x: &Value) -> Result<Vec<Value>, ModelError> {
        self.names
            .iter()
            .map(|name| {
                let weight = weights.tensor(graph, &format!("{name}.weight"))?;
                // Folded when the graph is loaded.
                let weight = graph.node("Transpose", &[&weight], &[ints("perm", &[1, 0])]);
                let product = graph.node("MatMul", &[x, &weight], &[]);
                if !self.biased {
                    return Ok(product);
                }
                let bias = weights.tensor(graph, &format!("{name}.bias"))?;
                Ok(graph.node("Add", &[&product, &bias], &[]))
            })
            .collect()
    }
}
