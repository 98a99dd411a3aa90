//! The forward pass of BERT and XLM-RoBERTa.
//!
//! Source of the formulas: `transformers/models/bert/modeling_bert.py` and
//! `transformers/models/xlm_roberta/modeling_xlm_roberta.py`.

use embtune_model::{Activation, Architecture, EncoderConfig, ModelError};

use crate::graph::{Graph, Value, float, int, ints, to};
use crate::proto::DataType;
use crate::weights::WeightSource;

/// Added to the attention scores of padding: large enough that the softmax gives 0, finite in every precision.
const MASKED: f32 = -10_000.0;

/// Inputs of an encoder, i64 `[batch, sequence]`.
pub(crate) struct Inputs {
    pub(crate) input_ids: Value,
    /// 1 for tokens, 0 for padding.
    pub(crate) attention_mask: Value,
    /// Absent: every token is of type 0.
    pub(crate) token_type_ids: Option<Value>,
}

struct Builder<'a> {
    graph: &'a mut Graph,
    weights: &'a WeightSource,
    config: &'a EncoderConfig,
}

/// Appends the encoder; the result is f32 `[batch, sequence, hidden]`.
pub(crate) fn append(
    graph: &mut Graph,
    weights: &WeightSource,
    config: &EncoderConfig,
    inputs: &Inputs,
) -> Result<Value, ModelError> {
    let mut builder = Builder { graph, weights, config };
    let bias = builder.attention_bias(&inputs.attention_mask);
    let mut hidden = builder.embeddings(inputs)?;
    for layer in 0..config.num_hidden_layers {
        hidden = builder.layer(&format!("encoder.layer.{layer}"), &hidden, &bias)?;
    }
    Ok(hidden)
}

