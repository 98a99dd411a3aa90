//! A graph that is ready to run.

use std::path::Path;

use ort::session::SessionInputValue;
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};
use tempfile::TempDir;

use crate::{EngineError, Kernels, kernels};

/// An input: elements (row-major) and shape.
#[derive(Debug, Clone, Copy)]
pub enum Tensor<'a> {
    /// 64-bit integers.
    I64(&'a [i64], &'a [usize]),
    /// 32-bit integers.
    I32(&'a [i32], &'a [usize]),
    /// 32-bit floats.
    F32(&'a [f32], &'a [usize]),
}

/// An output: elements (row-major) and shape.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// 64-bit integers.
    I64(Vec<i64>, Vec<usize>),
    /// 32-bit floats.
    F32(Vec<f32>, Vec<usize>),
}

/// A graph's declaration of an input or an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name in the graph.
    pub name: String,
    /// Type of the elements.
    pub element_type: ElementType,
    /// Sizes of the dimensions; `None` for one that varies.
    pub shape: Vec<Option<usize>>,
}

/// Type of a tensor's elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ElementType {
    /// 64-bit integers.
    I64,
    /// 32-bit integers.
    I32,
    /// 32-bit floats.
    F32,
    /// Any other type, by its name.
    Other(String),
}

impl TensorInfo {
    fn new(outlet: &Outlet) -> Self {
        let (element_type, shape) = match outlet.dtype() {
            ValueType::Tensor { ty: TensorElementType::Int64, shape, .. } => (ElementType::I64, &shape[..]),
            ValueType::Tensor { ty: TensorElementType::Int32, shape, .. } => (ElementType::I32, &shape[..]),
            ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => (ElementType::F32, &shape[..]),
            ValueType::Tensor { ty, shape, .. } => (ElementType::Other(ty.to_string()), &shape[..]),
            other => (ElementType::Other(other.to_string()), &[][..]),
        };
        let shape = shape.iter().map(|size| usize::try_from(*size).ok()).collect();
        Self { name: outlet.name().to_owned(), element_type, shape }
    }
}

/// A graph that is ready to run on its device. Threads do not share sessions; each worker has its own.
pub struct Session {
    inner: ort::session::Session,
    /// Names of the outputs that [`Session::run`] returns.
    outputs: Vec<String>,
    /// Folder of the profile, until it has been read.
    profile: Option<TempDir>,
}

impl Session {
    pub(crate) fn new(inner: ort::session::Session, profile: Option<TempDir>) -> Self {
        let outputs = inner.outputs().iter().map(|output| output.name().to_owned()).collect();
        Self { inner, outputs, profile }
    }

    /// The graph's inputs, in its order.
    pub fn inputs(&self) -> Vec<TensorInfo> {
        self.inner.inputs().iter().map(TensorInfo::new).collect()
    }

    /// The graph's outputs, in its order.
    pub fn outputs(&self) -> Vec<TensorInfo> {
        self.inner.outputs().iter().map(TensorInfo::new).collect()
    }

    /// Lets [`Session::run`] return only this output from now on.
    pub fn select_output(&mut self, output: &str) {
        self.outputs = vec![output.to_owned()];
    }

    /// The kernels that have run so far, if the engine profiles sessions. The first call ends the profile; later calls
    /// return `None`.
    ///
    /// # Errors
    /// The profile cannot be read.
    pub fn kernels(&mut self) -> Result<Option<Vec<Kernels>>, EngineError> {
        let Some(folder) = self.profile.take() else { return Ok(None) };
        let file = self.inner.end_profiling()?;
        let read = kernels::read(Path::new(&file));
        drop(folder);
        read.map(Some)
    }

    /// Runs the graph on named inputs and returns its outputs, in the graph's order.
    ///
    /// # Errors
    /// The graph does not accept the inputs, or the device fails.
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

    /// Runs the graph on named inputs and passes the elements of its first output, f32, to `visit`. Unlike
    /// [`Session::run`] it does not copy them.
    ///
    /// # Errors
    /// The graph does not accept the inputs, the output has another type, or the device fails.
    pub fn run_with<T>(
        &mut self,
        inputs: &[(&str, Tensor<'_>)],
        visit: impl FnOnce(&[f32]) -> T,
    ) -> Result<T, EngineError> {
        let results = self.inner.run(values(inputs)?)?;
        let (_, data) = results[self.outputs[0].as_str()].try_extract_tensor::<f32>()?;
        Ok(visit(data))
    }
}

/// The inputs as ONNX Runtime takes them.
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
