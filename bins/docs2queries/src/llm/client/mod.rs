//! The client of an OpenAI-compatible server.

mod advice;
mod batches;
mod transport;

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use async_openai::config::{Config as _, OpenAIConfig};
use async_openai::error::OpenAIError;
use embtune_cli::Proxies;
use reqwest::Proxy;
use reqwest::header::HeaderMap;
use reqwest::redirect::{Attempt, Policy};
use serde_json::Value;
use tower::service_fn;

use super::address::{Address, Host};
use super::dialect::RequestDialect;
use super::failure::{Failure, Verdict, root_cause};
use super::json;
use super::notices::{Notice, NoticeKind, Notices};
use super::rate_limiter::RateLimiter;
use super::secrets::Secrets;

pub(super) use batches::{Batch, Status};

use transport::{ErrorResponse, Transport};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_REDIRECTS: usize = 5;

/// Sends each request once: it never repeats one that a server may have processed.
///
/// async-openai's own retries are bypassed, because they give up within a second and hide the status of an error behind
/// the form of its body. Its HTTP service is replaced by [`Transport`], which turns every error status into a
/// [`Failure`] and limits how much is read.
pub(super) struct Client {
    api: async_openai::Client<OpenAIConfig>,
    transport: Arc<Transport>,
    dialect: RequestDialect,
    notices: Notices,
    /// The number of requests that were sent, retries included.
    pub(super) requests: AtomicU64,
}

impl Client {
    /// A client of the server at an address. Keys and proxies come from the environment; `limiter` is notified of the
    /// limits that the server reports.
    ///
    /// # Errors
    /// A key or a proxy that cannot be used, or no key for a server that is known to need one.
    pub(super) fn new(
        address: Address,
        dialect: RequestDialect,
        timeout: Duration,
        limiter: Arc<RateLimiter>,
        notices: Notices,
    ) -> anyhow::Result<Self> {
        let key = secret("OPENAI_API_KEY")?;
        ensure!(
            !key.is_empty() || !(address.host.is_openai() || address.host == Host::GitHub),
            "no API key\nhint: set OPENAI_API_KEY, or name a server of your own with --base-url"
        );
        let proxies = Proxies::of_environment()?;
        let proxy = address.origin().and_then(|(scheme, host, port)| proxies.for_host(&scheme, &host, port));
        let http = http_client(&address, timeout, proxy.map(|proxy| proxy.url()))?;
        let known = [key.as_str()].into_iter().chain(address.secrets()).chain(proxy.and_then(|proxy| proxy.password()));
        let secrets = Secrets::new(known);
        let config = OpenAIConfig::new()
            .with_api_base(&address.base)
            .with_api_key(&key)
            .with_org_id(secret("OPENAI_ORG_ID")?)
            .with_project_id(secret("OPENAI_PROJECT_ID")?);
        let (headers, was_reached) = (config.headers(), AtomicBool::new(false));
        let transport =
            Arc::new(Transport { http: http.clone(), address, key, headers, secrets, limiter, was_reached, timeout });
        let service = service_fn({
            let transport = Arc::clone(&transport);
            move |request| Arc::clone(&transport).send(request)
        });
        let api = async_openai::Client::build(http, config).with_http_service(service);
        Ok(Self { api, transport, dialect, notices, requests: AtomicU64::new(0) })
    }

    /// Sends a chat completion request and returns the body of the reply, after checking that it is not an error.
    ///
    /// If the server does not support a parameter, the request is sent again at once without it.
    pub(super) async fn complete(&self, request: &Value) -> Result<Value, Failure> {
        loop {
            let sent = self.dialect.translate(request);
            self.requests.fetch_add(1, Ordering::Relaxed);
            let error = match mended(self.api.chat().create_byot(sent.clone()).await) {
                Ok(body) => return self.checked(body),
                Err(error) => error,
            };
            if self.learn(&error, &sent) && self.dialect.translate(request) != sent {
                continue;
            }
            return Err(self.failure(error));
        }
    }

