//! The forward pass of the encoders.
//!
//! Source of the formulas: `transformers/models/{bert,xlm_roberta,mpnet,distilbert}/modeling_*.py`.

use embtune_model::{
    Activation, EncoderConfig, LayerNames, MAX_RELATIVE_DISTANCE, ModelError, relative_position_bucket,
};

use crate::activation::{gelu, gelu_tanh};
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
    let mut bias = builder.attention_bias(&inputs.attention_mask);
    if let Some(table) = config.architecture.embedding_names().relative_attention_bias {
        let relative = builder.relative_bias(table, &inputs.input_ids)?;
        bias = builder.graph.node("Add", &[&relative, &bias], &[]);
    }
    let mut hidden = builder.embeddings(inputs)?;
    for layer in 0..config.num_hidden_layers {
        hidden = builder.layer(&config.architecture.layer_names(layer), &hidden, &bias)?;
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

    /// A row of `table` for how far each key stands from each query, f32 `[heads, sequence, sequence]`.
    fn relative_bias(&mut self, table: &str, input_ids: &Value) -> Result<Value, ModelError> {
        let furthest = MAX_RELATIVE_DISTANCE as i64;
        let buckets: Vec<i64> = (-furthest..=furthest).map(|offset| relative_position_bucket(offset) as i64).collect();
        let table = self.table(table)?;
        let buckets = self.graph.integers(&buckets);
        let by_offset = self.graph.node("Gather", &[&table, &buckets], &[]);
        let by_offset = self.graph.node("Transpose", &[&by_offset], &[ints("perm", &[1, 0])]);

        let shape = self.graph.node("Shape", &[input_ids], &[]);
        let (zero, one) = (self.graph.integer(0), self.graph.integer(1));
        let length = self.graph.node("Gather", &[&shape, &one], &[int("axis", 0)]);
        let place = self.graph.node("Range", &[&zero, &length, &one], &[]);
        let (rows, columns) = (self.graph.integers(&[1]), self.graph.integers(&[0]));
        let query = self.graph.node("Unsqueeze", &[&place, &rows], &[]);
        let key = self.graph.node("Unsqueeze", &[&place, &columns], &[]);
        let offset = self.graph.node("Sub", &[&key, &query], &[]);
        let (least, most) = (self.graph.integer(-furthest), self.graph.integer(furthest));
        let offset = self.graph.node("Clip", &[&offset, &least, &most], &[]);
        let index = self.graph.node("Add", &[&offset, &most], &[]);
        Ok(self.graph.node("Gather", &[&by_offset, &index], &[int("axis", 1)]))
    }

    /// `LayerNorm(word + type + position)`.
    fn embeddings(&mut self, inputs: &Inputs) -> Result<Value, ModelError> {
        let names = self.config.architecture.embedding_names();
        let table = self.table(names.word)?;
        let mut sum = self.graph.node("Gather", &[&table, &inputs.input_ids], &[]);
        if let Some(name) = names.token_type {
            let table = self.table(name)?;
            let ids = inputs.token_type_ids.clone().unwrap_or_else(|| self.graph.integer(0));
            let token_type = self.graph.node("Gather", &[&table, &ids], &[]);
            sum = self.graph.node("Add", &[&sum, &token_type], &[]);
        }
        let table = self.table(names.position)?;
        let position = self.positions(inputs, &table);
        let sum = self.graph.node("Add", &[&sum, &position], &[]);
        self.layer_norm(names.norm, &sum)
    }

    fn table(&mut self, name: &str) -> Result<Value, ModelError> {
        self.weights.tensor(self.graph, &format!("{name}.weight"))
    }

    fn positions(&mut self, inputs: &Inputs, table: &Value) -> Value {
        match self.config.position_padding() {
            // Rows 0..sequence, the same for every text.
            None => {
                let shape = self.graph.node("Shape", &[&inputs.input_ids], &[]);
                let (zero, one) = (self.graph.integers(&[0]), self.graph.integers(&[1]));
                let length = self.graph.node("Gather", &[&shape, &one], &[int("axis", 0)]);
                self.graph.node("Slice", &[table, &zero, &length, &zero], &[])
            }
            // cumsum(ids ≠ pad) · (ids ≠ pad) + pad: padding takes pad's own row, wherever it stands.
            Some(pad) => {
                let pad = self.graph.integer(pad as i64);
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
    fn layer(&mut self, names: &LayerNames, hidden: &Value, bias: &Value) -> Result<Value, ModelError> {
        let context = self.attention(names, hidden, bias)?;
        let output = self.linear(&names.attention_output, &context)?;
        let sum = self.graph.node("Add", &[&output, hidden], &[]);
        let hidden = self.layer_norm(&names.attention_norm, &sum)?;
        let inner = self.linear(&names.intermediate, &hidden)?;
        let inner = self.activation(&inner);
        let output = self.linear(&names.output, &inner)?;
        let sum = self.graph.node("Add", &[&output, &hidden], &[]);
        self.layer_norm(&names.output_norm, &sum)
    }

    /// `softmax(Q Kᵀ / √d + bias) V`, heads side by side again, `[batch, sequence, hidden]`.
    fn attention(&mut self, names: &LayerNames, hidden: &Value, bias: &Value) -> Result<Value, ModelError> {
        let query = self.linear(&names.query, hidden)?;
        // Scaling the queries is cheaper than scaling the scores, which are sequence × sequence.
        let scale = self.graph.float(1.0 / (self.config.head_size() as f32).sqrt());
        let query = self.graph.node("Mul", &[&query, &scale], &[]);
        let query = self.heads(&query, &[0, 2, 1, 3]);
        let key = self.linear(&names.key, hidden)?;
        let key = self.heads(&key, &[0, 2, 3, 1]);
        let value = self.linear(&names.value, hidden)?;
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
            Activation::Gelu => gelu(self.graph, x),
            Activation::GeluTanh => gelu_tanh(self.graph, x),
        }
    }
}
