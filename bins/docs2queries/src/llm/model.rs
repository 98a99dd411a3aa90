//! A language model at its server, and its price.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::ensure;
use embtune_cli::Session;
use tokio::sync::Semaphore;

use super::address::{Address, Host};
use super::budget::{Budget, Caps, Price, Spent, longest_completion};
use super::client::Client;
use super::dialect::RequestDialect;
use super::journal::{IsUsable, Journal};
use super::notices::Notices;
use super::rate_limiter::{Limits, RateLimiter};
use super::requester::Server;

/// For this many requests in flight, one more may be prepared in the journal.
const IN_FLIGHT_PER_PREPARED: usize = 4;

/// The model to ask, and the limits on it.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The model's name at its server.
    pub(crate) model: String,
    /// The server's address; none is OpenAI's.
    pub(crate) base_url: Option<String>,
    /// Where replies are kept.
    pub(crate) journal: Option<PathBuf>,
    /// The limit on a reply's tokens; none leaves it to the server.
    pub(crate) max_completion_tokens: Option<u32>,
    pub(crate) limits: Limits,
    /// The longest wait for one reply.
    pub(crate) timeout: Duration,
    /// Attempts after the first, for one request.
    pub(crate) max_retries: u32,
    pub(crate) caps: Caps,
    /// The user's prices in dollars for a million tokens of prompts and completions.
    pub(crate) prices: (Option<f64>, Option<f64>),
    /// Whether requests are sent in batches, at the price of batches.
    pub(crate) is_batch: bool,
}

/// A language model at the address of its server; nothing is sent yet.
pub(crate) struct Model<'a> {
    settings: &'a Settings,
    address: Address,
}

impl<'a> Model<'a> {
    /// The model that the settings name.
    ///
    /// # Errors
    /// An address that cannot be one.
    pub(crate) fn new(settings: &'a Settings) -> anyhow::Result<Self> {
        Ok(Self { settings, address: Address::parse(settings.base_url.as_deref().unwrap_or_default())? })
    }

    /// Opens the journal, if there is one.
    ///
    /// # Errors
    /// A file that is something else, is in use, or cannot be written.
    pub(crate) fn open_journal(
        &self,
        is_usable: Box<IsUsable>,
        session: &Session,
    ) -> anyhow::Result<Option<Arc<Journal>>> {
        let Some(path) = &self.settings.journal else { return Ok(None) };
        let journal = Journal::open(path, is_usable)?;
        journal.warning().into_iter().for_each(|warning| session.warn(warning));
        Ok(Some(Arc::new(journal)))
    }

    /// Checks that the server can have a Batch API.
    ///
    /// # Errors
    /// A server that is known to have none.
    pub(crate) fn check_batch_api(&self) -> anyhow::Result<()> {
        ensure!(
            self.address.host != Host::GitHub,
            "--batch: GitHub Models has no Batch API\nhint: without --batch, the requests are sent one by one"
        );
        Ok(())
    }

    /// The parameters that the server most likely takes.
    pub(super) fn dialect(&self) -> RequestDialect {
        RequestDialect::new(&self.settings.model, &self.address)
    }

    /// The price of a token, if it is known.
    fn price(&self) -> anyhow::Result<Option<Price>> {
        let given = self.settings.prices;
        let price = Price::find(given, &self.settings.model, self.address.host)?;
        // The user's price is that of a batch already.
        let is_reduced = self.settings.is_batch && given.0.is_none();
        Ok(if is_reduced { price.map(Price::for_batches) } else { price })
    }

    /// The budget, and the most tokens of a reply, if that is known.
    ///
    /// # Errors
    /// A cap that cannot be kept, because the price or the longest reply is not known.
    pub(crate) fn budget(
        &self,
        journal: Option<&Journal>,
        session: &Session,
    ) -> anyhow::Result<(Arc<Budget>, Option<u64>)> {
        let Settings { model, caps, max_completion_tokens, .. } = self.settings;
        let price = self.price()?;
        ensure!(
            caps.usd.is_none() || price.is_some(),
            "--max-usd: the price of {model} at this server is not known\nhint: --price-in and --price-out, in dollars for \
             a million tokens"
        );
        let longest_reply = max_completion_tokens.map(u64::from);
        let longest_reply = longest_reply.or_else(|| longest_completion(model, self.address.host));
        let has_cap = caps.usd.is_some() || caps.tokens.is_some();
        ensure!(
            !has_cap || longest_reply.is_some(),
            "a cap requires a limit on the length of {model}'s replies\nhint: --max-completion-tokens"
        );
        let mut before = Spent::default();
        if let Some(journal) = journal {
            let (open, count) = journal.unanswered(price, longest_reply.unwrap_or_default());
            before = journal.paid(price) + open;
            if count > 0 && has_cap {
                session.notice(format!(
                    "requests of earlier runs without a reply: {count}, counted as {} tokens, {}",
                    open.tokens.total(),
                    open.usd
                ));
            }
        }
        Ok((Arc::new(Budget::new(price, *caps, before)), longest_reply))
    }

    /// A connection to the server.
    ///
    /// # Errors
    /// As for [`Self::budget`], and a key or a proxy in the environment that cannot be used.
    pub(crate) fn connect(
        &self,
        journal: Option<&Journal>,
        notices: Notices,
        session: &Session,
    ) -> anyhow::Result<Server> {
        let Settings { limits, timeout, max_retries, .. } = *self.settings;
        let limiter = Arc::new(RateLimiter::new(limits, notices.clone()));
        let client = Client::new(self.address.clone(), self.dialect(), timeout, Arc::clone(&limiter), notices)?;
        let (budget, longest_reply) = self.budget(journal, session)?;
        let prepared = Semaphore::new(limits.concurrency.div_ceil(IN_FLIGHT_PER_PREPARED));
        Ok(Server {
            client,
            limiter,
            budget,
            max_retries,
            has_replied: AtomicBool::new(false),
            longest_reply,
            prepared,
        })
    }
}
