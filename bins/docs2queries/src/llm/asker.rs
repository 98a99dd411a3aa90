//! Asking about one passage: from the journal, or from the server within pace, budget and patience.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;

use super::budget::{Budget, Reservation, Tokens, about_of_prompt, about_of_reply, most_of_prompt};
use super::client::{Failure, OpenAi, Verdict};
use super::journal::{Cost, Journal, Kept, Key};
use super::note::{Note, Notes};
use super::pace::{Pace, Permit};
use super::reply::Reply;
use super::retry::Retry;
use super::under_way::UnderWay;
use crate::documents::Passage;
use crate::prompt::Prompt;

/// Asks about passages.
pub(crate) struct Asker {
    /// Without a server, only the journal is asked.
    pub(crate) server: Option<Server>,
    pub(crate) prompt: Prompt,
    pub(crate) journal: Option<Arc<Journal>>,
    pub(crate) under_way: UnderWay,
    /// Says true when nothing new shall be tried.
    pub(crate) stop: watch::Sender<bool>,
    /// What the user may want to hear meanwhile.
    pub(crate) notes: Notes,
    /// Requests that are sent once more, because an earlier run's reply was of no use.
    pub(crate) asked_again: AtomicU64,
}

/// A server and how it is treated.
pub(crate) struct Server {
    pub(crate) client: OpenAi,
    pub(crate) pace: Arc<Pace>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) retry: Retry,
    /// Whether it has ever taken a request.
    pub(crate) has_replied: AtomicBool,
    /// The most tokens of a reply, where that is known.
    pub(crate) longest_reply: Option<u64>,
    /// Requests that may stand in the journal before it is their turn to be sent: while the disk is busy with some, the
    /// server is with others.
    pub(crate) prepared: Semaphore,
}

/// What came of asking.
pub(crate) enum Answer {
    Reply {
        reply: Reply,
        from_journal: bool,
        /// What is to be said where the reply is of no use, and nobody is asked again.
        given_up: String,
    },
    /// Nobody was asked: a cap was reached, or there is no server.
    NotAsked,
}

impl Asker {
    pub(crate) async fn ask(self: Arc<Self>, passage: Passage) -> (Passage, Result<Answer, Failure>) {
        let answer = self.answer(&passage).await;
        (passage, answer)
    }

    async fn answer(&self, passage: &Passage) -> Result<Answer, Failure> {
        let request = self.prompt.request(passage).map_err(failed)?;
        let key = Key::of(&request);
        let _turn = match &self.journal {
            Some(_) => Some(self.under_way.turn(key).await),
            None => None,
        };
        let kept = self.kept(key).await?;
        let Some(server) = &self.server else {
            return kept.map_or(Ok(Answer::NotAsked), |kept| from_journal(kept, key));
        };
        let is_again = kept.is_some();
        if let Some(kept) = kept.filter(|kept| kept.is_settled) {
            return from_journal(kept, key);
        }
        let name = passage.name();
        let note = |note: Note| self.notes.send(note.beside_a_pace().of(&format!("document {name}")));
        let estimate = Estimate::of(&request, self.prompt.queries(), server.longest_reply);
        let attempt = || self.attempt(server, (key, &name), &request, &estimate, &note);
        let answer = server.retry.run(self.stop.subscribe(), note, attempt).await;
        let is_asked = !matches!(&answer, Err(Failure { verdict: Verdict::Cap | Verdict::Stopped, .. }));
        self.asked_again.fetch_add(u64::from(is_again && is_asked), Ordering::Relaxed);
        match answer {
            Ok(reply) => Ok(Answer::Reply { reply, from_journal: false, given_up: String::new() }),
            Err(failure) if failure.verdict == Verdict::Cap => Ok(Answer::NotAsked),
            Err(failure) => Err(failure),
        }
    }

    /// The journal's reply, if there is one, from a thread that may wait for the disk.
    async fn kept(&self, key: Key) -> Result<Option<Kept>, Failure> {
        let is_there = |journal: &Arc<Journal>| journal.has(key) || journal.tries(key) > 0;
        let Some(journal) = self.journal.clone().filter(is_there) else { return Ok(None) };
        spawn_blocking(move || journal.get(key)).await.map_err(anyhow::Error::from).flatten().map_err(failed)
    }

