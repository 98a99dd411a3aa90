//! The operations of encoders as nodes of a graph.

use embtune_encoders::{Attention, Embeddings, Experts, FeedForward, Linear, Norm, Ops, RelativeBias};
use embtune_model::ModelError;

use crate::encoder::attention::Masks;
use crate::encoder::linear::{Input, linear};
use crate::encoder::rotary::Rotations;
use crate::encoder::{attention, embeddings, experts, feed_forward, norm};
use crate::graph::{Graph, Value, int};
use crate::options::Precision;
use crate::proto::DataType;
use crate::tokens::Tokens;
use crate::weights::WeightSource;

/// A graph, and what its encoder is built from.
pub(crate) struct Builder<'a> {
    pub(crate) graph: &'a mut Graph,
    pub(crate) weights: &'a WeightSource,
    pub(crate) precision: Precision,
    pub(crate) tokens: &'a Tokens,
    /// Row of the position embeddings that is reserved for padding.
    pub(crate) position_padding: Option<usize>,
    /// What hides keys, computed once for all layers.
    pub(crate) masks: Masks,
    /// The angles of rotary positions, computed once for all layers.
    pub(crate) rotations: Rotations,
}

/// Hidden states, `[tokens, width]`.
#[derive(Clone)]
pub(crate) struct Hidden {
    pub(crate) value: Value,
    /// The norm that they are the result of: it limits the range of their elements.
    pub(crate) norm: Option<Norm>,
}

impl From<Value> for Hidden {
    fn from(value: Value) -> Self {
        Self { value, norm: None }
    }
}

impl<'a> Builder<'a> {
    pub(crate) fn new(
        graph: &'a mut Graph,
        weights: &'a WeightSource,
        precision: Precision,
        tokens: &'a Tokens,
        position_padding: Option<usize>,
    ) -> Self {
        let (masks, rotations) = (Masks::default(), Rotations::default());
        Self { graph, weights, precision, tokens, position_padding, masks, rotations }
    }

    /// The tensor `stem.weight`.
    pub(crate) fn weight(&mut self, stem: &str) -> Result<Value, ModelError> {
        self.weights.tensor(self.graph, &format!("{stem}.weight"))
    }

    /// `a + b`, element by element.
    pub(crate) fn sum(&mut self, a: &Value, b: &Value) -> Value {
        self.graph.node("Add", &[a, b], &[])
    }

    /// `a · b`, element by element.
    pub(crate) fn product(&mut self, a: &Value, b: &Value) -> Value {
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
    pub(crate) fn is_portable(&self) -> bool {
        matches!(self.tokens, Tokens::Rectangle { mask: Some(_), .. }) && self.graph.hidden_type() == DataType::Float
    }
}

impl Ops for Builder<'_> {
    type Value = Hidden;
    /// `[1, heads, sequence, sequence]`, which also hides padding.
    type Bias = Value;
    type Error = ModelError;

    fn embeddings(&mut self, tables: &Embeddings) -> Result<Hidden, ModelError> {
        Ok(embeddings::append(self, tables)?.into())
    }

    fn dropout(&mut self, x: &Hidden) -> Result<Hidden, ModelError> {
        Ok(x.clone())
    }

    fn scale(&mut self, x: &Hidden, factor: f64) -> Result<Hidden, ModelError> {
        let factor = self.graph.scalar(factor as f32);
        Ok(self.product(&x.value, &factor).into())
    }

    fn norm(&mut self, x: &Hidden, norm: &Norm) -> Result<Hidden, ModelError> {
        Ok(Hidden { value: norm::append(self, norm, &x.value)?, norm: Some(norm.clone()) })
    }

    fn add(&mut self, residual: &Hidden, x: &Hidden) -> Result<Hidden, ModelError> {
        Ok(self.sum(&x.value, &residual.value).into())
    }

    fn linear(&mut self, x: &Hidden, layer: &Linear) -> Result<Hidden, ModelError> {
        let [output] = linear(self, [layer], Input::of(&x.value))?;
        Ok(output.into())
    }

    fn relative_bias(&mut self, bias: &RelativeBias) -> Result<Value, ModelError> {
        embeddings::relative_bias(self, bias)
    }

    fn attention(&mut self, x: &Hidden, attention: &Attention, bias: Option<&Value>) -> Result<Hidden, ModelError> {
        Ok(attention::append(self, attention, x, bias)?.into())
    }

    fn feed_forward(&mut self, x: &Hidden, feed_forward: &FeedForward) -> Result<Hidden, ModelError> {
        Ok(feed_forward::append(self, feed_forward, x)?.into())
    }

    fn experts(&mut self, x: &Hidden, experts: &Experts) -> Result<Hidden, ModelError> {
        Ok(experts::append(self, experts, x)?.into())
    }
}
