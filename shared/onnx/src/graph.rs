//! A graph under construction.

use half::f16;
use prost::Message as _;

use crate::proto::{
    AttributeProto, AttributeType, DataLocation, DataType, Dimension, DimensionProto, GraphProto, ModelProto,
    NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};

/// The oldest operator set with LayerNormalization: what every reader of a portable file has.
const OPSET: i64 = 17;
/// The format version that came with it.
const IR_VERSION: i64 = 8;

/// The domain of operators that only ONNX Runtime has; for graphs that embtune runs itself.
pub(crate) const MICROSOFT: &str = "com.microsoft";

/// Name of a value in the graph. An empty name means that an optional input is absent.
pub(crate) type Value = String;

/// Where a tensor's data is stored outside the graph.
pub(crate) struct External<'a> {
    /// File name, relative to the graph's folder.
    pub(crate) location: &'a str,
    pub(crate) offset: usize,
    pub(crate) length: usize,
}

/// A graph under construction. Nodes are named after their first output.
pub(crate) struct Graph {
    proto: GraphProto,
    hidden_type: DataType,
    counter: usize,
}

impl Graph {
    /// A graph whose weights and hidden states have this type.
    pub(crate) fn new(name: &str, hidden_type: DataType) -> Self {
        Self { proto: GraphProto { name: name.into(), ..GraphProto::default() }, hidden_type, counter: 0 }
    }

    /// The type of weights and hidden states.
    pub(crate) fn hidden_type(&self) -> DataType {
        self.hidden_type
    }

    /// Declares an input. A dimension of fixed size is a number, one that varies has a name.
    pub(crate) fn input(&mut self, name: &str, data_type: DataType, dimensions: &[&str]) -> Value {
        self.proto.input.push(value_info(name, data_type, dimensions));
        name.into()
    }

    /// Declares `value` as an output.
    pub(crate) fn output(&mut self, name: &str, value: Value, data_type: DataType, dimensions: &[&str]) {
        self.proto.node.push(NodeProto {
            input: vec![value],
            output: vec![name.into()],
            name: name.into(),
            op_type: "Identity".into(),
            ..NodeProto::default()
        });
        self.proto.output.push(value_info(name, data_type, dimensions));
    }

    /// A tensor whose data is in another file.
    pub(crate) fn external(&mut self, name: &str, data_type: DataType, shape: &[usize], data: &External<'_>) -> Value {
        let entry = |key: &str, value: String| StringStringEntryProto { key: key.into(), value };
        self.proto.initializer.push(TensorProto {
            dims: shape.iter().map(|size| *size as i64).collect(),
            data_type: data_type.into(),
            name: name.into(),
            raw_data: None,
            external_data: vec![
                entry("location", data.location.into()),
                entry("offset", data.offset.to_string()),
                entry("length", data.length.to_string()),
            ],
            data_location: Some(DataLocation::External.into()),
        });
        name.into()
    }

    /// A constant i64 tensor `[n]`.
    pub(crate) fn integers(&mut self, values: &[i64]) -> Value {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(DataType::Int64, vec![values.len() as i64], bytes)
    }

    /// A scalar integer.
    pub(crate) fn integer(&mut self, value: i64) -> Value {
        self.constant(DataType::Int64, vec![], value.to_le_bytes().to_vec())
    }

    /// A scalar of the type of hidden states.
    pub(crate) fn scalar(&mut self, value: f32) -> Value {
        match self.hidden_type {
            DataType::Float16 => self.constant(DataType::Float16, vec![], f16::from_f32(value).to_le_bytes().to_vec()),
            _ => self.float(value),
        }
    }

    /// A scalar f32.
    pub(crate) fn float(&mut self, value: f32) -> Value {
        self.constant(DataType::Float, vec![], value.to_le_bytes().to_vec())
    }

    /// A constant f32 tensor.
    pub(crate) fn floats(&mut self, values: &[f32], shape: &[usize]) -> Value {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(DataType::Float, shape.iter().map(|size| *size as i64).collect(), bytes)
    }

    /// A constant tensor of bytes, signed or unsigned.
    pub(crate) fn bytes(&mut self, data_type: DataType, shape: &[usize], bytes: Vec<u8>) -> Value {
        self.constant(data_type, shape.iter().map(|size| *size as i64).collect(), bytes)
    }

