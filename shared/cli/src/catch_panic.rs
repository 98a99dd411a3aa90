//! Panics of other people's code, as errors.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};

thread_local! {
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic on this thread is somebody's to handle, and is not to be shown.
pub(crate) fn is_caught() -> bool {
    IS_CAUGHT.get()
}

/// Runs a library's code that panics on damaged data. What `code` changes must not be used after an error.
///
/// # Errors
/// The panic's message.
pub fn catch_panic<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    let outer = IS_CAUGHT.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(code));
    IS_CAUGHT.set(outer);
    result.map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
    })
}
