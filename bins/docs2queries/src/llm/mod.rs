//! Asking a language model through an OpenAI-compatible server.
//!
//! Everything here is about requests (the JSON bodies of chat completions) and their replies. What a request is about,
//! and when a reply is usable, is up to the caller: see [`Request`], [`RequestSource`] and [`IsUsable`].

mod address;
mod batch;
mod budget;
mod client;
mod dialect;
mod failure;
mod in_flight;
mod journal;
mod json;
mod model;
mod notices;
mod rate_limiter;
mod reply;
mod requester;
mod retry;
mod retry_after;
mod secrets;
mod server_errors;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use batch::{BatchContext, BatchRequest, RequestSource, collect_files, request_lines, round_trip};
#[cfg(test)]
pub(crate) use budget::Price;
pub(crate) use budget::{Budget, Caps, Estimate, Spent, Tokens, Usd};
pub(crate) use failure::{Failure, FailureKind, Verdict};
pub(crate) use journal::{IsUsable, Journal, Key};
pub(crate) use json::code_unit;
pub(crate) use model::{Model, Settings};
pub(crate) use notices::{NoticeReceiver, Notices};
pub(crate) use rate_limiter::Limits;
pub(crate) use reply::{Reply, Unusable};
pub(crate) use requester::{Answer, Request, Requester, Server, report_resent};

/// Locks a mutex. Each change is complete before the lock is released, so a panic elsewhere leaves a sound value
/// behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
