//! Little-endian numbers in byte slices, aligned or not.

use std::borrow::Cow;

use half::{bf16, f16};
use safetensors::Dtype;
use zerocopy::{FromBytes as _, IntoBytes as _};

/// The smallest norm that a vector is divided by, so that a zero vector stays a zero vector: the default `eps` of
/// [`torch.nn.functional.normalize`](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.normalize.html).
pub const SMALLEST_NORM: f64 = 1e-12;

/// Reads floats as f32; borrows when they are f32 and aligned already.
pub(crate) fn to_f32(dtype: Dtype, bytes: &[u8]) -> Result<Cow<'_, [f32]>, String> {
    Ok(match dtype {
        Dtype::F32 => cast_f32(bytes).map_or_else(|| map(bytes, f32::from_le_bytes).into(), Cow::Borrowed),
        Dtype::F16 => map(bytes, |b| f16::from_le_bytes(b).to_f32()).into(),
        Dtype::BF16 => map(bytes, |b| bf16::from_le_bytes(b).to_f32()).into(),
        Dtype::F64 => map(bytes, |b| f64::from_le_bytes(b) as f32).into(),
        other => return Err(format!("{other:?}")),
    })
}

/// The numbers as little-endian bytes, without a copy on a little-endian machine.
pub fn f32_le_bytes(values: &[f32]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "big") {
        return values.iter().flat_map(|value| value.to_le_bytes()).collect();
    }
    Cow::Borrowed(values.as_bytes())
}

/// Whether numbers keep their values in a type of floats of at most 32 bits.
pub fn fits(values: &[f32], dtype: Dtype) -> bool {
    let all = |rounded: fn(f32) -> f32| values.iter().all(|value| rounded(*value).to_bits() == value.to_bits());
    match dtype {
        Dtype::F32 => true,
        Dtype::F16 => all(|value| f16::from_f32(value).to_f32()),
        Dtype::BF16 => all(|value| bf16::from_f32(value).to_f32()),
        _ => false,
    }
}

/// The numbers as little-endian bytes of f16 or bf16, or of f32 for any other type.
pub fn float_bytes(values: &[f32], dtype: Dtype) -> Cow<'_, [u8]> {
    match dtype {
        Dtype::F16 => values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
        Dtype::BF16 => values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect(),
        _ => f32_le_bytes(values),
    }
}

/// The bytes as f32 without a copy, when they are aligned and the machine is little-endian.
fn cast_f32(bytes: &[u8]) -> Option<&[f32]> {
    if cfg!(target_endian = "big") { None } else { <[f32]>::ref_from_bytes(bytes).ok() }
}

/// Converts numbers of N bytes each.
pub(crate) fn map<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| number(*chunk)).collect()
}

/// The number at `index` of a slice of i64.
pub(crate) fn i64_at(bytes: &[u8], index: usize) -> i64 {
    u64_at(bytes, index).cast_signed()
}

/// The number at `index` of a slice of u64.
pub(crate) fn u64_at(bytes: &[u8], index: usize) -> u64 {
    bytes.as_chunks::<8>().0.get(index).map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

/// The number at `index` of a slice of f32.
pub(crate) fn f32_at(bytes: &[u8], index: usize) -> f32 {
    bytes.as_chunks::<4>().0.get(index).map_or(f32::NAN, |chunk| f32::from_le_bytes(*chunk))
}

/// Index of the first NaN or infinity of a slice of f16.
pub(crate) fn first_not_finite_f16(bytes: &[u8]) -> Option<usize> {
    /// Elements that are looked at without a branch, which the compiler then does many at a time.
    const BLOCK: usize = 4096;
    let is_not_finite = |number: &[u8; 2]| number[1] & 0x7c == 0x7c;
    let blocks = bytes.as_chunks::<2>().0.chunks(BLOCK);
    let broken = |block: &&[[u8; 2]]| block.iter().fold(false, |found, number| found | is_not_finite(number));
    let (index, block) = blocks.enumerate().find(|(_, block)| broken(block))?;
    Some(index * BLOCK + block.iter().position(is_not_finite)?)
}

/// Checks that `offsets` rise from 0 to `end`, so that every slice between two of them is inside the data.
pub(crate) fn check_offsets(name: &str, offsets: &[u8], end: usize) -> Result<(), String> {
    let mut last = 0;
    for (index, chunk) in offsets.as_chunks::<8>().0.iter().enumerate() {
        let offset = i64::from_le_bytes(*chunk);
        if (index == 0 && offset != 0) || offset < last {
            return Err(format!("\"{name}\" does not rise from 0 (entry {index} is {offset})"));
        }
        last = offset;
    }
    if offsets.is_empty() || usize::try_from(last) != Ok(end) {
        return Err(format!("\"{name}\" ends at {last}, its data at {end}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Blocks of the search for NaN and infinity have borders.
        #[test]
        fn one_number_that_is_none_is_found(elements in 1_usize..10_000, at: prop::sample::Index, sign: bool) {
            let mut bytes = f16::from_f32(1.5).to_le_bytes().repeat(elements);
            prop_assert_eq!(first_not_finite_f16(&bytes), None);
            let at = at.index(elements);
            let number = if sign { f16::NEG_INFINITY } else { f16::NAN };
            bytes[at * 2..at * 2 + 2].copy_from_slice(&number.to_le_bytes());
            prop_assert_eq!(first_not_finite_f16(&bytes), Some(at));
        }
    }
}
