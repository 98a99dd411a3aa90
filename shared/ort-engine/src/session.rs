//! A graph that runs.

use std::path::Path;

use ort::session::SessionInputValue;
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};
use tempfile::TempDir;

use crate::{EngineError, Kernels, kernels};

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

/// What an input takes, or an output gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Type of its elements.
    pub number: Number,
    /// Its dimensions; nothing for one that varies.
    pub shape: Vec<Option<usize>>,
}

/// Type of a tensor's elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Number {
    /// 64-bit integers.
    I64,
    /// 32-bit integers.
    I32,
    /// 32-bit floats.
    F32,
    /// Another one, by its name.
    Other(String),
}

impl Port {
    fn new(outlet: &Outlet) -> Self {
        let (number, shape) = match outlet.dtype() {
            ValueType::Tensor { ty: TensorElementType::Int64, shape, .. } => (Number::I64, &shape[..]),
            ValueType::Tensor { ty: TensorElementType::Int32, shape, .. } => (Number::I32, &shape[..]),
            ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => (Number::F32, &shape[..]),
            ValueType::Tensor { ty, shape, .. } => (Number::Other(ty.to_string()), &shape[..]),
            other => (Number::Other(other.to_string()), &[][..]),
        };
        let shape = shape.iter().map(|size| usize::try_from(*size).ok()).collect();
        Self { name: outlet.name().to_owned(), number, shape }
    }
}

/// A graph, ready to run on its device. It is not shared between threads: a worker has its own.
pub struct Session {
    inner: ort::session::Session,
    /// Names of the outputs that are read.
    outputs: Vec<String>,
    /// Where ONNX Runtime writes down what runs, while it is watched.
    profile: Option<TempDir>,
}

impl Session {
    pub(crate) fn new(inner: ort::session::Session, profile: Option<TempDir>) -> Self {
        let outputs = inner.outputs().iter().map(|output| output.name().to_owned()).collect();
        Self { inner, outputs, profile }
    }

    /// What the graph takes, in its order.
    pub fn inputs(&self) -> Vec<Port> {
        self.inner.inputs().iter().map(Port::new).collect()
    }

    /// What the graph gives, in its order.
    pub fn outputs(&self) -> Vec<Port> {
        self.inner.outputs().iter().map(Port::new).collect()
    }

    /// Reads nothing but this output from now on.
    pub fn read_only(&mut self, output: &str) {
        self.outputs = vec![output.to_owned()];
    }

    /// The kernels that have run, when the engine was told to watch; it is told once and then watched no more.
    ///
    /// # Errors
    /// A profile that cannot be read.
    pub fn kernels(&mut self) -> Result<Option<Vec<Kernels>>, EngineError> {
        let Some(folder) = self.profile.take() else { return Ok(None) };
        let file = self.inner.end_profiling()?;
        let read = kernels::read(Path::new(&file));
        drop(folder);
        read.map(Some)
    }

    /// Runs the graph on named inputs; the outputs come in the graph's order.
    ///
    /// # Errors
    /// Inputs that the graph does not take, a device that fails.
    pub fn run(&mut self, inputs: &[(&str, Tensor<'_>)]) -> Result<Vec<Output>, EngineError> {
        let results = self.inner.run(values(inputs)?)?;
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

    /// Runs the graph on named inputs and shows the elements of its first output, f32, where they lie: large ones are
    /// better not copied.
    ///
    /// # Errors
    /// Inputs that the graph does not take, an output of another type, a device that fails.
    pub fn run_with<T>(
        &mut self,
        inputs: &[(&str, Tensor<'_>)],
        look: impl FnOnce(&[f32]) -> T,
    ) -> Result<T, EngineError> {
        let results = self.inner.run(values(inputs)?)?;
        let (_, data) = results[self.outputs[0].as_str()].try_extract_tensor::<f32>()?;
        Ok(look(data))
    }
}

/// Inputs as ONNX Runtime takes them.
fn values<'a>(inputs: &[(&str, Tensor<'a>)]) -> Result<Vec<(String, SessionInputValue<'a>)>, EngineError> {
    let value = |tensor| -> ort::Result<SessionInputValue<'a>> {
        Ok(match tensor {
            Tensor::I64(data, shape) => TensorRef::from_array_view((shape, data))?.into(),
            Tensor::I32(data, shape) => TensorRef::from_array_view((shape, data))?.into(),
            Tensor::F32(data, shape) => TensorRef::from_array_view((shape, data))?.into(),
        })
    };
    inputs.iter().map(|(name, tensor)| Ok(((*name).to_owned(), value(*tensor)?))).collect()
}
