//! Getting the reply to one request: from the journal, or from the server within its rate limits and the budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use embtune_cli::{Session, counted};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;

use super::budget::{Budget, Estimate, Reservation, Tokens};
use super::client::Client;
use super::failure::{Failure, Verdict};
use super::in_flight::InFlight;
use super::journal::{Cost, Journal, JournaledReply, Key};
use super::notices::{Notice, NoticeKind, Notices};
use super::rate_limiter::{Permit, RateLimiter};
use super::reply::Reply;
use super::retry::retry;

/// Gets replies to requests.
pub(crate) struct Requester {
    /// Without a server, replies come from the journal only.
    pub(super) server: Option<Server>,
    journal: Option<Arc<Journal>>,
    in_flight: InFlight,
    /// Becomes true when nothing more is to be sent.
    stop: watch::Sender<bool>,
    notices: Notices,
    /// Requests that were sent once more because the journal's reply was useless.
    resent: AtomicU64,
}

/// A server, with the policies for using it.
pub(crate) struct Server {
    pub(super) client: Client,
    pub(super) limiter: Arc<RateLimiter>,
    pub(super) budget: Arc<Budget>,
    /// Attempts after the first, for one request.
    pub(super) max_retries: u32,
    /// Whether it has ever accepted a request.
    pub(super) has_replied: AtomicBool,
    /// The most tokens of a reply, if that is known.
    pub(super) longest_reply: Option<u64>,
    /// Limits the requests that are in the journal and not sent yet: while the disk is busy with these, the server is
    /// busy with others.
    pub(super) prepared: Semaphore,
}

/// A request and its subject.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    /// The id of its subject, for the journal.
    pub(crate) id: &'a str,
    /// The name of its subject in messages.
    pub(crate) label: &'a str,
    /// The body of a chat completion request.
    pub(crate) body: &'a Value,
    /// The tokens that the reply probably has.
    pub(crate) expected_output: u64,
}

/// The outcome of a request.
pub(crate) enum Answer {
    Reply {
        reply: Reply,
        is_from_journal: bool,
        /// A note for the user if the reply is useless and the request will not be sent again; may be empty.
        given_up: String,
    },
    /// The request was not sent: a cap is reached, or there is no server.
    NotSent,
}

impl Requester {
    /// Gets replies from a server, or from the journal only.
    pub(crate) fn new(server: Option<Server>, journal: Option<Arc<Journal>>, notices: Notices) -> Self {
        Self {
            server,
            journal,
            in_flight: InFlight::default(),
            stop: watch::Sender::new(false),
            notices,
            resent: AtomicU64::new(0),
        }
    }

    /// Ends all waits, and sends nothing more.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether replies are kept in a journal.
    pub(crate) fn has_journal(&self) -> bool {
        self.journal.is_some()
    }

    /// The number of requests that were sent once more because the journal's reply was useless.
    pub(crate) fn resent(&self) -> u64 {
        self.resent.load(Ordering::Relaxed)
    }

    /// The budget, and the number of requests sent so far, retries included; none without a server.
    pub(crate) fn usage(&self) -> Option<(&Budget, u64)> {
        self.server.as_ref().map(|server| (&*server.budget, server.client.requests.load(Ordering::Relaxed)))
    }

    /// Gets the reply to a request.
    ///
    /// # Errors
    /// The reason why there is none.
    pub(crate) async fn reply_to(&self, request: Request<'_>) -> Result<Answer, Failure> {
        let key = Key::of(request.body);
        let _guard = match &self.journal {
            Some(_) => Some(self.in_flight.enter(key).await),
            None => None,
        };
        let journaled = self.journaled(key).await?;
        let Some(server) = &self.server else {
            return journaled.map_or(Ok(Answer::NotSent), |reply| from_journal(reply, key));
        };
        let is_resent = journaled.is_some();
        if let Some(reply) = journaled.filter(|reply| reply.is_settled) {
            return from_journal(reply, key);
        }
        let notify = |notice: Notice| self.notices.send(notice.beside_a_rate_limiter().about(request.label));
        let estimate = Estimate::of(request.body, request.expected_output, server.longest_reply);
        let attempt = || self.attempt(server, key, request, &estimate, &notify);
        let reply = retry(server.max_retries, self.stop.subscribe(), notify, attempt).await;
        let is_unsent = |failure: &Failure| matches!(failure.verdict, Verdict::BudgetExhausted | Verdict::Stopped);
        if is_resent && !reply.as_ref().is_err_and(is_unsent) {
            self.resent.fetch_add(1, Ordering::Relaxed);
        }
        match reply {
            Ok(reply) => Ok(Answer::Reply { reply, is_from_journal: false, given_up: String::new() }),
            Err(failure) if failure.verdict == Verdict::BudgetExhausted => Ok(Answer::NotSent),
            Err(failure) => Err(failure),
        }
    }

