//! Panics of libraries, as errors.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};

use crate::log::{Level, Log};

thread_local! {
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Runs code of a library that panics on damaged data. What `code` modifies must not be used after an error.
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

/// Reports the other panics as errors of the program, in one message without a backtrace.
pub(crate) fn report_panics(log: Log) {
    panic::set_hook(Box::new(move |info| {
        if IS_CAUGHT.get() {
            return;
        }
        let location = info.location().map_or_else(|| "an unknown location".into(), ToString::to_string);
        let what = info.payload_as_str().unwrap_or("no message");
        log.write(
            Level::Error,
            &format!("internal error at {location}: {what}\nhint: this is a bug; please report it with the command and its input"),
        );
    }));
}
