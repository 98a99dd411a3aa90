//! State dicts as `torch.save` writes them: `pytorch_model.bin`.
//!
//! The file is a zip archive whose records are stored, not compressed: `*/data.pkl` describes the tensors (see
//! [`pickle`]), `*/data/KEY` holds the numbers. A mapped file therefore gives its tensors without a copy, as
//! safetensors does. Names, sizes and positions in the file are not trusted: each is checked before it is used.
//!
//! Source: `torch/serialization.py`, `caffe2/serialize/inline_container.cc` (pytorch 2.11).

mod pickle;

use std::collections::BTreeMap;
use std::ops::Range;

use rawzip::{CompressionMethod, ZipArchive, ZipFileHeaderRecord, ZipSliceArchive};

use self::pickle::{View, shown};
use crate::tensor::TensorInfo;

/// Most records of an archive; a few hundred are usual.
const MAX_RECORDS: usize = 100_000;

/// The first bytes of a file that PyTorch wrote before version 1.6: a pickle of protocol 2 that begins with a long.
const BEFORE_1_6: [u8; 4] = [0x80, 0x02, 0x8a, 0x0a];

const SAVE_AGAIN: &str = "\nhint: load the model with transformers or sentence-transformers and save it again: that writes model.safetensors";

/// The tensors of a checkpoint by name.
///
/// # Errors
/// A message about a fault of the file, or an unsupported feature.
pub(crate) fn read(file: &[u8]) -> Result<BTreeMap<String, TensorInfo>, String> {
    if file.starts_with(&BEFORE_1_6) {
        return Err(format!("has the format of PyTorch before version 1.6, which is not supported{SAVE_AGAIN}"));
    }
    let damaged = |error: rawzip::Error| format!("not a PyTorch checkpoint, or damaged: {error}");
    let archive = ZipArchive::from_slice(file).map_err(damaged)?;
    let mut records = BTreeMap::new();
    let mut headers = archive.entries();
    while let Some(header) = headers.next_entry().map_err(damaged)? {
        let name = header.file_path().as_bytes();
        if records.len() == MAX_RECORDS {
            return Err(format!("has more than {MAX_RECORDS} records"));
        }
        if records.insert(name, header).is_some() {
            return Err(format!("has a duplicate record {}", shown(&String::from_utf8_lossy(name))));
        }
    }
    Archive { archive: &archive, records }.tensors()
}

struct Archive<'a> {
    archive: &'a ZipSliceArchive<&'a [u8]>,
    records: BTreeMap<&'a [u8], ZipFileHeaderRecord<'a>>,
}

impl Archive<'_> {
    fn tensors(&self) -> Result<BTreeMap<String, TensorInfo>, String> {
        let mut programs = self.records.keys().filter_map(|name| name.strip_suffix(b"/data.pkl"));
        let (Some(root), None) = (programs.next(), programs.next()) else {
            return Err("not a PyTorch checkpoint: it must have exactly one record data.pkl".into());
        };
        let root = std::str::from_utf8(root).map_err(|_| "has a record whose name is not UTF-8")?;
        let order = format!("{root}/byteorder");
        if self.records.contains_key(order.as_bytes()) && self.bytes(self.record(&order)?) != b"little" {
            return Err("its numbers are not little-endian".into());
        }
        let program = self.bytes(self.record(&format!("{root}/data.pkl"))?);
        let damaged = |what: String| format!("its data.pkl {what}");
        let mut tensors = BTreeMap::new();
        for (name, view) in pickle::read(program).map_err(damaged)? {
            let entry = self.entry(root, &view).map_err(|what| format!("tensor {}: {what}", shown(name)))?;
            if tensors.insert(name.to_owned(), entry).is_some() {
                return Err(format!("duplicate tensor {}", shown(name)));
            }
        }
        check_overlaps(&tensors)?;
        Ok(tensors)
    }

    /// The position of a tensor in the file.
    fn entry(&self, root: &str, view: &View<'_>) -> Result<TensorInfo, String> {
        let View { storage, offset, shape, strides } = view;
        let record = self.record(&format!("{root}/data/{}", storage.key))?;
        let width = storage.dtype.bitsize() / 8;
        if storage.elements.checked_mul(width) != Some(record.len()) {
            let (elements, dtype, bytes) = (storage.elements, storage.dtype, record.len());
            return Err(format!("its storage has {bytes} bytes for {elements} elements of {dtype:?}"));
        }
        let elements = shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        let end = elements.and_then(|elements| elements.checked_add(*offset));
        let (Some(elements), Some(_)) = (elements, end.filter(|end| *end <= storage.elements)) else {
            return Err(format!(
                "{shape:?} from element {offset} does not fit into its storage of {}",
                storage.elements
            ));
        };
        if !is_contiguous(shape, strides) {
            return Err(format!("is not stored row by row (strides {strides:?}), which is not supported{SAVE_AGAIN}"));
        }
        let start = record.start + offset * width;
        Ok(TensorInfo { dtype: storage.dtype, shape: shape.clone(), range: start..start + elements * width })
    }

    /// The position of a record's bytes in the file.
    fn record(&self, name: &str) -> Result<Range<usize>, String> {
        let header = self.records.get(name.as_bytes()).ok_or_else(|| format!("there is no record {}", shown(name)))?;
        if header.flags().is_encrypted() || header.compression_method() != CompressionMethod::STORE {
            return Err(format!("the record {} is compressed or encrypted, which is not supported", shown(name)));
        }
        let entry = self.archive.get_entry(header.wayfinder());
        let entry = entry.map_err(|error| format!("the record {} is damaged: {error}", shown(name)))?;
        let (start, end) = entry.compressed_data_range();
        Ok(start as usize..end as usize)
    }

    fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.archive.get_ref().get(range).unwrap_or_default()
    }
}

/// Whether the elements are stored without gaps, the last dimension innermost.
fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut step = 1;
    shape.len() == strides.len()
        && (shape.contains(&0)
            || shape.iter().zip(strides).rev().all(|(size, stride)| {
                let fits = *size == 1 || *stride == step;
                step *= size;
                fits
            }))
}

/// Two names may share one tensor (tied weights). Partly overlapping tensors are refused, because they would let a
/// small file claim any amount of data.
fn check_overlaps(tensors: &BTreeMap<String, TensorInfo>) -> Result<(), String> {
    let mut places: Vec<(&Range<usize>, &String)> = tensors.iter().map(|(name, entry)| (&entry.range, name)).collect();
    places.retain(|(range, _)| !range.is_empty());
    places.sort_by_key(|(range, _)| (range.start, range.end));
    for ((first, one), (second, other)) in places.iter().zip(places.iter().skip(1)) {
        if first != second && second.start < first.end {
            return Err(format!("tensors {} and {} overlap", shown(one), shown(other)));
        }
    }
    Ok(())
}
