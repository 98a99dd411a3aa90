//! The types of stored vectors.

use std::borrow::Cow;

use half::{bf16, f16};
use safetensors::Dtype;

use crate::numbers::{f32_at, to_f32};

/// How a vector is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VectorType {
    /// 32-bit floats.
    F32,
    /// 16-bit floats (IEEE).
    F16,
    /// The upper half of a 32-bit float.
    Bf16,
    /// Signed bytes and a scale per vector: `x = q s`, `s = max |x| / 127`.
    Int8,
    /// Bits, packed into bytes with the first one highest: whether an element is above 0. They are read as 1 and -1.
    Ubinary,
}

/// Largest value of an element of [`VectorType::Int8`].
const LARGEST_INT8: f32 = 127.0;

impl VectorType {
    /// All types.
    pub const ALL: [Self; 5] = [Self::F32, Self::F16, Self::Bf16, Self::Int8, Self::Ubinary];

    /// The name in flags and in metadata, and the type of a tensor's elements.
    const fn names(self) -> (&'static str, Dtype) {
        match self {
            Self::F32 => ("f32", Dtype::F32),
            Self::F16 => ("f16", Dtype::F16),
            Self::Bf16 => ("bf16", Dtype::BF16),
            Self::Int8 => ("int8", Dtype::I8),
            Self::Ubinary => ("ubinary", Dtype::U8),
        }
    }

