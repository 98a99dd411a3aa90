//! Feed-forward parts, plain and gated, and their activation functions.

use embtune_encoders::{Activation, FeedForward, Inner};
use embtune_model::ModelError;

use crate::activation;
use crate::encoder::builder::{Builder, Hidden};
use crate::encoder::linear::{Input, Smoothing, linear};
use crate::graph::{MICROSOFT, Value, float};

/// GELU is never below this value.
const GELU_MIN: f32 = -0.17;
/// SiLU is never below this value.
const SILU_MIN: f32 = -0.28;
/// SmoothQuant's α for the first matrix (see [`crate::encoder::int8`]).
const ALPHA: f32 = 0.7;

/// Appends `W₂ inner(x)`.
pub(crate) fn append(builder: &mut Builder<'_>, feed_forward: &FeedForward, x: &Hidden) -> Result<Value, ModelError> {
    let smoothing = x.norm.as_ref().map(|norm| Smoothing { norm, alpha: ALPHA, first_row: 0 });
    let input = Input { smoothing, ..Input::of(&x.value) };
    let kind = feed_forward.activation;
    let (inner, lower) = match &feed_forward.inner {
        Inner::Plain(layer) => {
            let [inner] = linear(builder, [layer], input)?;
            let lower = match kind {
                Activation::Relu => 0.0,
                Activation::Gelu | Activation::GeluTanh => GELU_MIN,
                Activation::Silu => SILU_MIN,
            };
            (activate(builder, kind, &inner), Some(lower))
        }
        Inner::Gated { gate, up } => {
            let [gate, up] = linear(builder, [gate, up], input)?;
            (gated(builder, kind, &gate, &up), None)
        }
        Inner::Stacked { linear: layer, gate_first } => {
            let [both] = linear(builder, [layer], input)?;
            let [first, second]: [Value; 2] = builder.split(&both);
            let (gate, up) = if *gate_first { (first, second) } else { (second, first) };
            (gated(builder, kind, &gate, &up), None)
        }
    };
    let [output] = linear(builder, [&feed_forward.output], Input { lower, ..Input::of(&inner) })?;
    Ok(output)
}

fn gated(builder: &mut Builder<'_>, kind: Activation, gate: &Value, up: &Value) -> Value {
    let gate = activate(builder, kind, gate);
    builder.product(&gate, up)
}

/// Appends an activation function.
pub(crate) fn activate(builder: &mut Builder<'_>, kind: Activation, x: &Value) -> Value {
    match kind {
        Activation::Relu => builder.graph.node("Relu", &[x], &[]),
        Activation::Gelu => activation::gelu(builder.graph, x),
        Activation::GeluTanh => activation::gelu_tanh(builder.graph, x),
        Activation::Silu if builder.is_portable() => {
            let sigmoid = builder.graph.node("Sigmoid", &[x], &[]);
            builder.product(x, &sigmoid)
        }
        // x · σ(αx); "QuickGelu" is the name for α = 1.702.
        Activation::Silu => builder.graph.node_in(MICROSOFT, "QuickGelu", &[x], &[float("alpha", 1.0)]),
    }
}
