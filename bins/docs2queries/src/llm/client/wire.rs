//! What each request passes on its way out, and each answer on its way in.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
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

use super::address::Host;
use super::secrets::Secrets;
use super::{Address, Failure, Verdict, advice};
use crate::llm::pace::Pace;

/// The longest answer that is read: a reply of the longest completion that any model gives, in any script, with its
/// reasoning told twice, has less than half of it.
const MOST_BYTES: u64 = 8 << 20;
/// The longest error that is read; what comes after it is left.
const MOST_OF_ERROR: u64 = 64 << 10;
/// The longest that a file may take, whatever its size.
const LONGEST_DOWNLOAD: Duration = Duration::from_secs(3600);

/// The HTTP client, and what it knows of the server.
pub(super) struct Wire {
    pub(super) http: reqwest::Client,
    pub(super) address: Address,
    pub(super) key: String,
    /// What every request says of who asks.
    pub(super) headers: HeaderMap,
    pub(super) secrets: Secrets,
    pub(super) pace: Arc<Pace>,
    /// Whether the server has ever answered anything.
    pub(super) reached: AtomicBool,
    /// The longest wait for an answer, and for the next piece of a file.
    pub(super) timeout: Duration,
}

/// An answer that is no success: what follows from it, and what it said.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) failure: Failure,
    pub(super) status: u16,
    pub(super) body: String,
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl Error for Refusal {}

impl Wire {
    /// Sends a request of the crate's, and reads the whole answer.
    pub(super) async fn send(self: Arc<Self>, request: HttpRequestFactory) -> Result<Response, OpenAIError> {
        let mut response = self.answered(request.build().await?).await?;
        let mut answer = http::Response::new(Vec::new());
        *answer.status_mut() = response.status();
        let bytes = answer.body_mut();
        self.read(&mut response, MOST_BYTES, |chunk| {
            bytes.extend_from_slice(chunk);
            Ok(())
        })
        .await?;
        Ok(answer.into())
    }

    /// Writes a file of the server's, of at most so many bytes, into a temporary one.
    pub(super) async fn download(&self, file: &str, most: u64) -> Result<File, OpenAIError> {
        let no_address = || boxed(Failure::new("the server's address takes no path", None, Verdict::Run));
        let mut url = Url::parse(&self.address.base).map_err(|_| no_address())?;
        url.path_segments_mut().map_err(|()| no_address())?.extend(["files", file, "content"]);
        let request = self.http.get(url).headers(self.headers.clone()).timeout(LONGEST_DOWNLOAD).build()?;
        let mut response = self.answered(request).await?;
        let disk = |error: std::io::Error| boxed(Failure::new(format!("temporary file: {error}"), None, Verdict::Run));
        let mut kept = tempfile::tempfile().map_err(disk)?;
        self.read(&mut response, most, |chunk| kept.write_all(chunk).map_err(disk)).await?;
        kept.rewind().map_err(disk)?;
        Ok(kept)
    }

    /// Sends a request; an answer that is no success is an error.
    async fn answered(&self, mut request: Request) -> Result<Response, OpenAIError> {
        self.sign(&mut request);
        let mut response = self.http.execute(request).await?;
        self.reached.store(true, Ordering::Relaxed);
        self.pace.hear(response.headers());
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let mut body = Vec::new();
        // An error that breaks off, or never ends, is one all the same.
        let _ = self
            .read(&mut response, MOST_OF_ERROR, |chunk| {
                body.extend_from_slice(chunk);
                Ok(())
            })
            .await;
        let body = self.secrets.blotted(&String::from_utf8_lossy(&body));
        let failure = Failure::of_status(status, response.headers(), body.as_bytes());
        let failure = advice::heeded(failure, response.headers(), &body);
        Err(OpenAIError::Boxed(Box::new(Refusal { failure, status: status.as_u16(), body })))
    }

    /// Says who asks, as the server wants to hear it.
    fn sign(&self, request: &mut Request) {
        // Azure takes its keys in a header of their own, and the tokens of Entra ID like everybody.
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

    /// Reads a body, of at most so many bytes, piece by piece.
    async fn read(
        &self,
        response: &mut Response,
        most: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), OpenAIError>,
    ) -> Result<(), OpenAIError> {
        let too_long = || {
            let what = format!("the server's answer is longer than {most} bytes, and was cut off");
            boxed(Failure::new(what, None, Verdict::Document).possibly_paid())
        };
        let mut room = most;
        if response.content_length().is_some_and(|length| length > most) {
            return Err(too_long());
        }
        let silent = || {
            let hint = Some("raise --timeout-secs");
            boxed(
                Failure::new("the server stopped in the middle of its answer", hint, Verdict::Retry(None))
                    .possibly_paid(),
            )
        };
        while let Some(chunk) = timeout(self.timeout, response.chunk()).await.map_err(|_| silent())?? {
            room = room.checked_sub(chunk.len() as u64).ok_or_else(too_long)?;
            take(&chunk)?;
        }
        Ok(())
    }
}

/// Whether a key is a JSON web token, as Entra ID gives them.
fn is_token(key: &str) -> bool {
    key.starts_with("eyJ") && key.matches('.').count() == 2
}

fn boxed(failure: Failure) -> OpenAIError {
    OpenAIError::Boxed(Box::new(failure))
}
