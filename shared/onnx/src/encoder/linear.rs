//! Linear layers, in the encoder's precision.

use embtune_model::ModelError;

use crate::encoder::int8::{self, InputRange};
use crate::graph::{Graph, Value, int, ints};
use crate::matrix::Matrix;
use crate::options::Precision;
use crate::proto::DataType;
use crate::weights::WeightSource;

/// Linear layers that read the same input.
pub(crate) struct Linear<'a> {
    /// Stems of the tensors' names; a layer's weight is `[out, in]`.
    pub(crate) names: &'a [&'a str],
    /// The known range of the input's values; only 8-bit integers need it.
    pub(crate) input_range: InputRange<'a>,
    pub(crate) has_bias: bool,
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
            Precision::Int8 => self.integers(graph, weights, x)?,
            Precision::Fp32 | Precision::Fp16 => self.floats(graph, weights, x)?,
        };
        // The caller gives as many names as it wants outputs.
        Ok(std::array::from_fn(|index| outputs.get(index).cloned().unwrap_or_default()))
    }

    fn floats(&self, graph: &mut Graph, weights: &WeightSource, x: &Value) -> Result<Vec<Value>, ModelError> {
        let is_half = graph.hidden_type() == DataType::Float16;
        self.names
            .iter()
            .map(|name| {
                let weight = weights.tensor(graph, &format!("{name}.weight"))?;
                let bias = match self.has_bias {
                    true => Some(weights.tensor(graph, &format!("{name}.bias"))?),
                    false => None,
                };
                Ok(if is_half { matmul_add(graph, x, &weight, bias) } else { gemm(graph, x, &weight, bias) })
            })
            .collect()
    }

    /// All layers as one product of integers, whose result is divided among the layers.
    fn integers(&self, graph: &mut Graph, weights: &WeightSource, x: &Value) -> Result<Vec<Value>, ModelError> {
        let matrices = self.names.iter().map(|name| weights.matrix(&format!("{name}.weight")));
        let matrices = matrices.collect::<Result<Vec<Matrix>, ModelError>>()?;
        let mut bias = Vec::new();
        for name in self.names.iter().filter(|_| self.has_bias) {
            bias.extend(weights.floats(&format!("{name}.bias"))?);
        }
        let smoothing = match self.input_range {
            InputRange::Normed { norm, alpha, first_layer } => {
                let gamma = weights.floats(&format!("{norm}.weight"))?;
                let beta = weights.floats(&format!("{norm}.bias"))?;
                let layers = matrices.get(first_layer..).unwrap_or(&[]);
                Some(int8::smoothing_factors(&gamma, &beta, alpha, layers))
            }
            InputRange::Unknown | InputRange::Above(_) => None,
        };
        let weight = Matrix::stacked(&matrices, smoothing.as_deref());
        let product = int8::append(graph, x, self.input_range, smoothing.as_deref(), &weight);
        let product = if self.has_bias {
            let bias = graph.floats(&bias, &[bias.len()]);
            graph.node("Add", &[&product, &bias], &[])
        } else {
            product
        };
        if matrices.len() == 1 {
            return Ok(vec![product]);
        }
        let sizes: Vec<i64> = matrices.iter().map(|matrix| matrix.rows() as i64).collect();
        let sizes = graph.integers(&sizes);
        Ok(graph.node_with_outputs("Split", &[&product, &sizes], &[int("axis", -1)], matrices.len()))
    }
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
