//! The tokenizers library, which trusts its files.

use embtune_cli::catch_panic;
use tokenizers::Tokenizer;

/// How a panic begins that Oniguruma ends a match with: it has tried ten million ways.
const ENDLESS: &str = "Onig: Regex search error: retry-limit";

/// Long runs of one kind of character, and something else at the end: an expression that repeats what it repeats tries
/// every division of them.
const RUNS: [&str; 6] = ["a", "aA", "1", " ", "!", "\u{96e8}"];
const RUN_LENGTH: usize = 64;

/// Runs code of the library; what it panics with is an error of the file.
///
/// # Errors
/// What the library says.
pub(crate) fn guarded<T>(code: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match catch_panic(code) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) if panic.starts_with(ENDLESS) => {
            Err("one of its regular expressions takes too long: it tries too many ways to divide a text".into())
        }
        Err(panic) => {
            Err(format!("the tokenizers library cannot use it: {}", panic.lines().next().unwrap_or_default()))
        }
    }
}

/// Refuses a tokenizer that some usual texts are too much for.
///
/// A text that it has no tokens for is none of these: that is said where such a text comes.
pub(crate) fn probe(tokenizer: &Tokenizer) -> Result<(), String> {
    RUNS.iter().try_for_each(|run| {
        let text = format!("{}.", run.repeat(RUN_LENGTH));
        guarded(|| {
            let _ = tokenizer.encode_fast(text, false);
            Ok(())
        })
    })
}