    /// The reply in the journal, if there is one; read on a thread that may block.
    async fn journaled(&self, key: Key) -> Result<Option<JournaledReply>, Failure> {
        let has_reply = |journal: &Arc<Journal>| journal.has(key) || journal.tries(key) > 0;
        let Some(journal) = self.journal.clone().filter(has_reply) else { return Ok(None) };
        spawn_blocking(move || journal.get(key)).await.map_err(anyhow::Error::from).flatten().map_err(Failure::fatal)
    }

    /// Sends a request once, when the rate limits and the budget allow it, and records the reply.
    async fn attempt(
        &self,
        server: &Server,
        key: Key,
        request: Request<'_>,
        estimate: &Estimate,
        notify: &impl Fn(Notice),
    ) -> Result<Reply, Failure> {
        let (reservation, permit) = self.admit(server, key, estimate).await?;
        match server.client.complete(request.body).await {
            Ok(body) => {
                server.has_replied.store(true, Ordering::Relaxed);
                let reply = Reply::read(&body);
                permit.succeeded(reply.usage.map(Tokens::total));
                let used = reply.tokens(estimate.upper_bound);
                reservation.used(used);
                self.record(server, key, request.id, used, &body).await?;
                Ok(reply)
            }
            Err(failure) => {
                let has_replied = server.has_replied.load(Ordering::Relaxed);
                let mut failure = if has_replied { failure.beside_others() } else { failure };
                if let Some(paid) = failure.paid.take() {
                    reservation.used(paid.tokens);
                    self.record(server, key, request.id, paid.tokens, &paid.body).await?;
                } else if failure.may_cost {
                    // The journal says so already.
                    reservation.used(estimate.upper_bound);
                } else {
                    self.release(key, reservation);
                }
                if failure.verdict == Verdict::Fatal {
                    // Stop while the permit is held, so that no other request that cannot succeed is sent.
                    self.stop();
                }
                if failure.is_overload {
                    let pause = if let Verdict::Retry(pause) = failure.verdict { pause } else { None };
                    if let Some(concurrency) = permit.refused(pause) {
                        let requests = counted(concurrency as u64, "concurrent request", "concurrent requests");
                        let text = format!("server overloaded; limiting to {requests}");
                        notify(Notice { kind: NoticeKind::Detail, text });
                    }
                }
                Err(failure)
            }
        }
    }

    /// Records an answer that was paid for in the journal.
    async fn record(&self, server: &Server, key: Key, id: &str, used: Tokens, body: &Value) -> Result<(), Failure> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let recorded = journal.put(key, id, Cost::of(used, &server.budget), body).await;
        recorded.map_err(|error| self.journal_failed(error))
    }

    /// Waits until a request may be sent: its cost is reserved, on disk too, and the rate limiter admits it.
    async fn admit(&self, server: &Server, key: Key, estimate: &Estimate) -> Result<(Reservation, Permit), Failure> {
        let exhausted = || Failure::new("a cap is reached", None, Verdict::BudgetExhausted);
        if server.budget.is_exhausted() {
            // Fail before queueing, because every later request would otherwise wait for its turn only to fail too.
            return Err(exhausted());
        }
        let mut stopped = self.stop.subscribe();
        let _prepared = tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => return Err(Failure::stopped()),
            prepared = server.prepared.acquire() => prepared.map_err(|error| Failure::fatal(error.into()))?,
        };
        let Some(reservation) = server.budget.reserve(estimate.upper_bound).await else {
            return Err(exhausted());
        };
        if let Some(journal) = &self.journal {
            let most = Cost::of(estimate.upper_bound, &server.budget);
            let most = if server.longest_reply.is_some() { most } else { most.without_limit() };
            if let Err(error) = journal.asked(key, most).await {
                reservation.used(Tokens::default());
                return Err(self.journal_failed(error));
            }
        }
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => {
                self.release(key, reservation);
                Err(Failure::stopped())
            }
            permit = server.limiter.admit(estimate.expected.total()) => Ok((reservation, permit)),
        }
    }

    /// Gives back the reservation of a request that cost nothing.
    fn release(&self, key: Key, reservation: Reservation) {
        reservation.used(Tokens::default());
        if let Some(journal) = &self.journal {
            journal.cost_nothing(key);
        }
    }

    /// Stops the run if the journal cannot be written, because later replies could not be recorded either.
    fn journal_failed(&self, error: anyhow::Error) -> Failure {
        self.stop();
        Failure::fatal(error)
    }
}

/// The answer in the journal. If an earlier run found it useless, this run does so too.
fn from_journal(reply: JournaledReply, key: Key) -> Result<Answer, Failure> {
    let given_up = match reply.tries {
        0 | 1 => String::new(),
        tries => {
            format!("; gave up after {tries} requests: to ask again, delete the journal's lines with {}", key.text())
        }
    };
    match Failure::in_reply(&reply.body) {
        Some(failure) => Err(Failure { message: failure.message + &given_up, ..failure }),
        None => Ok(Answer::Reply { reply: Reply::read(&reply.body), is_from_journal: true, given_up }),
    }
}

/// Reports how many requests are sent once more because the journal's reply was useless, if there are any.
pub(crate) fn report_resent(count: u64, session: &Session) {
    if count > 0 {
        session.notice(format!("requests sent again because the journal's reply was useless: {count}"));
    }
}
