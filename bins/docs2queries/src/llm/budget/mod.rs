//! The budget of a run: its caps, and the amounts that are spent and reserved.
//!
//! Before a request is sent, the most that it can cost is reserved; its actual cost replaces the reservation when the
//! answer has arrived. The sum of what is spent and reserved never exceeds the caps, however many requests are in
//! flight.

mod price;
mod tokens;
mod usage;
mod usd;

use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

pub(crate) use price::{Price, longest_completion};
pub(crate) use tokens::{Estimate, Tokens};
pub(crate) use usd::Usd;

use super::lock;

/// The most that may be spent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Caps {
    pub(crate) usd: Option<Usd>,
    pub(crate) tokens: Option<u64>,
}

/// Tokens, and their cost if prices are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) tokens: Tokens,
    pub(crate) usd: Usd,
}

/// The budget of a run.
#[derive(Debug)]
pub(crate) struct Budget {
    /// What a token costs, if that is known.
    pub(crate) price: Option<Price>,
    pub(crate) caps: Caps,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// By earlier runs, according to the journal.
    before: Spent,
    spent: Spent,
    reserved: Tokens,
    /// The number of open reservations.
    open: usize,
    /// Whether a reservation was refused.
    is_exhausted: bool,
}

/// Money reserved for one request, until it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<Budget>,
    most: Tokens,
    /// What counts as spent in the end; all of it, unless the actual cost becomes known.
    used: Tokens,
}

impl Budget {
    /// A budget from which earlier runs have spent `before`.
    pub(crate) fn new(price: Option<Price>, caps: Caps, before: Spent) -> Self {
        let state = Mutex::new(State { before, ..State::default() });
        Self { price, caps, state, changed: Notify::new() }
    }

    /// The cost of `tokens`; nothing if prices are unknown.
    pub(crate) fn cost(&self, tokens: Tokens) -> Spent {
        Spent { tokens, usd: self.price.map(|price| price.of(tokens)).unwrap_or_default() }
    }

    /// What this run has spent.
    pub(crate) fn spent(&self) -> Spent {
        lock(&self.state).spent
    }

    /// Whether a reservation was refused, because a cap is reached.
    pub(crate) fn is_exhausted(&self) -> bool {
        lock(&self.state).is_exhausted
    }

    /// Reserves the highest possible cost of a request that takes at most `most` tokens.
    ///
    /// If the caps leave no room for it, waits for other requests to cost less than was reserved for them; `None` if no
    /// other request is in flight.
    pub(crate) async fn reserve(self: &Arc<Self>, most: Tokens) -> Option<Reservation> {
        loop {
            // Registered before the state is checked, so that no change between the two is missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut state = lock(&self.state);
                if self.fits(&state, self.cost(most)) {
                    state.reserved += most;
                    state.open += 1;
                    return Some(Reservation { budget: Arc::clone(self), most, used: most });
                }
                if state.open == 0 {
                    state.is_exhausted = true;
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Whether the caps leave room for `more`.
    pub(crate) fn has_room(&self, more: Spent) -> bool {
        self.fits(&lock(&self.state), more)
    }

    /// Adds an amount that was spent without a reservation.
    pub(crate) fn add(&self, spent: Spent) {
        lock(&self.state).spent += spent;
    }

    fn fits(&self, state: &State, more: Spent) -> bool {
        let sum = state.before + state.spent + self.cost(state.reserved) + more;
        self.caps.usd.is_none_or(|most| sum.usd <= most)
            && self.caps.tokens.is_none_or(|most| sum.tokens.total() <= most)
    }
}

impl Reservation {
    /// The request was processed and took `tokens`; none if it was not processed.
    pub(crate) fn used(mut self, tokens: Tokens) {
        self.used = tokens;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let Self { budget, most, used } = self;
        let mut state = lock(&budget.state);
        state.reserved.input -= most.input;
        state.reserved.output -= most.output;
        state.open -= 1;
        state.spent += budget.cost(*used);
        drop(state);
        budget.changed.notify_waiters();
    }
}

impl std::ops::Add for Spent {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { tokens: self.tokens + other.tokens, usd: self.usd + other.usd }
    }
}

impl std::ops::AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Tokens = Tokens { input: 100, output: 50 };
    const USED: Tokens = Tokens { input: 40, output: 10 };

    fn budget(tokens: Option<u64>, usd: Option<f64>) -> Arc<Budget> {
        let caps = Caps { usd: usd.map(Usd::new), tokens };
        Arc::new(Budget::new(Some(Price::new(1.0, 2.0)), caps, Spent::default()))
    }

    #[tokio::test]
    async fn reservations_count() {
        // 200 millionths of a dollar each.
        let budget = budget(None, Some(400e-6));
        let first = budget.reserve(MOST).await.unwrap();
        let second = budget.reserve(MOST).await.unwrap();
        let third = tokio::spawn({
            let budget = Arc::clone(&budget);
            async move { budget.reserve(MOST).await.is_some() }
        });
        tokio::task::yield_now().await;
        assert!(!third.is_finished(), "it waits for the others' actual costs");
        first.used(USED);
        tokio::task::yield_now().await;
        assert!(!third.is_finished(), "60 + 200 + 200 are too many");
        second.used(Tokens::default());
        assert!(third.await.unwrap());
        assert_eq!(budget.spent().usd, Usd::new(260e-6), "a reservation that is dropped is spent");
        assert!(!budget.is_exhausted());
        assert!(budget.reserve(MOST).await.is_none(), "no request is in flight that could cost less");
        assert!(budget.is_exhausted());
        assert!(budget.reserve(USED).await.is_some());
    }

    #[tokio::test]
    async fn tokens_are_capped_too_and_earlier_runs_count() {
        let caps = Caps { usd: None, tokens: Some(300) };
        let before = Spent { tokens: Tokens { input: 100, output: 0 }, usd: Usd::default() };
        let budget = Arc::new(Budget::new(None, caps, before));
        budget.reserve(MOST).await.unwrap().used(MOST);
        assert_eq!(budget.spent().tokens, MOST);
        assert!(budget.reserve(MOST).await.is_none());
        let free = self::budget(None, None);
        assert!(free.reserve(Tokens { input: u64::MAX, output: u64::MAX }).await.is_some());
    }

    #[test]
    fn no_cap_is_exceeded_however_many_are_in_flight() {
        let budget = budget(None, Some(0.01));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let granted = runtime.block_on(async {
            let tasks: Vec<_> = (0..300)
                .map(|n| {
                    let budget = Arc::clone(&budget);
                    tokio::spawn(async move {
                        let Some(reservation) = budget.reserve(MOST).await else { return 0 };
                        tokio::task::yield_now().await;
                        reservation.used(if n % 3 > 0 { USED } else { MOST });
                        1
                    })
                })
                .collect();
            let mut granted = 0;
            for task in tasks {
                granted += task.await.unwrap();
            }
            granted
        });
        assert!(budget.spent().usd <= Usd::new(0.01));
        assert!(granted > 50, "{granted}");
    }
}
