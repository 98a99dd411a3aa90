//! The tensors of an encoder.

/// A tensor of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Hugging Face name without a prefix.
    pub name: String,
    /// Sizes, outermost first; a linear layer is `[out, in]`.
    pub shape: Vec<usize>,
}

/// Parameters by the stems of their names.
#[derive(Default)]
pub(super) struct Parameters(Vec<Parameter>);

impl Parameters {
    pub(super) fn weight(&mut self, stem: &str, shape: &[usize]) {
        self.0.push(Parameter { name: format!("{stem}.weight"), shape: shape.to_vec() });
    }

    /// A weight, and a bias as long as its first dimension.
    pub(super) fn affine(&mut self, stem: &str, shape: &[usize]) {
        self.weight(stem, shape);
        self.0.push(Parameter { name: format!("{stem}.bias"), shape: shape.iter().take(1).copied().collect() });
    }

    pub(super) fn into_vec(self) -> Vec<Parameter> {
        self.0
    }
}
