//! Identical requests are sent once.

use std::collections::HashSet;
use std::sync::Mutex;

use tokio::sync::Notify;

use super::journal::Key;
use super::lock;

/// The keys of the requests that are in flight. A task that wants to send the same one waits, and then finds its reply
/// in the journal.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    keys: Mutex<HashSet<Key>>,
    changed: Notify,
}

/// The right to send one request, until it is dropped.
#[derive(Debug)]
pub(super) struct InFlightGuard<'a> {
    in_flight: &'a InFlight,
    key: Key,
}

impl InFlight {
    /// Waits until the same request is not in flight.
    pub(super) async fn enter(&self, key: Key) -> InFlightGuard<'_> {
        loop {
            // Registered before the keys are checked, so that no change between the two is missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if lock(&self.keys).insert(key) {
                return InFlightGuard { in_flight: self, key };
            }
            changed.await;
        }
    }
}

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        lock(&self.in_flight.keys).remove(&self.key);
        self.in_flight.changed.notify_waiters();
    }
}
