//! The client of an OpenAI-compatible server.

mod address;
mod advice;
mod batches;
mod blame;
mod failure;
mod refused;
mod said;
mod secrets;
mod wire;

use std::env;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use async_openai::Client;
use async_openai::config::{Config as _, OpenAIConfig};
use async_openai::error::OpenAIError;
use embtune_cli::Proxies;
use reqwest::Proxy;
use reqwest::header::HeaderMap;
use reqwest::redirect::{Attempt, Policy};
use serde_json::Value;
use tower::service_fn;

use super::json;
use super::note::{Note, Notes};
use super::pace::Pace;
use super::wording::Wording;

pub(crate) use address::{Address, Host};
pub(crate) use batches::{Batch, Status};
pub(crate) use failure::{Failure, Verdict};
pub(crate) use secrets::Secrets;

use failure::root_cause;
use wire::{Refusal, Wire};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Redirections that are followed.
const REDIRECTS: usize = 5;

/// Asks one question at a time, without repeating any that a server may have worked on.
///
/// The crate's own retry is out of the way: it gives up within a second and hides the status behind the body's form.
/// Its HTTP service is replaced by one that turns every answer that is no success into a [`Failure`], and reads none
/// without end.
pub(crate) struct OpenAi {
    client: Client<OpenAIConfig>,
    wire: Arc<Wire>,
    wording: Wording,
    notes: Notes,
    requests: AtomicU64,
}

impl OpenAi {
    /// A client of the server at an address; keys and the way there come from the environment, and `pace` hears what
    /// the server says of its limits.
    ///
    /// # Errors
    /// A key or a proxy that cannot be one, or no key for OpenAI itself.
    pub(crate) fn new(
        address: Address,
        wording: Wording,
        timeout: Duration,
        pace: Arc<Pace>,
        notes: Notes,
    ) -> anyhow::Result<Self> {
        let key = secret("OPENAI_API_KEY")?;
        ensure!(
            !key.is_empty() || !(address.host.is_openai() || address.host == Host::GitHub),
            "no key\nhint: set OPENAI_API_KEY, or name a server of your own with --base-url"
        );
        let proxies = Proxies::of_environment()?;
        let proxy = address.origin().and_then(|(scheme, host, port)| proxies.for_host(&scheme, &host, port));
        let http = http(&address, timeout, proxy.map(|proxy| proxy.url()))?;
        let known = [key.as_str()].into_iter().chain(address.secrets()).chain(proxy.and_then(|proxy| proxy.password()));
        let secrets = Secrets::new(known);
        let config = OpenAIConfig::new()
            .with_api_base(&address.base)
            .with_api_key(&key)
            .with_org_id(secret("OPENAI_ORG_ID")?)
            .with_project_id(secret("OPENAI_PROJECT_ID")?);
        let (headers, reached) = (config.headers(), AtomicBool::new(false));
        let wire = Arc::new(Wire { http: http.clone(), address, key, headers, secrets, pace, reached, timeout });
        let service = service_fn({
            let wire = Arc::clone(&wire);
            move |request| Arc::clone(&wire).send(request)
        });
        let client = Client::build(http, config).with_http_service(service);
        Ok(Self { client, wire, wording, notes, requests: AtomicU64::new(0) })
    }

    /// Sends a chat completion request and returns the reply's body, unchecked but for being JSON with choices.
    ///
    /// A server that does not take one of its parameters is asked again in other words, at once.
    pub(crate) async fn ask(&self, request: &Value) -> Result<Value, Failure> {
        loop {
            let sent = self.wording.of(request);
            self.requests.fetch_add(1, Ordering::Relaxed);
            let error = match mended(self.client.chat().create_byot(sent.clone()).await) {
                Ok(body) => return self.checked(body),
                Err(error) => error,
            };
            if self.can_be_said_otherwise(&error, &sent) && self.wording.of(request) != sent {
                continue;
            }
            return Err(self.failure(error));
        }
    }

    /// Whether an error refuses the words of a request; what is learnt from it is in the wording then.
    fn can_be_said_otherwise(&self, error: &OpenAIError, sent: &Value) -> bool {
        let OpenAIError::Boxed(error) = error else { return false };
        let Some(refusal) = error.downcast_ref::<Refusal>() else { return false };
        let is_of_words = matches!(refusal.status, 400 | 422) && !matches!(refusal.failure.verdict, Verdict::Retry(_));
        if is_of_words && let Some(learnt) = self.wording.learn(sent, &refusal.body) {
            self.notes.send(Note::warning(learnt));
        }
        is_of_words
    }