impl Builder<'_> {
    /// `(1 − mask) · MASKED`, f32 `[batch, 1, 1, sequence]`.
    fn attention_bias(&mut self, mask: &Value) -> Value {
        let mask = self.graph.node("Cast", &[mask], &[to(DataType::Float)]);
        let one = self.graph.float(1.0);
        let padding = self.graph.node("Sub", &[&one, &mask], &[]);
        let masked = self.graph.float(MASKED);
        let bias = self.graph.node("Mul", &[&padding, &masked], &[]);
        let axes = self.graph.integers(&[1, 2]);
        self.graph.node("Unsqueeze", &[&bias, &axes], &[])
    }

    /// `LayerNorm(word + type + position)`.
    fn embeddings(&mut self, inputs: &Inputs) -> Result<Value, ModelError> {
        let table = self.weights.tensor(self.graph, "embeddings.word_embeddings.weight")?;
        let word = self.graph.node("Gather", &[&table, &inputs.input_ids], &[]);
        let table = self.weights.tensor(self.graph, "embeddings.token_type_embeddings.weight")?;
        let token_type = match &inputs.token_type_ids {
            Some(ids) => self.graph.node("Gather", &[&table, ids], &[]),
            None => {
                let zero = self.graph.integer(0);
                self.graph.node("Gather", &[&table, &zero], &[])
            }
        };
        let sum = self.graph.node("Add", &[&word, &token_type], &[]);
        let table = self.weights.tensor(self.graph, "embeddings.position_embeddings.weight")?;
        let position = self.positions(inputs, &table);
        let sum = self.graph.node("Add", &[&sum, &position], &[]);
        self.layer_norm("embeddings.LayerNorm", &sum)
    }

    fn positions(&mut self, inputs: &Inputs, table: &Value) -> Value {
        match self.config.architecture {
            // Rows 0..sequence, the same for every text.
            Architecture::Bert => {
                let shape = self.graph.node("Shape", &[&inputs.input_ids], &[]);
                let (zero, one) = (self.graph.integers(&[0]), self.graph.integers(&[1]));
                let length = self.graph.node("Gather", &[&shape, &one], &[int("axis", 0)]);
                self.graph.node("Slice", &[table, &zero, &length, &zero], &[])
            }
            // cumsum(ids ≠ pad) · (ids ≠ pad) + pad: padding takes pad's own row, wherever it stands.
            Architecture::XlmRoberta => {
                let pad = self.graph.integer(self.config.pad_token_id as i64);
                let is_pad = self.graph.node("Equal", &[&inputs.input_ids, &pad], &[]);
                let is_token = self.graph.node("Not", &[&is_pad], &[]);
                let is_token = self.graph.node("Cast", &[&is_token], &[to(DataType::Int64)]);
                let axis = self.graph.integer(1);
                let count = self.graph.node("CumSum", &[&is_token, &axis], &[]);
                let count = self.graph.node("Mul", &[&count, &is_token], &[]);
                let position = self.graph.node("Add", &[&count, &pad], &[]);
                self.graph.node("Gather", &[table, &position], &[])
            }
        }
    }

    /// Post-norm: `x = LN(x + attention(x))`, then `x = LN(x + W₂ act(W₁ x))`.
    fn layer(&mut self, name: &str, hidden: &Value, bias: &Value) -> Result<Value, ModelError> {
        let context = self.attention(&format!("{name}.attention.self"), hidden, bias)?;
        let output = self.linear(&format!("{name}.attention.output.dense"), &context)?;
        let sum = self.graph.node("Add", &[&output, hidden], &[]);
        let hidden = self.layer_norm(&format!("{name}.attention.output.LayerNorm"), &sum)?;
        let inner = self.linear(&format!("{name}.intermediate.dense"), &hidden)?;
        let inner = self.activation(&inner);
        let output = self.linear(&format!("{name}.output.dense"), &inner)?;
        let sum = self.graph.node("Add", &[&output, &hidden], &[]);
        self.layer_norm(&format!("{name}.output.LayerNorm"), &sum)
    }

    /// `softmax(Q Kᵀ / √d + bias) V`, heads side by side again, `[batch, sequence, hidden]`.
    fn attention(&mut self, name: &str, hidden: &Value, bias: &Value) -> Result<Value, ModelError> {
        let query = self.linear(&format!("{name}.query"), hidden)?;
        // Scaling the queries is cheaper than scaling the scores, which are sequence × sequence.
        let scale = self.graph.float(1.0 / (self.config.head_size() as f32).sqrt());
        let query = self.graph.node("Mul", &[&query, &scale], &[]);
        let query = self.heads(&query, &[0, 2, 1, 3]);
        let key = self.linear(&format!("{name}.key"), hidden)?;
        let key = self.heads(&key, &[0, 2, 3, 1]);
        let value = self.linear(&format!("{name}.value"), hidden)?;
        let value = self.heads(&value, &[0, 2, 1, 3]);
        let scores = self.graph.node("MatMul", &[&query, &key], &[]);
        let scores = self.graph.node("Add", &[&scores, bias], &[]);
        let probabilities = self.graph.node("Softmax", &[&scores], &[int("axis", -1)]);
        let context = self.graph.node("MatMul", &[&probabilities, &value], &[]);
        let context = self.graph.node("Transpose", &[&context], &[ints("perm", &[0, 2, 1, 3])]);
        let shape = self.graph.integers(&[0, 0, self.config.hidden_size as i64]);
        Ok(self.graph.node("Reshape", &[&context, &shape], &[]))
    }

    /// `[batch, sequence, hidden]` to heads, with the axes in the order that the next product wants.
    fn heads(&mut self, value: &Value, order: &[i64]) -> Value {
        let (heads, size) = (self.config.num_attention_heads as i64, self.config.head_size() as i64);
        let shape = self.graph.integers(&[0, 0, heads, size]);
        let split = self.graph.node("Reshape", &[value, &shape], &[]);
        self.graph.node("Transpose", &[&split], &[ints("perm", order)])
    }

    /// `x Wᵀ + b`; the transposition is folded when the graph is loaded.
    fn linear(&mut self, name: &str, value: &Value) -> Result<Value, ModelError> {
        let weight = self.weights.tensor(self.graph, &format!("{name}.weight"))?;
        let weight = self.graph.node("Transpose", &[&weight], &[ints("perm", &[1, 0])]);
        let product = self.graph.node("MatMul", &[value, &weight], &[]);
        let bias = self.weights.tensor(self.graph, &format!("{name}.bias"))?;
        Ok(self.graph.node("Add", &[&bias, &product], &[]))
    }

    fn layer_norm(&mut self, name: &str, value: &Value) -> Result<Value, ModelError> {
        let weight = self.weights.tensor(self.graph, &format!("{name}.weight"))?;
        let bias = self.weights.tensor(self.graph, &format!("{name}.bias"))?;
        let epsilon = float("epsilon", self.config.layer_norm_eps as f32);
        Ok(self.graph.node("LayerNormalization", &[value, &weight, &bias], &[int("axis", -1), epsilon]))
    }

    fn activation(&mut self, x: &Value) -> Value {
        match self.config.hidden_act {
            Activation::Relu => self.graph.node("Relu", &[x], &[]),
            // x · ½ · (1 + erf(x / √2)); ONNX Runtime makes one kernel of it.
            Activation::Gelu => {
                let root = self.graph.float(std::f32::consts::SQRT_2);
                let scaled = self.graph.node("Div", &[x, &root], &[]);
                let erf = self.graph.node("Erf", &[&scaled], &[]);
                self.half_of_one_plus(x, &erf)
            }
            // x · ½ · (1 + tanh(√(2/π) · (x + 0.044715 x³)))
            Activation::GeluTanh => {
                let three = self.graph.float(3.0);
                let cube = self.graph.node("Pow", &[x, &three], &[]);
                let factor = self.graph.float(0.044_715);
                let cube = self.graph.node("Mul", &[&cube, &factor], &[]);
                let sum = self.graph.node("Add", &[x, &cube], &[]);
                let factor = self.graph.float((2.0 / std::f32::consts::PI).sqrt());
                let scaled = self.graph.node("Mul", &[&sum, &factor], &[]);
                let tanh = self.graph.node("Tanh", &[&scaled], &[]);
                self.half_of_one_plus(x, &tanh)
            }
        }
    }

    fn half_of_one_plus(&mut self, x: &Value, y: &Value) -> Value {
        let (one, half) = (self.graph.float(1.0), self.graph.float(0.5));
        let sum = self.graph.node("Add", &[y, &one], &[]);
        let product = self.graph.node("Mul", &[x, &sum], &[]);
        self.graph.node("Mul", &[&product, &half], &[])
    }
}
