//! The operations of encoders as nodes of a graph.

use embtune_encoders::{Attention, Embeddings, Experts, FeedForward, Linear, Norm, Ops, RelativeBias};
use embtune_model::ModelError;

use crate::encoder::builder::{Builder, Hidden};
use crate::encoder::linear::{Input, linear};
use crate::encoder::{attention, embeddings, experts, feed_forward, norm};
use crate::graph::Value;

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
