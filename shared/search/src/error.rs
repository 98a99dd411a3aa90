//! Errors.

use embtune_ort_engine::EngineError;
use embtune_tensors::TensorsError;

/// Why a search failed.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// ONNX Runtime failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A vector contains NaN or infinity.
    #[error(transparent)]
    Vectors(#[from] TensorsError),
    /// The squared length of a vector is too large for an f32.
    #[error("{0}: the sum of the squares of a vector's elements overflows")]
    TooLarge(String),
}