    /// Sends a request once, when pace and budget let it go, and keeps the reply.
    async fn attempt(
        &self,
        server: &Server,
        (key, document): (Key, &str),
        request: &Value,
        estimate: &Estimate,
        note: &impl Fn(Note),
    ) -> Result<Reply, Failure> {
        let (reservation, permit) = self.admitted(server, key, estimate).await?;
        match server.client.ask(request).await {
            Ok(body) => {
                server.has_replied.store(true, Ordering::Relaxed);
                let reply = Reply::read(&body);
                permit.went_well(reply.usage.map(Tokens::total));
                let used = reply.tokens(estimate.most);
                reservation.used(used);
                self.keep(server, (key, document), used, &body).await?;
                Ok(reply)
            }
            Err(failure) => {
                let is_taken = server.has_replied.load(Ordering::Relaxed);
                let mut failure = if is_taken { failure.beside_others() } else { failure };
                if let Some(paid) = failure.paid.take() {
                    reservation.used(paid.tokens);
                    self.keep(server, (key, document), paid.tokens, &paid.body).await?;
                } else if failure.may_cost {
                    // The journal says so already.
                    reservation.used(estimate.most);
                } else {
                    self.turned_away(key, reservation);
                }
                if failure.verdict == Verdict::Run {
                    // While the permit is held: nobody else shall send what cannot succeed.
                    self.stop.send_replace(true);
                }
                if failure.is_refusal {
                    let asked = if let Verdict::Retry(asked) = failure.verdict { asked } else { None };
                    if let Some(allowed) = permit.was_refused(asked) {
                        note(Note::detail(format!(
                            "the server has too much to do: {allowed} requests at once from now on"
                        )));
                    }
                }
                Err(failure)
            }
        }
    }

    /// Puts an answer that is paid for into the journal.
    async fn keep(
        &self,
        server: &Server,
        (key, document): (Key, &str),
        used: Tokens,
        body: &Value,
    ) -> Result<(), Failure> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let kept = journal.put(key, document, Cost::of(used, &server.budget), body).await;
        kept.map_err(|error| self.cannot_keep(error))
    }

    /// Waits until a request may be sent: its money is set aside, on disk too, and it is its turn.
    async fn admitted(&self, server: &Server, key: Key, estimate: &Estimate) -> Result<(Reservation, Permit), Failure> {
        let no_room = || Failure::new("the cap is reached", None, Verdict::Cap);
        if server.budget.is_reached() {
            // Without a place in the queue: all that come behind would wait for theirs.
            return Err(no_room());
        }
        let mut stopped = self.stop.subscribe();
        let _prepared = tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => return Err(Failure::stopped()),
            prepared = server.prepared.acquire() => prepared.map_err(|error| failed(error.into()))?,
        };
        let Some(reservation) = server.budget.reserve(estimate.most).await else {
            return Err(no_room());
        };
        if let Some(journal) = &self.journal {
            let most = Cost::of(estimate.most, &server.budget);
            let most = if server.longest_reply.is_some() { most } else { most.without_limit() };
            if let Err(error) = journal.asked(key, most).await {
                reservation.unused();
                return Err(self.cannot_keep(error));
            }
        }
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => {
                self.turned_away(key, reservation);
                Err(Failure::stopped())
            }
            permit = server.pace.admit(estimate.about.total()) => Ok((reservation, permit)),
        }
    }

    /// Gives back what was set aside for a request that cost nothing.
    fn turned_away(&self, key: Key, reservation: Reservation) {
        reservation.unused();
        if let Some(journal) = &self.journal {
            journal.turned_away(key);
        }
    }

    /// A journal that takes no line; what comes after it could not be kept either.
    fn cannot_keep(&self, error: anyhow::Error) -> Failure {
        self.stop.send_replace(true);
        failed(error)
    }
}

/// What a request may take.
pub(crate) struct Estimate {
    /// Probably.
    pub(crate) about: Tokens,
    /// At most.
    pub(crate) most: Tokens,
}

impl Estimate {
    /// Of a request for so many queries, whose reply is no longer than `longest_reply`, if that is known.
    pub(crate) fn of(request: &Value, queries: usize, longest_reply: Option<u64>) -> Self {
        let about_of_reply = about_of_reply(queries).min(longest_reply.unwrap_or(u64::MAX));
        Self {
            about: Tokens { input: about_of_prompt(request), output: about_of_reply },
            most: Tokens { input: most_of_prompt(request), output: longest_reply.unwrap_or_default() },
        }
    }
}

/// The journal's reply, which an earlier run may have found useless, and this one then does too.
fn from_journal(kept: Kept, key: Key) -> Result<Answer, Failure> {
    let given_up = match kept.tries {
        0 | 1 => String::new(),
        tries => {
            format!("; asked {tries} times, and no more: to ask again, delete the journal's lines of {}", key.text())
        }
    };
    match Failure::in_reply(&kept.body) {
        Some(failure) => Err(failure.with(&given_up)),
        None => Ok(Answer::Reply { reply: Reply::read(&kept.body), from_journal: true, given_up }),
    }
}

fn failed(error: anyhow::Error) -> Failure {
    Failure::new(format!("{error:#}"), None, Verdict::Run)
}
