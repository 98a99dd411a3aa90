//! The client of an OpenAI-compatible server.

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use reqwest::header::AUTHORIZATION;
use reqwest::{StatusCode, Url};
use serde_json::Value;
use tower::service_fn;

use crate::failure::{Failure, Verdict, root_cause};
use crate::reply::shown;

const OPENAI: &str = "https://api.openai.com/v1";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks one question at a time, without repeating any.
///
/// The crate's own retry is out of the way: it gives up within a second and hides the status behind the body's form.
/// Its HTTP service is replaced by one that turns every answer that is no success into a [`Failure`].
pub(crate) struct OpenAi {
    client: Client<OpenAIConfig>,
    key: String,
    /// Whether the server has ever answered anything.
    reached: Arc<AtomicBool>,
    requests: AtomicU64,
}

impl OpenAi {
    /// A client of the server at `base_url`, OpenAI's without one; the key comes from the environment.
    ///
    /// # Errors
    /// An address or a key that cannot be one, or no key for OpenAI itself.
    pub(crate) fn new(base_url: Option<&str>, timeout: Duration) -> anyhow::Result<Self> {
        let base_url = normalised(base_url.unwrap_or_default())?;
        let key = secret("OPENAI_API_KEY")?;
        ensure!(
            !key.is_empty() || base_url != OPENAI,
            "no key\nhint: set OPENAI_API_KEY, or name a server of your own with --base-url"
        );
        let mut http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(timeout);
        if base_url.starts_with("http:") {
            // Without TLS, a machine without certificates will do.
            http = http.tls_certs_only([]);
        }
        let http = http.build().map_err(|error| {
            let cause = root_cause(&error);
            anyhow!("cannot set up HTTPS: {cause}\nhint: are the system's CA certificates installed?")
        })?;
        let config = OpenAIConfig::new()
            .with_api_base(base_url)
            .with_api_key(&key)
            .with_org_id(secret("OPENAI_ORG_ID")?)
            .with_project_id(secret("OPENAI_PROJECT_ID")?);
        let reached = Arc::new(AtomicBool::new(false));
        let has_key = !key.is_empty();
        let service = service_fn({
            let (http, reached) = (http.clone(), Arc::clone(&reached));
            move |request| send(http.clone(), request, has_key, Arc::clone(&reached))
        });
        let client = Client::build(http, config).with_http_service(service);
        Ok(Self { client, key, reached, requests: AtomicU64::new(0) })
    }

    /// Sends a chat completion request and returns the reply's body, unchecked but for being JSON with choices.
    pub(crate) async fn ask(&self, request: &Value) -> Result<Value, Failure> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let answer = self.client.chat().create_byot(request).await;
        answer
            .map_err(|error| self.failure(error))
            .and_then(with_choices)
            .map_err(|failure| failure.without_secret(&self.key))
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

async fn send(
    http: reqwest::Client,
    request: HttpRequestFactory,
    has_key: bool,
    reached: Arc<AtomicBool>,
) -> Result<reqwest::Response, OpenAIError> {
    let boxed = |failure: Failure| OpenAIError::Boxed(Box::new(failure));
    let mut request = request.build().await?;
    if !has_key {
        request.headers_mut().remove(AUTHORIZATION);
    }
    let response = http.execute(request).await?;
    reached.store(true, Ordering::Relaxed);
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let headers = response.headers().clone();
    let body = response.bytes().await.unwrap_or_default();
    Err(boxed(Failure::of_status(status, &headers, &body)))
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
}

/// The address in the form that the client appends `/chat/completions` to.
fn normalised(base_url: &str) -> anyhow::Result<String> {
    let base_url = base_url.trim().trim_end_matches('/').trim_end_matches("/chat/completions").trim_end_matches('/');
    if base_url.is_empty() {
        return Ok(OPENAI.into());
    }
    let hint = "hint: an address looks like http://localhost:8000/v1 (--base-url, OPENAI_BASE_URL)";
    let url = Url::parse(base_url).map_err(|error| anyhow!("the server's address: {error}\n{hint}"))?;
    ensure!(matches!(url.scheme(), "http" | "https"), "the server's address must begin with http or https\n{hint}");
    let bare = url.username().is_empty() && url.password().is_none();
    ensure!(bare, "the server's address holds a user or a password\nhint: give the key in OPENAI_API_KEY");
    Ok(base_url.to_owned())
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
    fn addresses_are_brought_into_one_form() {
        for given in ["http://h:1/v1", "http://h:1/v1/", " http://h:1/v1// ", "http://h:1/v1/chat/completions"] {
            assert_eq!(normalised(given).unwrap(), "http://h:1/v1");
        }
        assert_eq!(normalised("").unwrap(), OPENAI);
        for bad in ["localhost:8000/v1", "h", "ftp://h/v1", "http://user:secret@h/v1"] {
            let error = normalised(bad).unwrap_err().to_string();
            assert!(error.contains("hint: ") && !error.contains("secret"), "{error}");
        }
    }

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
