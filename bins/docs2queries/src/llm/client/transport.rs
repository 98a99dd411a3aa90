//! HTTP: requests are signed, answers are bounded in length, and every answer other than a success is a [`Failure`].

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Request, Response, Url};
use tokio::time::timeout;

use super::advice;
use crate::llm::address::{Address, Host};
use crate::llm::failure::{Failure, Verdict};
use crate::llm::rate_limiter::RateLimiter;
use crate::llm::secrets::Secrets;

/// The longest answer that is read. The longest completion of any model, in any script, with its reasoning repeated,
/// has less than half of that.
const MAX_ANSWER_BYTES: u64 = 8 << 20;
/// The beginning of an error that is read; the rest is ignored.
const MAX_ERROR_BYTES: u64 = 64 << 10;
/// The time limit of a download, whatever its size.
pub(super) const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(3600);

/// The HTTP client, with the properties of the server.
pub(super) struct Transport {
    pub(super) http: reqwest::Client,
    pub(super) address: Address,
    pub(super) key: String,
    /// Headers of every request that identify the account.
    pub(super) headers: HeaderMap,
    pub(super) secrets: Secrets,
    pub(super) limiter: Arc<RateLimiter>,
    /// Whether the server has ever answered anything.
    pub(super) was_reached: AtomicBool,
    /// The longest wait for an answer, and for the next chunk of a file.
    pub(super) timeout: Duration,
}

/// An answer with an error status: what follows from it, and its text.
#[derive(Debug, thiserror::Error)]
#[error("{failure}")]
pub(super) struct ErrorResponse {
    pub(super) failure: Failure,
    pub(super) status: u16,
    pub(super) body: String,
}

impl Transport {
    /// Sends a request that async-openai has prepared, and reads the whole answer.
    pub(super) async fn send(self: Arc<Self>, request: HttpRequestFactory) -> Result<Response, OpenAIError> {
        let mut response = self.execute(request.build().await?).await?;
        let mut answer = http::Response::new(Vec::new());
        *answer.status_mut() = response.status();
        let bytes = answer.body_mut();
        self.read(&mut response, MAX_ANSWER_BYTES, |chunk| {
            bytes.extend_from_slice(chunk);
            Ok(())
        })
        .await?;
        Ok(answer.into())
    }

    /// Downloads a file of at most `max_bytes` bytes to a temporary one.
    pub(super) async fn download(&self, file: &str, max_bytes: u64) -> Result<File, OpenAIError> {
        let no_address = || boxed(Failure::new("the server's address takes no path", None, Verdict::Fatal));
        let mut url = Url::parse(&self.address.base).map_err(|_| no_address())?;
        url.path_segments_mut().map_err(|()| no_address())?.extend(["files", file, "content"]);
        let request = self.http.get(url).headers(self.headers.clone()).timeout(DOWNLOAD_TIMEOUT).build()?;
        let mut response = self.execute(request).await?;
        let disk =
            |error: std::io::Error| boxed(Failure::new(format!("temporary file: {error}"), None, Verdict::Fatal));
        let mut content = tempfile::tempfile().map_err(disk)?;
        self.read(&mut response, max_bytes, |chunk| content.write_all(chunk).map_err(disk)).await?;
        content.rewind().map_err(disk)?;
        Ok(content)
    }

    /// Sends a request; an answer with an error status is an error.
    async fn execute(&self, mut request: Request) -> Result<Response, OpenAIError> {
        self.sign(&mut request);
        let mut response = self.http.execute(request).await?;
        self.was_reached.store(true, Ordering::Relaxed);
        self.limiter.update(response.headers());
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let mut body = Vec::new();
        // An error whose body breaks off or never ends is still an error.
        let _ = self
            .read(&mut response, MAX_ERROR_BYTES, |chunk| {
                body.extend_from_slice(chunk);
                Ok(())
            })
            .await;
        let body = self.secrets.redact(&String::from_utf8_lossy(&body));
        let failure = Failure::of_status(status, response.headers(), body.as_bytes());
        let failure = advice::apply(failure, response.headers(), &body);
        Err(OpenAIError::Boxed(Box::new(ErrorResponse { failure, status: status.as_u16(), body })))
    }

    /// Adds the key and the query in the way that the server expects.
    fn sign(&self, request: &mut Request) {
        // Azure takes its keys in a header of its own, and the tokens of Entra ID like everybody else.
        let in_own_header = self.address.host == Host::Azure && !is_token(&self.key);
        if self.key.is_empty() || in_own_header {
            request.headers_mut().remove(AUTHORIZATION);
        }
        if in_own_header && let Ok(mut key) = HeaderValue::from_str(&self.key) {
            key.set_sensitive(true);
            request.headers_mut().insert("api-key", key);
        }
        if let Some(query) = &self.address.query {
            request.url_mut().set_query(Some(query));
        }
    }

    /// Reads a body of at most `max_bytes` bytes, chunk by chunk.
    async fn read(
        &self,
        response: &mut Response,
        max_bytes: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), OpenAIError>,
    ) -> Result<(), OpenAIError> {
        let too_long = || {
            let message = format!("the server's answer is longer than {max_bytes} bytes and was cut off");
            boxed(Failure::new(message, None, Verdict::Request).possibly_paid())
        };
        let mut room = max_bytes;
        if response.content_length().is_some_and(|length| length > max_bytes) {
            return Err(too_long());
        }
        let timed_out = || boxed(Failure::timed_out(self.timeout));
        while let Some(chunk) = timeout(self.timeout, response.chunk()).await.map_err(|_| timed_out())?? {
            room = room.checked_sub(chunk.len() as u64).ok_or_else(too_long)?;
            take(&chunk)?;
        }
        Ok(())
    }
}

/// Whether a key is a JSON web token, as Entra ID issues them.
fn is_token(key: &str) -> bool {
    key.starts_with("eyJ") && key.matches('.').count() == 2
}

fn boxed(failure: Failure) -> OpenAIError {
    OpenAIError::Boxed(Box::new(failure))
}