    fn constant(&mut self, data_type: DataType, dims: Vec<i64>, bytes: Vec<u8>) -> Value {
        let name = self.new_name("constant");
        self.proto.initializer.push(TensorProto {
            dims,
            data_type: data_type.into(),
            name: name.clone(),
            raw_data: Some(bytes),
            external_data: Vec::new(),
            data_location: None,
        });
        name
    }

    /// Appends a node with one output.
    pub(crate) fn node(&mut self, op_type: &str, inputs: &[&Value], attributes: &[AttributeProto]) -> Value {
        self.node_in("", op_type, inputs, attributes)
    }

    /// Appends a node of another domain than ONNX's own, with one output.
    pub(crate) fn node_in(
        &mut self,
        domain: &str,
        op_type: &str,
        inputs: &[&Value],
        attributes: &[AttributeProto],
    ) -> Value {
        let output = self.new_name(op_type);
        self.append(domain, op_type, inputs, vec![output.clone()], attributes);
        output
    }

    /// Appends a node with several outputs.
    pub(crate) fn node_with_outputs(
        &mut self,
        op_type: &str,
        inputs: &[&Value],
        attributes: &[AttributeProto],
        count: usize,
    ) -> Vec<Value> {
        let outputs: Vec<Value> = (0..count).map(|_| self.new_name(op_type)).collect();
        self.append("", op_type, inputs, outputs.clone(), attributes);
        outputs
    }

    /// 0, 1, 2… below `end`, which is i64 `[1]`.
    pub(crate) fn range(&mut self, end: &Value) -> Value {
        let (zero, one) = (self.integer(0), self.integer(1));
        let end = self.node("Squeeze", &[end], &[]);
        self.node("Range", &[&zero, &end, &one], &[])
    }

    fn append(
        &mut self,
        domain: &str,
        op_type: &str,
        inputs: &[&Value],
        outputs: Vec<Value>,
        attributes: &[AttributeProto],
    ) {
        self.proto.node.push(NodeProto {
            input: inputs.iter().map(|value| (*value).clone()).collect(),
            name: outputs.first().cloned().unwrap_or_default(),
            output: outputs,
            op_type: op_type.into(),
            attribute: attributes.to_vec(),
            domain: domain.into(),
        });
    }

    fn new_name(&mut self, stem: &str) -> Value {
        self.counter += 1;
        format!("{stem}_{}", self.counter)
    }

    /// The model as protobuf.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let uses_microsoft = self.proto.node.iter().any(|node| node.domain == MICROSOFT);
        let opset = |domain: &str, version| OperatorSetIdProto { domain: domain.into(), version };
        let extra = uses_microsoft.then(|| opset(MICROSOFT, 1));
        let model = ModelProto {
            ir_version: IR_VERSION,
            producer_name: "embtune".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(self.proto),
            opset_import: [opset("", OPSET)].into_iter().chain(extra).collect(),
        };
        model.encode_to_vec()
    }
}

fn value_info(name: &str, data_type: DataType, dimensions: &[&str]) -> ValueInfoProto {
    let dim = dimensions
        .iter()
        .map(|size| DimensionProto {
            value: Some(size.parse().map_or_else(|_| Dimension::Param((*size).into()), Dimension::Value)),
        })
        .collect();
    let tensor = TensorTypeProto { elem_type: data_type.into(), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}

/// An integer attribute.
pub(crate) fn int(name: &str, value: i64) -> AttributeProto {
    attribute(name, AttributeType::Int, AttributeProto { i: value, ..AttributeProto::default() })
}

/// An attribute of integers.
pub(crate) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    attribute(name, AttributeType::Ints, AttributeProto { ints: values.to_vec(), ..AttributeProto::default() })
}

/// A float attribute.
pub(crate) fn float(name: &str, value: f32) -> AttributeProto {
    attribute(name, AttributeType::Float, AttributeProto { f: value, ..AttributeProto::default() })
}

/// A text attribute.
pub(crate) fn text(name: &str, value: &str) -> AttributeProto {
    attribute(name, AttributeType::String, AttributeProto { s: value.into(), ..AttributeProto::default() })
}

/// The target type of a Cast.
pub(crate) fn to(data_type: DataType) -> AttributeProto {
    int("to", i32::from(data_type).into())
}

fn attribute(name: &str, kind: AttributeType, value: AttributeProto) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: kind.into(), ..value }
}
