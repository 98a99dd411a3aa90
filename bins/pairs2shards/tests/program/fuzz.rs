//! Damaged shards are described or refused, without a crash and without much memory.

use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::folder;

const PAIRS: &str = r#"{"anchor":"rain","positive":"felt","positive_id":"d1","negatives":["hail","sand"],"scores":[1,0.5,0]}
{"anchor":"sand","positive":"ballast","positive_id":"d2"}
"#;

/// Kilobytes of address space for a run: an allocation of a size that a damaged file claims does not fit.
const MEMORY: u32 = 400_000;

/// Numbers at the limits of what readers expect.
const NUMBERS: [u64; 9] = [0, 1, 2, 7, 0x7fff_ffff, 0xffff_ffff, 1 << 62, u64::MAX / 8, u64::MAX];

/// Damages a file in a way that may happen by accident or on purpose.
fn mutate(whole: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let mut bytes = whole.to_vec();
    for _ in 0..rng.random_range(1..4) {
        let length = bytes.len().max(1);
        match rng.random_range(0..7) {
            0 => bytes.truncate(rng.random_range(0..length)),
            1 => bytes.extend((0..rng.random_range(1..64)).map(|_| rng.random::<u8>())),
            2 if length > 1 => bytes[rng.random_range(0..length - 1)] ^= 1 << rng.random_range(0..8),
            // A number of the data, or the header's length.
            3 if length >= 16 => {
                let places = (header.min(length - 8)..length - 7).step_by(8).collect::<Vec<_>>();
                let at = if rng.random_ratio(1, 8) { 0 } else { *places.choose(rng).unwrap_or(&0) };
                bytes[at..at + 8].copy_from_slice(&NUMBERS.choose(rng).unwrap().to_le_bytes());
            }
            // A number in the header's text, with the length that follows.
            4..6 => {
                let text =
                    String::from_utf8_lossy(&bytes[8.min(length)..header.clamp(8.min(length), length)]).into_owned();
                let digits: Vec<usize> =
                    text.char_indices().filter(|(_, c)| c.is_ascii_digit()).map(|(at, _)| at).collect();
                if let Some(at) = digits.choose(rng) {
                    let rest = bytes.get(header..).unwrap_or_default().to_vec();
                    let number = NUMBERS.choose(rng).unwrap();
                    let edited = format!("{}{number}{}", &text[..*at], &text[at + 1..]);
                    bytes = [&(edited.len() as u64).to_le_bytes()[..], edited.as_bytes(), &rest].concat();
                }
            }
            // A part of the file a second time.
            _ => {
                let (from, to) = (rng.random_range(0..length), rng.random_range(0..length));
                let part = bytes.get(from.min(to)..from.max(to)).unwrap_or_default().to_vec();
                bytes.splice(from.min(bytes.len())..from.min(bytes.len()), part);
            }
        }
    }
    bytes
}

#[test]
fn damaged_shards_are_described_or_refused() {
    let folder = folder();
    folder.run("pairs2shards --model BASE -q -o s.safetensors").stdin(PAIRS).done();
    let whole = folder.bytes("s.safetensors");
    let mut answers = 0;
    for seed in 0..400 {
        folder.write("mutant", mutate(&whole, &mut ChaCha8Rng::seed_from_u64(seed)));
        let ran = folder.shell(&format!("ulimit -v {MEMORY}; exec pairs2shards --describe mutant")).ran();
        assert!(ran.code == 0 || ran.code == 2, "seed {seed}: {ran}");
        let message = ran.stderr();
        assert!(ran.code == 0 || message.starts_with("pairs2shards: mutant: "), "seed {seed}: {ran}");
        assert!(!message.contains("internal error") && !message.contains("memory allocation"), "seed {seed}: {ran}");
        answers += usize::from(ran.code == 0);
    }
    assert!((1..300).contains(&answers), "{answers} of 400 were accepted: the changes do not reach the checks");
}
