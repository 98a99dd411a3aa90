//! The framing of TFRecord files.
//!
//! Source: <https://www.tensorflow.org/tutorials/load_data/tfrecord>, "TFRecords format details".

use crc32c::crc32c;

/// A record: `length u64, masked crc32c of the length u32, data, masked crc32c of the data u32`, little-endian.
pub(super) fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length, &masked_crc(&length).to_le_bytes()[..], data, &masked_crc(data).to_le_bytes()].concat()
}

/// The Castagnoli CRC, rotated and shifted, because the CRC of data that hold their own CRC is no good.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_castagnolis() {
        // RFC 3720, appendix B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&ascending), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    /// What tensorboard 2.21.0 writes with `RecordWriter(file).write(b"embtune")`.
    #[test]
    fn a_record_is_that_of_the_reference() {
        let reference =
            [7, 0, 0, 0, 0, 0, 0, 0, 187, 215, 159, 17, 101, 109, 98, 116, 117, 110, 101, 185, 219, 111, 45];
        assert_eq!(framed(b"embtune"), reference);
    }
}
