//! What every encoder is put together from.

use embtune_model::ModelError;

use crate::encoder::int8::Input;
use crate::encoder::linear::Linear;
use crate::graph::{Graph, MICROSOFT, Value, float, int, ints};
use crate::layout::{Tokens, flat};
use crate::precision::Precision;
use crate::proto::DataType;
use crate::weights::WeightSource;

/// A graph, and what stands on its way from token ids to hidden states.
pub(crate) struct Builder<'a> {
    pub(crate) graph: &'a mut Graph,
    pub(crate) weights: &'a WeightSource,
    pub(crate) precision: Precision,
    pub(crate) tokens: &'a Tokens,
}

impl Builder<'_> {
    pub(crate) fn weight(&mut self, stem: &str) -> Result<Value, ModelError> {
        self.weights.tensor(self.graph, &format!("{stem}.weight"))
    }

    /// Rows of a table for the token ids, `[tokens, width]`.
    pub(crate) fn words(&mut self, stem: &str, width: usize) -> Result<Value, ModelError> {
        let table = self.weight(stem)?;
        let rows = self.graph.node("Gather", &[&table, self.tokens.input_ids()], &[]);
        Ok(flat(self.graph, &rows, width))
    }

    /// `x Wᵀ` of every layer of these stems.
    pub(crate) fn linear<const N: usize>(
        &mut self,
        names: &[&str; N],
        input: Input<'_>,
        x: &Value,
    ) -> Result<[Value; N], ModelError> {
        Linear { names, input, biased: false }.append(self.graph, self.weights, self.precision, x)
    }

    /// `x Wᵀ + b` of every layer of these stems.
    pub(crate) fn affine<const N: usize>(
        &mut self,
        names: &[&str; N],
        input: Input<'_>,
        x: &Value,
    ) -> Result<[Value; N], ModelError> {
        Linear { names, input, biased: true }.append(self.graph, self.weights, self.precision, x)
    }

    /// `γ (x − mean) / √(variance + ε) + β`, over the last axis.
    pub(crate) fn layer_norm(
        &mut self,
        stem: &str,
        biased: bool,
        epsilon: f64,
        x: &Value,
    ) -> Result<Value, ModelError> {
        let weight = self.weight(stem)?;
        let bias = if biased { Some(self.weights.tensor(self.graph, &format!("{stem}.bias"))?) } else { None };
        let inputs: Vec<&Value> = [Some(x), Some(&weight), bias.as_ref()].into_iter().flatten().collect();
        let attributes = [int("axis", -1), float("epsilon", epsilon as f32)];
        Ok(self.graph.node("LayerNormalization", &inputs, &attributes))
    }

    /// `γ x / √(mean(x²) + ε)`, over the last axis.
    pub(crate) fn rms_norm(&mut self, stem: &str, epsilon: f64, x: &Value) -> Result<Value, ModelError> {
        let weight = self.weight(stem)?;
        if !self.is_portable() {
            // Adds up in fp32 whatever the precision is.
            let attributes = [int("axis", -1), float("epsilon", epsilon as f32)];
            return Ok(self.graph.node("SimplifiedLayerNormalization", &[x, &weight], &attributes));
        }
        let two = self.graph.float(2.0);
        let square = self.graph.node("Pow", &[x, &two], &[]);
        let mean = self.graph.node("ReduceMean", &[&square], &[ints("axes", &[-1]), int("keepdims", 1)]);
        let epsilon = self.graph.float(epsilon as f32);
        let sum = self.graph.node("Add", &[&mean, &epsilon], &[]);
        let root = self.graph.node("Sqrt", &[&sum], &[]);
        let normed = self.graph.node("Div", &[x, &root], &[]);
        Ok(self.graph.node("Mul", &[&normed, &weight], &[]))
    }

    /// `x · σ(x)`.
    pub(crate) fn silu(&mut self, x: &Value) -> Value {
        if !self.is_portable() {
            return self.graph.node_of(MICROSOFT, "QuickGelu", &[x], &[float("alpha", 1.0)]);
        }
        let sigmoid = self.graph.node("Sigmoid", &[x], &[]);
        self.graph.node("Mul", &[x, &sigmoid], &[])
    }

    pub(crate) fn add(&mut self, a: &Value, b: &Value) -> Value {
        self.graph.node("Add", &[a, b], &[])
    }

    pub(crate) fn multiply(&mut self, a: &Value, b: &Value) -> Value {
        self.graph.node("Mul", &[a, b], &[])
    }

    /// Equal parts of the last axis.
    pub(crate) fn split<const N: usize>(&mut self, x: &Value) -> [Value; N] {
        let parts = self.graph.nodes("Split", &[x], &[int("axis", -1)], N);
        std::array::from_fn(|index| parts.get(index).cloned().unwrap_or_default())
    }

    /// Whether other programs than ONNX Runtime may read the graph, so that only standard nodes will do. A portable
    /// graph computes in fp32, and padded rows in fp32 are rare enough to run on its nodes too.
    fn is_portable(&self) -> bool {
        matches!(self.tokens, Tokens::Rectangle { mask: Some(_), .. }) && self.graph.number_type() == DataType::Float
    }
}
