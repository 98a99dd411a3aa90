//! Asking about one passage: from the journal, or from the server within pace, budget and patience.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;

use super::budget::{Budget, Spent, Tokens, about_of_prompt, about_of_reply, most_of_prompt};
use super::client::{Failure, OpenAi, Verdict};
use super::journal::{Journal, Key};
use super::pace::Pace;
use super::reply::Reply;
use super::retry::Retry;
use crate::documents::Passage;
use crate::prompt::Prompt;

/// Asks about passages.
pub(crate) struct Asker {
    /// Without a server, only the journal is asked.
    pub(crate) server: Option<Server>,
    pub(crate) prompt: Prompt,
    pub(crate) journal: Option<Arc<Journal>>,
    /// Says true when nothing new shall be tried.
    pub(crate) stop: watch::Sender<bool>,
    /// What the user may want to hear meanwhile.
    pub(crate) notes: mpsc::UnboundedSender<String>,
}

/// A server and how it is treated.
pub(crate) struct Server {
    pub(crate) client: OpenAi,
    pub(crate) pace: Arc<Pace>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) retry: Retry,
    /// The most tokens of a reply; 0 where that is unknown, which is where there is no cap.
    pub(crate) longest_reply: u64,
}

/// What came of asking.
pub(crate) enum Answer {
    Reply {
        reply: Reply,
        from_journal: bool,
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
        if let Some(body) = self.kept(key).await? {
            return Ok(Answer::Reply { reply: Reply::read(&body), from_journal: true });
        }
        let Some(server) = &self.server else { return Ok(Answer::NotAsked) };
        let note = |text| {
            // Nobody listens any more when the run has failed.
            let _ = self.notes.send(format!("document {}: {text}", passage.name()));
        };
        let estimate = Estimate::of(&request, self.prompt.queries(), server.longest_reply);
        let attempt = || server.attempt(&request, &estimate, &self.stop, &note);
        let asked = server.retry.run(self.stop.subscribe(), note, attempt).await;
        let (mut body, spent) = match asked {
            Err(failure) if failure.verdict == Verdict::Cap => return Ok(Answer::NotAsked),
            asked => asked?,
        };
        if let Some(journal) = &self.journal {
            body = journal.put(key, &passage.name(), spent, &body).await.map_err(|error| {
                // What comes after it could not be kept either.
                self.stop.send_replace(true);
                failed(error)
            })?;
        }
        Ok(Answer::Reply { reply: Reply::read(&body), from_journal: false })
    }

    /// The journal's reply, if there is one, from a thread that may wait for the disk.
    async fn kept(&self, key: Key) -> Result<Option<Value>, Failure> {
        let Some(journal) = self.journal.clone().filter(|journal| journal.has(key)) else { return Ok(None) };
        spawn_blocking(move || journal.get(key)).await.map_err(anyhow::Error::from).flatten().map_err(failed)
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
    /// Of a request for so many queries, whose reply is no longer than `longest_reply`; 0 is unknown.
    pub(crate) fn of(request: &Value, queries: usize, longest_reply: u64) -> Self {
        let about_of_reply = about_of_reply(queries).min(if longest_reply == 0 { u64::MAX } else { longest_reply });
        Self {
            about: Tokens { input: about_of_prompt(request), output: about_of_reply },
            most: Tokens { input: most_of_prompt(request), output: longest_reply },
        }
    }
}

impl Server {
    /// Sends a request once, when pace and budget let it go.
    async fn attempt(
        &self,
        request: &Value,
        estimate: &Estimate,
        stop: &watch::Sender<bool>,
        note: &impl Fn(String),
    ) -> Result<(Value, Spent), Failure> {
        let no_room = || Failure::new("the cap is reached", None, Verdict::Cap);
        if self.budget.is_reached() {
            // Without a place in the queue: all that come behind would wait for theirs.
            return Err(no_room());
        }
        let mut stopped = stop.subscribe();
        let permit = tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => return Err(Failure::stopped()),
            permit = self.pace.admit(estimate.about.total()) => permit,
        };
        let Some(reservation) = self.budget.reserve(estimate.most).await else {
            return Err(no_room());
        };
        match self.client.ask(request).await {
            Ok(body) => {
                let usage = Reply::read(&body).usage;
                permit.went_well(usage.map(Tokens::total));
                Ok((body, reservation.used(usage)))
            }
            Err(failure) => {
                if failure.may_cost {
                    reservation.used(None);
                } else {
                    reservation.unused();
                }
                if failure.verdict == Verdict::Run {
                    // While the permit is held: nobody else shall send what cannot succeed.
                    stop.send_replace(true);
                }
                if failure.is_refusal {
                    let asked = if let Verdict::Retry(asked) = failure.verdict { asked } else { None };
                    if let Some(allowed) = permit.was_refused(asked) {
                        note(format!("the server has too much to do: {allowed} requests at once from now on"));
                    }
                }
                Err(failure)
            }
        }
    }
}

fn failed(error: anyhow::Error) -> Failure {
    Failure::new(format!("{error:#}"), None, Verdict::Run)
}
