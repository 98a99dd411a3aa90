//! BERT and its kin: learned positions, layers with the norm behind.
//!
//! Source of the formulas: `transformers/models/{bert,xlm_roberta,mpnet,distilbert}/modeling_*.py`.

use embtune_model::{
    Activation, EncoderConfig, LayerNames, MAX_RELATIVE_DISTANCE, ModelError, relative_position_bucket,
};

use crate::activation::{gelu, gelu_tanh};
use crate::encoder::attention::Attention;
use crate::encoder::int8::Input;
use crate::encoder::linear::Linear;
use crate::graph::{Graph, Value, float, int, ints, to};
use crate::layout::Tokens;
use crate::precision::Precision;
use crate::proto::DataType;
use crate::weights::WeightSource;

/// Added to the attention scores of padding: large enough that the softmax gives 0, finite in every precision.
const MASKED: f32 = -10_000.0;
/// GELU is nowhere below this.
const GELU_LEAST: f32 = -0.17;
/// SmoothQuant's α for query, key and value, and for the first feed-forward matrix (see [`crate::encoder::int8`]).
const ATTENTION_SHARE: f32 = 0.3;
const FEED_FORWARD_SHARE: f32 = 0.7;

struct Builder<'a> {
    graph: &'a mut Graph,
    weights: &'a WeightSource,
    config: &'a EncoderConfig,
    precision: Precision,
    tokens: &'a Tokens,
}

/// Appends the encoder; the result is `[tokens, hidden]`, where padding counts among the tokens.
pub(crate) fn append(
    graph: &mut Graph,
    weights: &WeightSource,
    config: &EncoderConfig,
    precision: Precision,
    tokens: &Tokens,
) -> Result<Value, ModelError> {
    let names = config.architecture.embedding_names();
    let mut builder = Builder { graph, weights, config, precision, tokens };
    let padding = match tokens {
        Tokens::Rectangle { mask: Some(mask), .. } => Some(builder.padding_bias(mask)),
        // Without padding there is none to hide, and the packed kernels know where rows end.
        Tokens::Rectangle { mask: None, .. } | Tokens::Packed { .. } => None,
    };
    let relative = names.relative_attention_bias.map(|table| builder.relative_bias(table)).transpose()?;
    let bias = match (relative, padding) {
        (Some(relative), Some(padding)) => Some(builder.graph.node("Add", &[&relative, &padding], &[])),
        (relative, padding) => relative.or(padding),
    };
    let mut hidden = builder.embeddings()?;
    let mut norm = names.norm.to_owned();
    for layer in 0..config.num_hidden_layers {
        let names = config.architecture.layer_names(layer);
        hidden = builder.layer(&names, &norm, &hidden, bias.as_ref())?;
        norm = names.output_norm;
    }
    Ok(hidden)
}

