//! Linear layers, in the encoder's precision.

use embtune_encoders::{Linear, Norm};
use embtune_model::ModelError;

use crate::encoder::builder::Builder;
use crate::encoder::int8;
use crate::graph::{Graph, Value, int, ints};
use crate::matrix::Matrix;
use crate::options::Precision;
use crate::proto::DataType;

/// What linear layers read. Only 8-bit integers need more than the value.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    /// `[tokens, in]`.
    pub(crate) value: &'a Value,
    /// How its channels are smoothed, if it is the result of a norm.
    pub(crate) smoothing: Option<Smoothing<'a>>,
    /// The lower end of its elements, if it is the result of an activation function.
    pub(crate) lower: Option<f32>,
}

/// SmoothQuant's smoothing of the channels of a norm's result (see [`crate::encoder::int8`]).
#[derive(Clone, Copy)]
pub(crate) struct Smoothing<'a> {
    pub(crate) norm: &'a Norm,
    /// α.
    pub(crate) alpha: f32,
    /// The rows of the weights from this one on determine the smoothing.
    pub(crate) first_row: usize,
}

impl<'a> Input<'a> {
    /// A value of unknown range.
    pub(crate) fn of(value: &'a Value) -> Self {
        Self { value, smoothing: None, lower: None }
    }
}

/// Appends `x Wᵀ + b` for every layer: `[tokens, in]` to one `[tokens, out]` each.
pub(crate) fn linear<const N: usize>(
    builder: &mut Builder<'_>,
    layers: [&Linear; N],
    input: Input<'_>,
) -> Result<[Value; N], ModelError> {
    let outputs = match builder.precision {
        Precision::Int8 => integers(builder, &layers, input)?,
        Precision::Fp32 | Precision::Fp16 => floats(builder, &layers, input.value)?,
    };
    // There are as many outputs as layers.
    Ok(std::array::from_fn(|index| outputs.get(index).cloned().unwrap_or_default()))
}

fn floats(builder: &mut Builder<'_>, layers: &[&Linear], x: &Value) -> Result<Vec<Value>, ModelError> {
    let (graph, weights) = (&mut *builder.graph, builder.weights);
    let is_half = graph.hidden_type() == DataType::Float16;
    layers
        .iter()
        .map(|layer| {
            let weight = weights.tensor(graph, &format!("{}.weight", layer.stem))?;
            let bias = match layer.bias {
                true => Some(weights.tensor(graph, &format!("{}.bias", layer.stem))?),
                false => None,
            };
            Ok(if is_half { matmul_add(graph, x, &weight, bias) } else { gemm(graph, x, &weight, bias) })
        })
        .collect()
}

/// All layers as one product of integers, whose result is divided among the layers.
fn integers(builder: &mut Builder<'_>, layers: &[&Linear], input: Input<'_>) -> Result<Vec<Value>, ModelError> {
    let (graph, weights) = (&mut *builder.graph, builder.weights);
    let matrices = layers.iter().map(|layer| weights.matrix(&format!("{}.weight", layer.stem)));
    let matrices = matrices.collect::<Result<Vec<Matrix>, ModelError>>()?;
    let mut bias = Vec::new();
    for layer in layers.iter().filter(|layer| layer.bias) {
        bias.extend(weights.floats(&format!("{}.bias", layer.stem))?);
    }
    let smoothing = match input.smoothing {
        Some(Smoothing { norm, alpha, first_row }) => {
            let [gamma, beta] = int8::scale_and_shift(weights, norm)?;
            let rows = matrices.iter().flat_map(Matrix::by_row).skip(first_row);
            Some(int8::smoothing_factors(&gamma, &beta, alpha, rows))
        }
        None => None,
    };
    let weight = Matrix::stacked(&matrices, smoothing.as_deref());
    let product = int8::append(graph, input.value, input.lower, smoothing.as_deref(), &weight);
    let product = if bias.is_empty() {
        product
    } else {
        let bias = graph.floats(&bias, &[bias.len()]);
        graph.node("Add", &[&product, &bias], &[])
    };
    if matrices.len() == 1 {
        return Ok(vec![product]);
    }
    let sizes: Vec<i64> = matrices.iter().map(|matrix| matrix.rows() as i64).collect();
    let sizes = graph.integers(&sizes);
    Ok(graph.node_with_outputs("Split", &[&product, &sizes], &[int("axis", -1)], matrices.len()))
}

/// A single node, which reads the weight in place. A Transpose would cost memory: ONNX Runtime folds it into a copy.
fn gemm(graph: &mut Graph, x: &Value, weight: &Value, bias: Option<Value>) -> Value {
    let inputs: Vec<&Value> = [x, weight].into_iter().chain(&bias).collect();
    graph.node("Gemm", &inputs, &[int("transB", 1)])
}

/// Used on CUDA, whose Gemm adds the bias with a second matrix product. A separate Add is fused with the node that
/// follows.
fn matmul_add(graph: &mut Graph, x: &Value, weight: &Value, bias: Option<Value>) -> Value {
    let weight = graph.node("Transpose", &[weight], &[ints("perm", &[1, 0])]);
    let product = graph.node("MatMul", &[x, &weight], &[]);
    match bias {
        Some(bias) => graph.node("Add", &[&product, &bias], &[]),
        None => product,
    }
}
