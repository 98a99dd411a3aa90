//! The client of an OpenAI-compatible server.

mod address;
mod batches;
mod blame;
mod failure;
mod refused;
mod said;

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde_json::Value;
use tower::service_fn;

use super::json;
use super::pace::Pace;
use super::wording::Wording;

pub(crate) use address::Address;
pub(crate) use batches::{Batch, Status};
pub(crate) use failure::{Failure, Verdict};

use failure::root_cause;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks one question at a time, without repeating any.
///
/// The crate's own retry is out of the way: it gives up within a second and hides the status behind the body's form.
/// Its HTTP service is replaced by one that turns every answer that is no success into a [`Failure`].
pub(crate) struct OpenAi {
    client: Client<OpenAIConfig>,
    wording: Wording,
    key: String,
    /// Whether the server has ever answered anything.
    reached: Arc<AtomicBool>,
    requests: AtomicU64,
}

impl OpenAi {
    /// A client of the server at an address; the key comes from the environment, and `pace` hears what the server says
    /// of its limits.
    ///
    /// # Errors
    /// A key that cannot be one, or no key for OpenAI itself.
    pub(crate) fn new(address: Address, wording: Wording, timeout: Duration, pace: Arc<Pace>) -> anyhow::Result<Self> {
        let key = secret("OPENAI_API_KEY")?;
        ensure!(
            !key.is_empty() || !address.is_openai(),
            "no key\nhint: set OPENAI_API_KEY, or name a server of your own with --base-url"
        );
        let mut http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(timeout);
        if !address.is_encrypted() {
            // Without TLS, a machine without certificates will do.
            http = http.tls_certs_only([]);
        }
        let http = http.build().map_err(|error| {
            let cause = root_cause(&error);
            anyhow!("cannot set up HTTPS: {cause}\nhint: are the system's CA certificates installed?")
        })?;
        let config = OpenAIConfig::new()
            .with_api_base(&address.base)
            .with_api_key(&key)
            .with_org_id(secret("OPENAI_ORG_ID")?)
            .with_project_id(secret("OPENAI_PROJECT_ID")?);
        let reached = Arc::new(AtomicBool::new(false));
        let wire =
            Arc::new(Wire { http: http.clone(), address, key: key.clone(), pace, reached: Arc::clone(&reached) });
        let service = service_fn(move |request| Arc::clone(&wire).send(request));
        let client = Client::build(http, config).with_http_service(service);
        Ok(Self { client, wording, key, reached, requests: AtomicU64::new(0) })
    }

    /// Sends a chat completion request and returns the reply's body, unchecked but for being JSON with choices.
    pub(crate) async fn ask(&self, request: &Value) -> Result<Value, Failure> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let answer = self.client.chat().create_byot(self.wording.of(request)).await;
        self.value(answer).and_then(Failure::or_reply).map_err(|failure| failure.without_secret(&self.key))
    }

    /// What a call of the crate's brought, with failures as this client tells them.
    fn cleaned<T>(&self, answer: Result<T, OpenAIError>) -> Result<T, Failure> {
        answer.map_err(|error| self.failure(error).without_secret(&self.key))
    }

    /// The same of an answer that is JSON: what the crate's strict reader refuses is read leniently.
    fn value(&self, answer: Result<Value, OpenAIError>) -> Result<Value, Failure> {
        self.cleaned(match answer {
            Err(OpenAIError::JSONDeserialize(error, body)) => json::read(body.as_bytes())
                .map(|read| read.value)
                .ok_or_else(|| OpenAIError::JSONDeserialize(error, body)),
            other => other,
        })
    }

    /// Requests that were sent, repeated ones included.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    fn failure(&self, error: OpenAIError) -> Failure {
        match error {
            OpenAIError::Boxed(error) => match error.downcast() {
                Ok(failure) => *failure,
                Err(other) => Failure::new(other.to_string(), None, Verdict::Run),
            },
            OpenAIError::Reqwest(error) => Failure::of_transport(error, self.reached.load(Ordering::Relaxed)),
            OpenAIError::JSONDeserialize(_, body) => Failure::no_completion(&body),
            other => Failure::new(other.to_string(), None, Verdict::Run),
        }
    }
}

/// What each request passes on its way out, and each answer on its way in.
struct Wire {
    http: reqwest::Client,
    address: Address,
    key: String,
    pace: Arc<Pace>,
    reached: Arc<AtomicBool>,
}

impl Wire {
    async fn send(self: Arc<Self>, request: HttpRequestFactory) -> Result<reqwest::Response, OpenAIError> {
        let boxed = |failure: Failure| OpenAIError::Boxed(Box::new(failure));
        let mut request = request.build().await?;
        if self.key.is_empty() || self.address.is_azure {
            request.headers_mut().remove(AUTHORIZATION);
        }
        if self.address.is_azure
            && let Ok(mut key) = HeaderValue::from_str(&self.key)
        {
            key.set_sensitive(true);
            request.headers_mut().insert("api-key", key);
        }
        if let Some(query) = &self.address.query {
            request.url_mut().set_query(Some(query));
        }
        let response = self.http.execute(request).await?;
        self.reached.store(true, Ordering::Relaxed);
        self.pace.hear(response.headers());
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let headers = response.headers().clone();
        let body = response.bytes().await.unwrap_or_default();
        Err(boxed(Failure::of_status(status, &headers, &body)))
    }
}

/// A variable of the environment that goes into a header; empty when it is not set.
fn secret(variable: &str) -> anyhow::Result<String> {
    let value = env::var_os(variable).unwrap_or_default();
    let value = value.to_str().map(str::trim).filter(|value| value.bytes().all(|byte| byte.is_ascii_graphic()));
    Ok(value.with_context(|| format!("{variable} holds a character that cannot be sent"))?.to_owned())
}