impl Builder<'_> {
    /// `(1 − mask) · MASKED`, `[batch, 1, 1, sequence]`.
    fn padding_bias(&mut self, mask: &Value) -> Value {
        let number = self.graph.number_type();
        let mask = self.graph.node("Cast", &[mask], &[to(number)]);
        let one = self.graph.number(1.0);
        let padding = self.graph.node("Sub", &[&one, &mask], &[]);
        let masked = self.graph.number(MASKED);
        let bias = self.graph.node("Mul", &[&padding, &masked], &[]);
        let axes = self.graph.integers(&[1, 2]);
        self.graph.node("Unsqueeze", &[&bias, &axes], &[])
    }

    /// A row of `table` for how far each key stands from each query, `[1, heads, sequence, sequence]`.
    fn relative_bias(&mut self, table: &str) -> Result<Value, ModelError> {
        let furthest = MAX_RELATIVE_DISTANCE as i64;
        let buckets: Vec<i64> = (-furthest..=furthest).map(|offset| relative_position_bucket(offset) as i64).collect();
        let table = self.table(table)?;
        let buckets = self.graph.integers(&buckets);
        let by_offset = self.graph.node("Gather", &[&table, &buckets], &[]);
        let by_offset = self.graph.node("Transpose", &[&by_offset], &[ints("perm", &[1, 0])]);

        let length = self.tokens.longest(self.graph);
        let length = self.graph.node("Squeeze", &[&length], &[]);
        let (zero, one) = (self.graph.integer(0), self.graph.integer(1));
        let place = self.graph.node("Range", &[&zero, &length, &one], &[]);
        let (rows, columns) = (self.graph.integers(&[1]), self.graph.integers(&[0]));
        let query = self.graph.node("Unsqueeze", &[&place, &rows], &[]);
        let key = self.graph.node("Unsqueeze", &[&place, &columns], &[]);
        let offset = self.graph.node("Sub", &[&key, &query], &[]);
        let (least, most) = (self.graph.integer(-furthest), self.graph.integer(furthest));
        let offset = self.graph.node("Clip", &[&offset, &least, &most], &[]);
        let index = self.graph.node("Add", &[&offset, &most], &[]);
        let bias = self.graph.node("Gather", &[&by_offset, &index], &[int("axis", 1)]);
        Ok(self.graph.node("Unsqueeze", &[&bias, &columns], &[]))
    }

    /// `LayerNorm(word + type + position)`, `[tokens, hidden]`.
    fn embeddings(&mut self) -> Result<Value, ModelError> {
        let names = self.config.architecture.embedding_names();
        let table = self.table(names.word)?;
        let mut sum = self.graph.node("Gather", &[&table, self.tokens.input_ids()], &[]);
        if let Some(name) = names.token_type {
            let table = self.table(name)?;
            let ids = match self.tokens {
                Tokens::Rectangle { token_type_ids: Some(ids), .. } => ids.clone(),
                _ => self.graph.integer(0),
            };
            let token_type = self.graph.node("Gather", &[&table, &ids], &[]);
            sum = self.graph.node("Add", &[&sum, &token_type], &[]);
        }
        let table = self.table(names.position)?;
        let position = self.positions(&table);
        let sum = self.graph.node("Add", &[&sum, &position], &[]);
        let shape = self.graph.integers(&[-1, self.config.hidden_size as i64]);
        let flat = self.graph.node("Reshape", &[&sum, &shape], &[]);
        self.layer_norm(names.norm, &flat)
    }

    fn table(&mut self, name: &str) -> Result<Value, ModelError> {
        self.weights.tensor(self.graph, &format!("{name}.weight"))
    }

    /// The positions' embeddings, in a shape that the words' can be added to.
    fn positions(&mut self, table: &Value) -> Value {
        match self.tokens {
            Tokens::Packed { position_ids, .. } => self.graph.node("Gather", &[table, position_ids], &[]),
            Tokens::Rectangle { input_ids, .. } => match self.config.position_padding() {
                // Rows 0..sequence, the same for every text.
                None => {
                    let zero = self.graph.integers(&[0]);
                    let length = self.tokens.longest(self.graph);
                    self.graph.node("Slice", &[table, &zero, &length, &zero], &[])
                }
                // cumsum(ids ≠ pad) · (ids ≠ pad) + pad: padding takes pad's own row, wherever it stands.
                Some(pad) => {
                    let pad = self.graph.integer(pad as i64);
                    let is_pad = self.graph.node("Equal", &[input_ids, &pad], &[]);
                    let is_token = self.graph.node("Not", &[&is_pad], &[]);
                    let is_token = self.graph.node("Cast", &[&is_token], &[to(DataType::Int64)]);
                    let axis = self.graph.integer(1);
                    let count = self.graph.node("CumSum", &[&is_token, &axis], &[]);
                    let count = self.graph.node("Mul", &[&count, &is_token], &[]);
                    let position = self.graph.node("Add", &[&count, &pad], &[]);
                    self.graph.node("Gather", &[table, &position], &[])
                }
            },
        }
    }

    /// `x = LN(x + attention(x))`, then `x = LN(x + W₂ act(W₁ x))`. `norm` is what `hidden` came from.
    fn layer(
        &mut self,
        names: &LayerNames,
        norm: &str,
        hidden: &Value,
        bias: Option<&Value>,
    ) -> Result<Value, ModelError> {
        let read = Input::Norm { name: norm, share: ATTENTION_SHARE, from: 2 };
        let [query, key, value] = self.linear(&[&names.query, &names.key, &names.value], read, hidden)?;
        let (heads, size) = (self.config.num_attention_heads, self.config.head_size());
        let attention = Attention { query: &query, key: &key, value: &value, heads, size, bias };
        let context = attention.append(self.graph, self.tokens);
        let [output] = self.linear(&[&names.attention_output], Input::Plain, &context)?;
        let sum = self.graph.node("Add", &[&output, hidden], &[]);
        let hidden = self.layer_norm(&names.attention_norm, &sum)?;

        let read = Input::Norm { name: &names.attention_norm, share: FEED_FORWARD_SHARE, from: 0 };
        let [inner] = self.linear(&[&names.intermediate], read, &hidden)?;
        let (inner, least) = match self.config.hidden_act {
            Activation::Relu => (self.graph.node("Relu", &[&inner], &[]), 0.0),
            Activation::Gelu => (gelu(self.graph, &inner), GELU_LEAST),
            Activation::GeluTanh => (gelu_tanh(self.graph, &inner), GELU_LEAST),
        };
        let [output] = self.linear(&[&names.output], Input::Above(least), &inner)?;
        let sum = self.graph.node("Add", &[&output, &hidden], &[]);
        self.layer_norm(&names.output_norm, &sum)
    }

    fn linear<const N: usize>(
        &mut self,
        names: &[&str; N],
        input: Input<'_>,
        x: &Value,
    ) -> Result<[Value; N], ModelError> {
        Linear { names, input, biased: true }.append(self.graph, self.weights, self.precision, x)
    }

    fn layer_norm(&mut self, name: &str, value: &Value) -> Result<Value, ModelError> {
        let weight = self.weights.tensor(self.graph, &format!("{name}.weight"))?;
        let bias = self.weights.tensor(self.graph, &format!("{name}.bias"))?;
        let epsilon = float("epsilon", self.config.layer_norm_eps as f32);
        Ok(self.graph.node("LayerNormalization", &[value, &weight, &bias], &[int("axis", -1), epsilon]))
    }
}