    /// The name in flags and in metadata.
    pub fn name(self) -> &'static str {
        self.names().0
    }

    /// The type of a tensor's elements.
    pub fn dtype(self) -> Dtype {
        self.names().1
    }

    /// The type of vectors that are stored in a tensor of this type, if there is one.
    pub(crate) fn of(dtype: Dtype) -> Option<Self> {
        Self::ALL.into_iter().find(|stored| stored.dtype() == dtype)
    }

    /// Number of stored values of a vector with `dim` dimensions.
    ///
    /// # Errors
    /// Bits that do not fill their bytes.
    pub fn columns(self, dim: usize) -> Result<usize, String> {
        match self {
            Self::Ubinary if !dim.is_multiple_of(8) => {
                Err(format!("ubinary packs 8 dimensions into a byte, and {dim} is not a multiple of 8"))
            }
            Self::Ubinary => Ok(dim / 8),
            _ => Ok(dim),
        }
    }

    /// Dimensions of a vector with this number of stored values.
    pub(crate) fn dim(self, columns: usize) -> usize {
        if self == Self::Ubinary { columns.saturating_mul(8) } else { columns }
    }

    /// Whether all elements stay finite.
    pub fn holds(self, vector: &[f32]) -> bool {
        match self {
            Self::F16 => vector.iter().all(|x| f16::from_f32(*x).is_finite()),
            Self::Bf16 => vector.iter().all(|x| bf16::from_f32(*x).is_finite()),
            Self::Int8 => vector.iter().all(|x| (x / LARGEST_INT8 * LARGEST_INT8).is_finite()),
            Self::F32 | Self::Ubinary => true,
        }
    }

    /// Appends a vector's bytes, and returns its scale, which is 1 for types without one.
    ///
    /// A zero vector in [`VectorType::Int8`] has the scale 0.
    pub fn store(self, vector: &[f32], bytes: &mut Vec<u8>) -> f32 {
        match self {
            Self::F32 => bytes.extend(vector.iter().flat_map(|x| x.to_le_bytes())),
            Self::F16 => bytes.extend(vector.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes())),
            Self::Bf16 => bytes.extend(vector.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes())),
            Self::Int8 => {
                let scale = vector.iter().fold(0.0_f32, |most, x| most.max(x.abs())) / LARGEST_INT8;
                // Elements so small that the scale is 0 become 0.
                let divisor = if scale > 0.0 { scale } else { f32::INFINITY };
                let byte = |x: &f32| (x / divisor).round_ties_even().clamp(-LARGEST_INT8, LARGEST_INT8) as i8 as u8;
                bytes.extend(vector.iter().map(byte));
                return scale;
            }
            Self::Ubinary => bytes.extend(
                vector
                    .chunks(8)
                    .map(|bits| bits.iter().zip(0..).fold(0, |byte, (x, n)| byte | u8::from(*x > 0.0) << (7 - n))),
            ),
        }
        1.0
    }

    /// A vector after storing and loading.
    pub fn rounded(self, vector: &[f32]) -> Vec<f32> {
        let mut bytes = Vec::new();
        let scale = self.store(vector, &mut bytes);
        self.load(&bytes, &scale.to_le_bytes(), vector.len()).into_owned()
    }

    /// The elements of consecutive vectors; `scales` are those of [`VectorType::Int8`], as f32.
    pub(crate) fn load<'a>(self, bytes: &'a [u8], scales: &[u8], dim: usize) -> Cow<'a, [f32]> {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => to_f32(self.dtype(), bytes).unwrap_or_default(),
            Self::Int8 => {
                let mut vectors = Vec::with_capacity(bytes.len());
                for (row, bytes) in bytes.chunks_exact(dim.max(1)).enumerate() {
                    let scale = f32_at(scales, row);
                    vectors.extend(bytes.iter().map(|byte| f32::from(*byte as i8) * scale));
                }
                vectors.into()
            }
            Self::Ubinary => {
                let mut vectors = Vec::with_capacity(8 * bytes.len());
                for byte in bytes {
                    vectors.extend([7, 6, 5, 4, 3, 2, 1, 0].map(|n| if byte >> n & 1 == 1 { 1.0 } else { -1.0 }));
                }
                vectors.into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn through(stored: VectorType, vector: &[f32]) -> (Vec<u8>, f32, Vec<f32>) {
        let mut bytes = Vec::new();
        let scale = stored.store(vector, &mut bytes);
        let read = stored.load(&bytes, &scale.to_le_bytes(), vector.len()).into_owned();
        (bytes, scale, read)
    }

    proptest! {
        /// Rounding changes an element by at most half a step, and the largest element not at all.
        #[test]
        fn int8_is_close(vector in prop::collection::vec(-1e3_f32..1e3, 1..40)) {
            let (bytes, scale, read) = through(VectorType::Int8, &vector);
            let largest = vector.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            prop_assert!(largest == 0.0 || bytes.iter().any(|byte| (*byte as i8).unsigned_abs() == 127));
            for (x, y) in vector.iter().zip(&read) {
                prop_assert!((x - y).abs() <= scale * 0.5001, "{x} {y}");
            }
        }

        #[test]
        fn bits_are_signs(vector in prop::collection::vec(-1.0_f32..1.0, 16)) {
            let (bytes, _, read) = through(VectorType::Ubinary, &vector);
            prop_assert_eq!(bytes.len(), 2);
            prop_assert_eq!(bytes[0] >> 7 == 1, vector[0] > 0.0);
            for (x, y) in vector.iter().zip(&read) {
                prop_assert_eq!(*y, if *x > 0.0 { 1.0 } else { -1.0 });
            }
        }
    }

    #[test]
    fn limits_of_int8() {
        assert_eq!(through(VectorType::Int8, &[0.0, -0.0]), (vec![0, 0], 0.0, vec![0.0, 0.0]));
        // The smallest float above 0, whose scale is 0, and a scale that is not exact.
        assert_eq!(through(VectorType::Int8, &[f32::from_bits(1)]).0, [0]);
        assert_eq!(through(VectorType::Int8, &[f32::from_bits(180), f32::from_bits(1)]).0[0], 127);
        // Halves are rounded to even, as in NumPy.
        assert_eq!(through(VectorType::Int8, &[127.0, 0.5, 1.5, -2.5]).0, [127, 0, 2, (-2_i8) as u8]);
    }

    #[test]
    fn floats_have_limits() {
        assert!(VectorType::F16.holds(&[65_504.0]) && !VectorType::F16.holds(&[0.0, -65_520.0]));
        assert!(VectorType::Bf16.holds(&[65_520.0]) && !VectorType::Bf16.holds(&[f32::MAX]));
        assert!(VectorType::Int8.holds(&[3.4e38]) && through(VectorType::Int8, &[3.4e38]).2[0].is_finite());
        assert!(!VectorType::Int8.holds(&[f32::MAX]), "the scale is rounded up");
    }

    #[test]
    fn bits_fill_bytes() {
        assert_eq!(VectorType::Ubinary.columns(24), Ok(3));
        assert!(VectorType::Ubinary.columns(20).unwrap_err().ends_with("20 is not a multiple of 8"));
        assert_eq!(VectorType::Int8.columns(20), Ok(20));
        assert_eq!(through(VectorType::Ubinary, &[0.0, -0.0, 1e-45, -1.0, 1.0, 1.0, 1.0, 1.0]).0, [0b0010_1111]);
    }

    /// The reference is sentence-transformers for bits, and NumPy for bytes.
    #[test]
    fn int8_and_bits_equal_the_reference() {
        let expected = include_str!("../tests/quantize/expected.tsv");
        for (number, line) in expected.lines().enumerate() {
            let [vector, bits, bytes, scale] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let vector: Vec<f32> = vector.split(' ').map(|x| x.parse().unwrap()).collect();
            let bits: Vec<u8> = bits.split(' ').map(|x| x.parse().unwrap()).collect();
            let bytes: Vec<u8> = bytes.split(' ').map(|x| x.parse::<i8>().unwrap() as u8).collect();
            let mut ours = Vec::new();
            VectorType::Ubinary.store(&vector, &mut ours);
            assert_eq!(ours, bits, "vector {number}");
            ours.clear();
            assert_eq!(VectorType::Int8.store(&vector, &mut ours), scale.parse::<f32>().unwrap(), "vector {number}");
            assert_eq!(ours, bytes, "vector {number}");
        }
        assert_eq!(expected.lines().count(), 12);
    }
}
