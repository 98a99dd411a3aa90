//! A tensor of a file.

use std::borrow::Cow;
use std::ops::Range;

use safetensors::Dtype;

use crate::numbers;

/// A tensor inside a mapped file.
#[derive(Debug, Clone, Copy)]
pub struct Tensor<'a> {
    /// Type of an element.
    pub dtype: Dtype,
    /// Sizes, outermost first.
    pub shape: &'a [usize],
    /// Elements, little-endian, row-major.
    pub bytes: &'a [u8],
}

impl<'a> Tensor<'a> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements as f32, borrowed where they are stored so.
    ///
    /// # Errors
    /// The type's name, when it is not F32, F16, BF16 or F64.
    pub fn to_f32(&self) -> Result<Cow<'a, [f32]>, String> {
        numbers::to_f32(self.dtype, self.bytes)
    }
}

/// A tensor's entry in a file's header.
pub(crate) struct TensorInfo {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    /// The position of its bytes in the file.
    pub(crate) range: Range<usize>,
}
