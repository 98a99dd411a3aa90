//! The tokenizers crate alone, as fast as it goes: what `pairs2shards` is measured against.
//!
//!     cargo run --release -p embtune-tokenize --example bare -- TOKENIZER.JSON MAX_LENGTH TEXTS
//!
//! TEXTS has one text a line. They are read before the clock starts; truncation is on, padding off, and the crate
//! divides the texts among RAYON_NUM_THREADS threads. Prints texts, tokens and seconds.

use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, Write as _};
use std::time::Instant;

use tokenizers::{Tokenizer, TruncationParams};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [file, max_length, texts] = arguments.as_slice() else {
        return Err("expected TOKENIZER.JSON MAX_LENGTH TEXTS".into());
    };
    let mut tokenizer = Tokenizer::from_file(file)?;
    let truncation = TruncationParams { max_length: max_length.parse()?, ..TruncationParams::default() };
    tokenizer.with_padding(None).with_truncation(Some(truncation))?;
    let texts = fs::read_to_string(texts)?;
    let texts: Vec<&str> = texts.lines().collect();
    let began = Instant::now();
    let mut tokens = 0;
    // As many at once as pairs2shards takes, so that both have the same memory.
    for texts in texts.chunks(8192) {
        tokens += tokenizer.encode_batch_fast(texts.to_vec(), true)?.iter().map(|text| text.len()).sum::<usize>();
    }
    writeln!(io::stdout(), "{} {tokens} {}", texts.len(), began.elapsed().as_secs_f64())?;
    Ok(())
}
