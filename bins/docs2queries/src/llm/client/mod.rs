//! The client of an OpenAI-compatible server.

mod address;
mod batches;
mod failure;

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde_json::Value;
use tower::service_fn;

use super::pace::Pace;
use super::reply::shown;
use super::wording::Wording;

pub(crate) use address::Address;
pub(crate) use batches::Batch;
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
        self.cleaned(answer).and_then(with_choices).map_err(|failure| failure.without_secret(&self.key))
    }

    /// What a call of the crate's brought, as this client tells it.
    fn cleaned<T>(&self, answer: Result<T, OpenAIError>) -> Result<T, Failure> {
        answer.map_err(|error| self.failure(error).without_secret(&self.key))
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
            OpenAIError::JSONDeserialize(_, body) => no_completion(&body),
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

/// A body without choices is no reply; some proxies report their upstream's error that way, under status 200.
fn with_choices(body: Value) -> Result<Value, Failure> {
    if body["choices"].is_array() {
        return Ok(body);
    }
    if body["error"].is_null() {
        return Err(no_completion(&body.to_string()));
    }
    let code = body["error"]["code"].as_u64().and_then(|code| StatusCode::from_u16(code.try_into().ok()?).ok());
    let status = code.filter(|status| !status.is_success()).unwrap_or(StatusCode::BAD_GATEWAY);
    Err(Failure::of_status(status, &Default::default(), body.to_string().as_bytes()))
}

fn no_completion(body: &str) -> Failure {
    let hint = "does the address end in /v1 (--base-url)?";
    Failure::new(format!("the server's answer is no chat completion: {}", shown(body)), Some(hint), Verdict::Document)
        .possibly_paid()
}

/// A variable of the environment that goes into a header; empty when it is not set.
fn secret(variable: &str) -> anyhow::Result<String> {
    let value = env::var_os(variable).unwrap_or_default();
    let value = value.to_str().map(str::trim).filter(|value| value.bytes().all(|byte| byte.is_ascii_graphic()));
    Ok(value.with_context(|| format!("{variable} holds a character that cannot be sent"))?.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reply_has_choices() {
        assert!(with_choices(json!({"choices": []})).is_ok());
        assert_eq!(with_choices(json!({})).unwrap_err().verdict, Verdict::Document);
        let verdict = |body: Value| with_choices(body).unwrap_err().verdict;
        assert_eq!(verdict(json!({"error": {"code": 429, "message": "slow"}})), Verdict::Retry(None));
        assert_eq!(verdict(json!({"error": {"code": 401}})), Verdict::Run);
        assert_eq!(verdict(json!({"error": "upstream"})), Verdict::Retry(None));
    }
}
