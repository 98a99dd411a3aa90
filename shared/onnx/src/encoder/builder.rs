//! The building blocks of encoders.

use embtune_model::ModelError;

use crate::encoder::int8::InputRange;
use crate::encoder::linear::Linear;
use crate::graph::{Graph, MICROSOFT, Value, float, int, ints};
use crate::options::Precision;
use crate::proto::DataType;
use crate::tokens::{Tokens, flatten};
use crate::weights::WeightSource;

/// A graph, and what its encoder is built from.
pub(crate) struct Builder<'a> {
    pub(crate) graph: &'a mut Graph,
    pub(crate) weights: &'a WeightSource,
    pub(crate) precision: Precision,
    pub(crate) tokens: &'a Tokens,
}

impl Builder<'_> {
    /// The tensor `stem.weight`.
    pub(crate) fn weight(&mut self, stem: &str) -> Result<Value, ModelError> {
        self.weights.tensor(self.graph, &format!("{stem}.weight"))
    }

    /// The rows of a table for the token ids, `[tokens, width]`.
    pub(crate) fn word_embeddings(&mut self, stem: &str, width: usize) -> Result<Value, ModelError> {
        let table = self.weight(stem)?;
        let rows = self.graph.node("Gather", &[&table, self.tokens.input_ids()], &[]);
        Ok(flatten(self.graph, &rows, width))
    }

    /// `x Wᵀ` for each of the layers with these stems.
    pub(crate) fn linear<const N: usize>(
        &mut self,
        names: &[&str; N],
        input_range: InputRange<'_>,
        x: &Value,
    ) -> Result<[Value; N], ModelError> {
        Linear { names, input_range, has_bias: false }.append(self.graph, self.weights, self.precision, x)
    }

    /// `x Wᵀ + b` for each of the layers with these stems.
    pub(crate) fn affine<const N: usize>(
        &mut self,
        names: &[&str; N],
        input_range: InputRange<'_>,
        x: &Value,
    ) -> Result<[Value; N], ModelError> {
        Linear { names, input_range, has_bias: true }.append(self.graph, self.weights, self.precision, x)
    }

    /// `γ (x − mean) / √(variance + ε) + β`, over the last axis.
    pub(crate) fn layer_norm(
        &mut self,
        stem: &str,
        has_bias: bool,
        epsilon: f64,
        x: &Value,
    ) -> Result<Value, ModelError> {
        let weight = self.weight(stem)?;
        let bias = if has_bias { Some(self.weights.tensor(self.graph, &format!("{stem}.bias"))?) } else { None };
        let inputs: Vec<&Value> = [Some(x), Some(&weight), bias.as_ref()].into_iter().flatten().collect();
        let attributes = [int("axis", -1), float("epsilon", epsilon as f32)];
        Ok(self.graph.node("LayerNormalization", &inputs, &attributes))
    }

    /// `γ x / √(mean(x²) + ε)`, over the last axis.
    pub(crate) fn rms_norm(&mut self, stem: &str, epsilon: f64, x: &Value) -> Result<Value, ModelError> {
        let weight = self.weight(stem)?;
        if !self.is_portable() {
            // Computes the mean in fp32, whatever the precision is.
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
            return self.graph.node_in(MICROSOFT, "QuickGelu", &[x], &[float("alpha", 1.0)]);
        }
        let sigmoid = self.graph.node("Sigmoid", &[x], &[]);
        self.graph.node("Mul", &[x, &sigmoid], &[])
    }

    /// `a + b`, element by element.
    pub(crate) fn add(&mut self, a: &Value, b: &Value) -> Value {
        self.graph.node("Add", &[a, b], &[])
    }

    /// `a · b`, element by element.
    pub(crate) fn multiply(&mut self, a: &Value, b: &Value) -> Value {
        self.graph.node("Mul", &[a, b], &[])
    }

    /// Divides the last axis into equal parts.
    pub(crate) fn split<const N: usize>(&mut self, x: &Value) -> [Value; N] {
        let parts = self.graph.node_with_outputs("Split", &[x], &[int("axis", -1)], N);
        std::array::from_fn(|index| parts.get(index).cloned().unwrap_or_default())
    }

    /// Whether the graph must use standard operators only, because other programs than ONNX Runtime may read it. Padded
    /// rows in fp32 occur in portable graphs; embtune's own inference rarely has them, so they need no special
    /// operators.
    fn is_portable(&self) -> bool {
        matches!(self.tokens, Tokens::Rectangle { mask: Some(_), .. }) && self.graph.hidden_type() == DataType::Float
    }
}