    /// A body that is a reply; what may end up in a message holds no secret before it is cut to length.
    fn checked(&self, body: Value) -> Result<Value, Failure> {
        if Failure::in_reply(&body).is_none() {
            return Ok(body);
        }
        let text = self.wire.secrets.blotted(&body.to_string());
        let body = json::read(text.as_bytes()).map_or(body, |read| read.value);
        Failure::in_reply(&body).map_or(Ok(body), |failure| Err(advice::heeded(failure, &HeaderMap::new(), &text)))
    }

    /// The failure that a body tells of which stands in place of a file.
    fn error_of_file(&self, body: &Value) -> Option<Failure> {
        let failure = Failure::in_place_of_file(body)?;
        Some(advice::heeded(failure, &HeaderMap::new(), &body.to_string()).without(&self.wire.secrets))
    }

    /// The content of a file of the server's, which is no longer than `most` bytes.
    pub(super) async fn download(&self, file: &str, most: u64) -> Result<File, Failure> {
        self.cleaned(self.wire.download(file, most).await)
    }

    /// What a call of the crate's brought, with failures as this client tells them.
    fn cleaned<T>(&self, answer: Result<T, OpenAIError>) -> Result<T, Failure> {
        answer.map_err(|error| self.failure(error))
    }

    /// The same of an answer that is JSON.
    fn value(&self, answer: Result<Value, OpenAIError>) -> Result<Value, Failure> {
        self.cleaned(mended(answer))
    }

    /// Requests that were sent, repeated ones included.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    fn failure(&self, error: OpenAIError) -> Failure {
        let secrets = &self.wire.secrets;
        let failure = match error {
            OpenAIError::Boxed(error) => match error.downcast::<Refusal>().map(|refusal| refusal.failure) {
                Ok(failure) => failure,
                Err(other) => match other.downcast::<Failure>() {
                    Ok(failure) => *failure,
                    Err(other) => Failure::new(other.to_string(), None, Verdict::Run),
                },
            },
            OpenAIError::Reqwest(error) => Failure::of_transport(error, self.wire.reached.load(Ordering::Relaxed)),
            OpenAIError::JSONDeserialize(_, body) => Failure::no_completion(&secrets.blotted(&body)),
            other => Failure::new(other.to_string(), None, Verdict::Run),
        };
        failure.without(secrets)
    }
}

/// An answer that the crate's strict reader refuses, read leniently.
fn mended(answer: Result<Value, OpenAIError>) -> Result<Value, OpenAIError> {
    match answer {
        Err(OpenAIError::JSONDeserialize(error, body)) => {
            json::read(body.as_bytes()).map(|read| read.value).ok_or_else(|| OpenAIError::JSONDeserialize(error, body))
        }
        other => other,
    }
}

/// A client on the way to a server, through a proxy or not.
fn http(address: &Address, timeout: Duration, proxy: Option<&str>) -> anyhow::Result<reqwest::Client> {
    let mut http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(timeout).no_proxy();
    if address.host == Host::Azure {
        // The crate knows that other hosts must not see the header Authorization, but not Azure's own.
        http = http
            .redirect(Policy::custom(|attempt| if is_at_home(&attempt) { attempt.follow() } else { attempt.stop() }));
    }
    if !address.is_encrypted() && !proxy.is_some_and(|proxy| proxy.starts_with("https:")) {
        // Without TLS, a machine without certificates will do.
        http = http.tls_certs_only([]);
    }
    if let Some(proxy) = proxy {
        http = http.proxy(Proxy::all(proxy).map_err(|error| anyhow!("the proxy: {}", root_cause(&error)))?);
    }
    http.build().map_err(|error| {
        let cause = root_cause(&error);
        anyhow!("cannot set up HTTPS: {cause}\nhint: are the system's CA certificates installed?")
    })
}

/// Whether a redirection leads to the host that sent it.
fn is_at_home(attempt: &Attempt<'_>) -> bool {
    let came_from = attempt.previous().last().map(|url| url.origin());
    attempt.previous().len() <= REDIRECTS && came_from == Some(attempt.url().origin())
}

/// A variable of the environment that goes into a header; empty when it is not set.
fn secret(variable: &str) -> anyhow::Result<String> {
    let value = env::var_os(variable).unwrap_or_default();
    let value = value.to_str().map(str::trim).filter(|value| value.bytes().all(|byte| byte.is_ascii_graphic()));
    Ok(value.with_context(|| format!("{variable} holds a character that cannot be sent"))?.to_owned())
}
