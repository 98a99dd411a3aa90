//! Layer norms and RMS norms.

use embtune_encoders::{Norm, NormKind};
use embtune_model::ModelError;

use crate::encoder::builder::Builder;
use crate::graph::{Value, float, int, ints};

/// Appends a norm over the last axis.
pub(crate) fn append(builder: &mut Builder<'_>, norm: &Norm, x: &Value) -> Result<Value, ModelError> {
    let weight = builder.weight(&norm.stem)?;
    let attributes = [int("axis", -1), float("epsilon", norm.eps as f32)];
    match norm.kind {
        NormKind::Layer { bias } => {
            let mut inputs = vec![x.clone(), weight];
            if bias {
                inputs.push(builder.weights.tensor(builder.graph, &format!("{}.bias", norm.stem))?);
            }
            let inputs: Vec<&Value> = inputs.iter().collect();
            Ok(builder.graph.node("LayerNormalization", &inputs, &attributes))
        }
        NormKind::Rms { one_plus } => {
            let weight = if one_plus {
                let one = builder.graph.scalar(1.0);
                builder.sum(&weight, &one)
            } else {
                weight
            };
            if builder.is_portable() {
                return Ok(plain_rms(builder, norm.eps, &weight, x));
            }
            // Computes the mean in fp32, whatever the precision is.
            Ok(builder.graph.node("SimplifiedLayerNormalization", &[x, &weight], &attributes))
        }
    }
}

/// `γ x / √(mean(x²) + ε)` with standard operators, for every reader.
fn plain_rms(builder: &mut Builder<'_>, eps: f64, weight: &Value, x: &Value) -> Value {
    let graph = &mut *builder.graph;
    let two = graph.float(2.0);
    let square = graph.node("Pow", &[x, &two], &[]);
    let mean = graph.node("ReduceMean", &[&square], &[ints("axes", &[-1]), int("keepdims", 1)]);
    let epsilon = graph.float(eps as f32);
    let sum = graph.node("Add", &[&mean, &epsilon], &[]);
    let root = graph.node("Sqrt", &[&sum], &[]);
    let normed = graph.node("Div", &[x, &root], &[]);
    graph.node("Mul", &[&normed, weight], &[])
}
