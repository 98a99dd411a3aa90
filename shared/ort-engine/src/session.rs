//! A graph that runs.

use ort::session::SessionInputValue;
use ort::value::TensorRef;

use crate::EngineError;

/// An input: elements, row-major, with their shape.
#[derive(Debug, Clone, Copy)]
pub enum Tensor<'a> {
    /// 64-bit integers.
    I64(&'a [i64], &'a [usize]),
    /// 32-bit integers.
    I32(&'a [i32], &'a [usize]),
    /// 32-bit floats.
    F32(&'a [f32], &'a [usize]),
}

/// An output: elements, row-major, with their shape.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// 64-bit integers.
    I64(Vec<i64>, Vec<usize>),
    /// 32-bit floats.
    F32(Vec<f32>, Vec<usize>),
}

/// A graph, ready to run on its device. It is not shared between threads: a worker has its own.
pub struct Session {
    inner: ort::session::Session,
    outputs: Vec<String>,
}

impl Session {
    pub(crate) fn new(inner: ort::session::Session) -> Self {
        let outputs = inner.outputs().iter().map(|output| output.name().to_owned()).collect();
        Self { inner, outputs }
    }

    /// Runs the graph on named inputs; the outputs come in the graph's order.
    ///
    /// # Errors
    /// Inputs that the graph does not take, a device that fails.
    pub fn run(&mut self, inputs: &[(&str, Tensor<'_>)]) -> Result<Vec<Output>, EngineError> {
        let mut values: Vec<(String, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
        for (name, tensor) in inputs {
            let value = match *tensor {
                Tensor::I64(data, shape) => TensorRef::from_array_view((shape, data))?.into(),
                Tensor::I32(data, shape) => TensorRef::from_array_view((shape, data))?.into(),
                Tensor::F32(data, shape) => TensorRef::from_array_view((shape, data))?.into(),
            };
            values.push(((*name).to_owned(), value));
        }
        let results = self.inner.run(values)?;
        let read = |name: &String| -> Result<Output, EngineError> {
            let value = &results[name.as_str()];
            let shape = |dims: &ort::value::Shape| dims.iter().map(|size| *size as usize).collect();
            if let Ok((dims, data)) = value.try_extract_tensor::<f32>() {
                return Ok(Output::F32(data.to_vec(), shape(dims)));
            }
            let (dims, data) = value.try_extract_tensor::<i64>()?;
            Ok(Output::I64(data.to_vec(), shape(dims)))
        };
        self.outputs.iter().map(read).collect()
    }
}
