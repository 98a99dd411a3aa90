//! Arrays of NumPy, read only.
//!
//! Magic, version, length of the header, the header (a Python literal), then the elements
//! (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).

use safetensors::Dtype;

use crate::file::Entry;

pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";
/// Longest header that is read: ours has 118 bytes.
const MOST_HEADER_BYTES: usize = 64 << 10;

/// The array of a file, whose claims have been checked against its size.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn read(file: &[u8]) -> Result<Entry, String> {
    let rest = file.strip_prefix(MAGIC).ok_or("not an array of NumPy")?;
    let (length_bytes, rest) = match rest {
        [1, _, rest @ ..] => (2, rest),
        [2 | 3, _, rest @ ..] => (4, rest),
        _ => return Err("an array of a version that this program does not know".into()),
    };
    let length = rest.get(..length_bytes).ok_or("ends in its header")?;
    let length = length.iter().rev().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    if length > MOST_HEADER_BYTES {
        return Err(format!("a header of {length} bytes"));
    }
    let header = rest.get(length_bytes..length_bytes + length).ok_or("ends in its header")?;
    let header = std::str::from_utf8(header).map_err(|_| "its header is not UTF-8")?;
    let start = file.len() - rest.len() + length_bytes + length;

    let dtype = match value(header, "descr")?.trim_matches(['\'', '"']) {
        "<f4" => Dtype::F32,
        "<f2" => Dtype::F16,
        "|i1" => Dtype::I8,
        "|u1" => Dtype::U8,
        other => return Err(format!("elements of type {other}; expected <f4, <f2 or |u1")),
    };
    if value(header, "fortran_order")? != "False" {
        return Err("its columns stand one behind the other (fortran_order)\nhint: numpy.ascontiguousarray".into());
    }
    let shape = value(header, "shape")?;
    let sizes = shape.trim_matches(['(', ')']).split(',').map(str::trim).filter(|size| !size.is_empty());
    let shape: Vec<usize> = sizes.map(str::parse).collect::<Result<_, _>>().map_err(|_| format!("shape {shape}"))?;
    let elements = shape.iter().try_fold(dtype.bitsize() / 8, |bytes, size| bytes.checked_mul(*size));
    let end = elements.and_then(|bytes| start.checked_add(bytes)).filter(|end| *end == file.len());
    let end = end.ok_or_else(|| format!("its size does not fit an array {shape:?} of {dtype:?}"))?;
    Ok(Entry { dtype, shape, range: start..end })
}

/// The text of a value of the header, which is a literal such as
/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 8), }`.
fn value<'a>(header: &'a str, key: &str) -> Result<&'a str, String> {
    let missing = || format!("its header has no \"{key}\"");
    let (_, rest) = header.split_once(&format!("'{key}':")).ok_or_else(missing)?;
    let rest = rest.trim_start();
    let end = if rest.starts_with('(') { rest.find(')').map(|end| end + 1) } else { rest.find([',', '}']) };
    Ok(rest[..end.ok_or_else(missing)?].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.bytes());
        file.resize(file.len() + data, 0);
        file
    }

    #[test]
    fn headers_of_numpy_are_read() {
        let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }  \n";
        let entry = read(&file(good, 24)).unwrap();
        assert_eq!((entry.dtype, &*entry.shape, entry.range), (Dtype::F32, &[3, 2][..], 72..96));
    }

    #[test]
    fn broken_ones_are_refused() {
        let refused = |header: &str, data| read(&file(header, data)).err().unwrap();
        let of = |descr: &str, order: &str, shape: &str| {
            format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}")
        };
        assert!(refused(&of("'<f4'", "False", "(3, 2)"), 23).starts_with("its size does not fit an array [3, 2]"));
        assert!(refused(&of("'<f8'", "False", "(3, 2)"), 48).starts_with("elements of type <f8"));
        assert!(refused(&of("'<f4'", "True", "(3, 2)"), 24).contains("fortran_order"));
        assert!(refused(&of("'<f4'", "False", "(99999999999, 99999999999)"), 24).contains("does not fit"));
        assert!(refused(&of("'<f4'", "False", "(-3, 2)"), 24).starts_with("shape"));
        assert!(refused("{}", 0).contains("no \"descr\""));
        let whole = file(&of("'<f4'", "False", "(3, 2)"), 24);
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
    }
}
