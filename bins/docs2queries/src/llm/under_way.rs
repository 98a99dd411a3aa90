//! Requests that are under way, each once.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use super::journal::Key;

/// The requests that somebody asks: others with the same one wait, and find the reply.
#[derive(Debug, Default)]
pub(crate) struct UnderWay {
    keys: Mutex<HashSet<Key>>,
    changed: Notify,
}

/// The right to ask one request, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    of: &'a UnderWay,
    key: Key,
}

impl UnderWay {
    /// Waits until nobody else asks this request.
    pub(crate) async fn turn(&self, key: Key) -> Turn<'_> {
        loop {
            // Before the look at the keys, so that no change is missed between the two.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.with_keys(|keys| keys.insert(key)) {
                return Turn { of: self, key };
            }
            changed.await;
        }
    }

    fn with_keys<T>(&self, change: impl FnOnce(&mut HashSet<Key>) -> T) -> T {
        change(&mut self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.of.with_keys(|keys| keys.remove(&self.key));
        self.of.changed.notify_waiters();
    }
}
