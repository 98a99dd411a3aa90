//! What requests can cost at most whose replies do not say what they did.

use std::collections::HashMap;

use crate::llm::Run;
use crate::llm::budget::Tokens;
use crate::llm::journal::Key;

/// The most tokens of each request; read from the documents when the first one is asked for, because servers count.
pub(super) struct Bounds<'a> {
    run: &'a Run<'a>,
    longest_reply: Option<u64>,
    most: Option<HashMap<Key, Tokens>>,
}

impl<'a> Bounds<'a> {
    pub(super) fn new(run: &'a Run<'a>, longest_reply: Option<u64>) -> Self {
        Self { run, longest_reply, most: None }
    }

    /// The most that a request can take; nothing of one that is not of these documents.
    ///
    /// # Errors
    /// Those of reading the input.
    pub(super) fn of(&mut self, key: Key) -> anyhow::Result<Tokens> {
        let most = match &mut self.most {
            Some(most) => most,
            unread => {
                let mut most = HashMap::new();
                // Those whose reply is in the journal by now were requests of a batch too.
                self.run.requests_beside(None, self.longest_reply, |request| {
                    most.insert(request.key, request.estimate.most);
                    Ok(())
                })?;
                unread.insert(most)
            }
        };
        Ok(most.get(&key).copied().unwrap_or_default())
    }
}