    /// Whether an error may refuse a parameter of the request; if so, the dialect has learnt from it.
    fn learn(&self, error: &OpenAIError, sent: &Value) -> bool {
        let OpenAIError::Boxed(error) = error else { return false };
        let Some(response) = error.downcast_ref::<ErrorResponse>() else { return false };
        let is_refusal = matches!(response.status, 400 | 422) && !matches!(response.failure.verdict, Verdict::Retry(_));
        if is_refusal && let Some(learnt) = self.dialect.learn(sent, &response.body) {
            self.notices.send(Notice { kind: NoticeKind::Warning, text: learnt });
        }
        is_refusal
    }

    /// Returns the body if it is not an error. Secrets are redacted before a message is cut to length, so that no part
    /// of one is left.
    fn checked(&self, body: Value) -> Result<Value, Failure> {
        if Failure::in_reply(&body).is_none() {
            return Ok(body);
        }
        let text = self.transport.secrets.redact(&body.to_string());
        let body = json::read(text.as_bytes()).map_or(body, |read| read.value);
        Failure::in_reply(&body).map_or(Ok(body), |failure| Err(advice::apply(failure, &HeaderMap::new(), &text)))
    }

    /// The JSON that a call of async-openai brought.
    fn value(&self, answer: Result<Value, OpenAIError>) -> Result<Value, Failure> {
        mended(answer).map_err(|error| self.failure(error))
    }

    fn failure(&self, error: OpenAIError) -> Failure {
        self.failure_within(error, self.transport.timeout)
    }

    /// The failure of a request that had this time limit.
    fn failure_within(&self, error: OpenAIError, timeout: Duration) -> Failure {
        let failure = match error {
            OpenAIError::Boxed(error) => match error.downcast::<ErrorResponse>().map(|response| response.failure) {
                Ok(failure) => failure,
                Err(other) => match other.downcast::<Failure>() {
                    Ok(failure) => *failure,
                    Err(other) => Failure::new(other.to_string(), None, Verdict::Fatal),
                },
            },
            OpenAIError::Reqwest(error) => {
                let was_reached = self.transport.was_reached.load(Ordering::Relaxed);
                Failure::of_transport(error, was_reached, timeout)
            }
            OpenAIError::JSONDeserialize(_, body) => Failure::no_completion(&self.transport.secrets.redact(&body)),
            other => Failure::new(other.to_string(), None, Verdict::Fatal),
        };
        self.redacted(failure)
    }

    /// The failure without secrets, which a server may have repeated.
    fn redacted(&self, failure: Failure) -> Failure {
        Failure { message: self.transport.secrets.redact(&failure.message), ..failure }
    }
}

/// An answer that async-openai's strict parser refuses, read leniently.
fn mended(answer: Result<Value, OpenAIError>) -> Result<Value, OpenAIError> {
    match answer {
        Err(OpenAIError::JSONDeserialize(error, body)) => {
            json::read(body.as_bytes()).map(|read| read.value).ok_or_else(|| OpenAIError::JSONDeserialize(error, body))
        }
        other => other,
    }
}

/// An HTTP client for a server, with or without a proxy.
fn http_client(address: &Address, timeout: Duration, proxy: Option<&str>) -> anyhow::Result<reqwest::Client> {
    let mut http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(timeout).no_proxy();
    if address.host == Host::Azure {
        // reqwest withholds the Authorization header from other hosts, but not Azure's own api-key.
        http = http.redirect(Policy::custom(
            |attempt| if is_same_origin(&attempt) { attempt.follow() } else { attempt.stop() },
        ));
    }
    if !address.base.starts_with("https:") && !proxy.is_some_and(|proxy| proxy.starts_with("https:")) {
        // Without TLS, a machine without CA certificates will do.
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

/// Whether a redirection leads back to the host that sent it.
fn is_same_origin(attempt: &Attempt<'_>) -> bool {
    let previous = attempt.previous().last().map(|url| url.origin());
    attempt.previous().len() <= MAX_REDIRECTS && previous == Some(attempt.url().origin())
}

/// An environment variable whose value goes into a header; empty if it is not set.
fn secret(variable: &str) -> anyhow::Result<String> {
    let value = env::var_os(variable).unwrap_or_default();
    let value = value.to_str().map(str::trim).filter(|value| value.bytes().all(|byte| byte.is_ascii_graphic()));
    Ok(value.with_context(|| format!("{variable} contains a character that cannot be sent in a header"))?.to_owned())
}
