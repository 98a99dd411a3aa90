//! The Batch API: files of requests, and batches made of them.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use async_openai::traits::RequestOptionsBuilder as _;
use async_openai::types::InputSource;
use async_openai::types::files::{CreateFileRequest, FileInput, FilePurpose};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::transport::DOWNLOAD_TIMEOUT;
use super::{Client, advice};
use crate::llm::failure::{Failure, Verdict};
use crate::llm::json;
use crate::llm::reply::excerpt;
use crate::text::has_word;

/// Pages of a hundred batches each that are searched for the batch of a file.
const MAX_PAGES: usize = 100;
/// A result file may have this many bytes for each request, which is more than replies have on average.
const MAX_RESULT_BYTES: u64 = 256 << 10;
/// A result file may have this many bytes in addition, for files with few but long replies.
const MAX_EXTRA_BYTES: u64 = 64 << 20;

/// A file longer than this is not an error message.
const MAX_ERROR_BYTES: u64 = 64 << 10;

/// The state of a batch, as the server describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) id: String,
    /// The status as the server spells it.
    pub(crate) status_text: String,
    pub(crate) status: Status,
    /// The file with the results of the requests that succeeded.
    pub(crate) output_file: Option<String>,
    /// The file with the errors of the others.
    pub(crate) error_file: Option<String>,
    /// The number of requests that succeeded.
    pub(crate) completed: u64,
    /// The number of requests that failed.
    pub(crate) failed: u64,
    /// The number of all requests.
    pub(crate) total: u64,
    /// The server's explanation of why the batch failed.
    pub(crate) errors: String,
}

/// The status of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    InProgress,
    Completed,
    /// The file was refused, or nothing came of it.
    Failed,
    /// It expired or was cancelled; a part of the requests may be done.
    Ended,
    /// A status that is not in the list.
    Unknown,
}

impl Status {
    /// Reads OpenAI's words, and those of servers that use others for the same, such as `JOB_STATE_SUCCEEDED`.
    fn read(word: &str) -> Self {
        let word = word.trim().to_lowercase().replace(['-', ' '], "_");
        let word = ["job_state_", "batch_state_"].iter().find_map(|prefix| word.strip_prefix(prefix)).unwrap_or(&word);
        let statuses = [
            (
                "validating validated pending queued scheduled submitted created started starting running \
                in_progress inprogress processing finalizing cancelling canceling cancellation_requested",
                Self::InProgress,
            ),
            (
                "completed complete succeeded success successful done finished ended partially_succeeded \
                partially_completed completed_with_errors",
                Self::Completed,
            ),
            ("failed failure error errored rejected invalid", Self::Failed),
            (
                "expired cancelled canceled timeout timed_out timeout_exceeded aborted stopped terminated \
                deleted",
                Self::Ended,
            ),
        ];
        let found = statuses.into_iter().find(|(words, _)| has_word(words, word));
        found.map_or(Self::Unknown, |(_, status)| status)
    }
}

impl Batch {
    /// The number of requests that are done.
    pub(crate) fn done(&self) -> u64 {
        self.completed.saturating_add(self.failed)
    }

    /// Whether its status is final.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.status, Status::Completed | Status::Failed | Status::Ended)
    }

    fn read(body: &Value) -> Result<Self, Failure> {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let file = |name: &str| Some(text(name)).filter(|id| !id.is_empty());
        let count = |name: &str| body["request_counts"][name].as_u64().unwrap_or_default();
        let errors = [reasons(&body["errors"]), reasons(&body["error"])].concat();
        let errors = if errors.is_empty() { "no reason given".to_owned() } else { errors.join("; ") };
        let status_text = text("status");
        let batch = Self {
            id: text("id"),
            status: Status::read(&status_text),
            status_text: excerpt(&status_text),
            output_file: file("output_file_id"),
            error_file: file("error_file_id"),
            completed: count("completed"),
            failed: count("failed"),
            total: count("total"),
            errors: excerpt(&errors),
        };
        if batch.id.is_empty() || batch.status_text.is_empty() {
            return Err(unexpected("a batch", body));
        }
        Ok(batch)
    }
}

/// Why a batch failed: OpenAI's list of errors with messages, a text, or whatever else the server puts there.
fn reasons(errors: &Value) -> Vec<String> {
    match errors {
        Value::Null => Vec::new(),
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()).into_iter().collect(),
        Value::Array(all) => all.iter().flat_map(reasons).collect(),
        Value::Object(fields) => match ["data", "message", "code"].iter().find(|name| !errors[**name].is_null()) {
            Some(name) => reasons(&errors[*name]),
            None if fields.is_empty() => Vec::new(),
            None => vec![errors.to_string()],
        },
        other => vec![other.to_string()],
    }
}

impl Client {
    /// Uploads a file of requests; returns its id.
    pub(crate) async fn upload(&self, path: &Path) -> Result<String, Failure> {
        let source = InputSource::Path { path: path.to_owned() };
        let request =
            CreateFileRequest { file: FileInput { source }, purpose: FilePurpose::Batch, expires_after: None };
        let body = self.value(self.api.files().create_byot(request).await)?;
        body["id"].as_str().map(str::to_owned).ok_or_else(|| unexpected("a file", &body))
    }

    /// Creates a batch of an uploaded file.
    pub(crate) async fn create_batch(&self, file: &str) -> Result<Batch, Failure> {
        let request = json!({
            "input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h",
        });
        Batch::read(&self.value(self.api.batches().create_byot(request).await)?)
    }

    /// The batch of an uploaded file, if one was created.
    pub(crate) async fn batch_of(&self, file: &str) -> Result<Option<Batch>, Failure> {
        let mut last = None;
        for _ in 0..MAX_PAGES {
            let page = self.batches_after(last.as_deref()).await?;
            let batches = page["data"].as_array().map(Vec::as_slice).unwrap_or_default();
            if let Some(batch) = batches.iter().find(|batch| batch["input_file_id"] == file) {
                return Batch::read(batch).map(Some);
            }
            let next = batches.last().and_then(|batch| batch["id"].as_str()).map(str::to_owned);
            if page["has_more"] != true || next.is_none() || next == last {
                break;
            }
            last = next;
        }
        Ok(None)
    }

    /// A page of at most a hundred batches, the latest first; it begins after the batch `last`.
    pub(crate) async fn batches_after(&self, last: Option<&str>) -> Result<Value, Failure> {
        let mut query = vec![("limit", "100")];
        query.extend(last.map(|last| ("after", last)));
        let listed = match self.api.batches().query(&query) {
            Ok(batches) => batches.list_byot().await,
            Err(error) => Err(error),
        };
        // A missing list does not mean that the batches are gone.
        self.value(listed).map_err(|failure| Failure { is_gone: false, ..failure })
    }

    /// The state of a batch.
    pub(crate) async fn batch(&self, id: &str) -> Result<Batch, Failure> {
        Batch::read(&self.value(self.api.batches().retrieve_byot(id).await)?)
    }

    /// Downloads the file with the results of `requests` requests.
    pub(crate) async fn content(&self, file: &str, requests: u64) -> Result<File, Failure> {
        let max_bytes = MAX_EXTRA_BYTES + requests.saturating_mul(MAX_RESULT_BYTES);
        let content = self.transport.download(file, max_bytes).await;
        let content = content.map_err(|error| self.failure_within(error, DOWNLOAD_TIMEOUT))?;
        self.error_in(&content).map_or(Ok(content), Err)
    }

    /// The error that a server sent with a success status in place of a file. The file stays at its beginning.
    fn error_in(&self, content: &File) -> Option<Failure> {
        let length = content.metadata().ok()?.len();
        let mut body = vec![0; usize::try_from(length).ok().filter(|_| length <= MAX_ERROR_BYTES)?];
        content.read_exact_at(&mut body, 0).ok()?;
        let body = json::read(&body)?.value;
        let failure = Failure::in_place_of_file(&body)?;
        Some(self.redacted(advice::apply(failure, &HeaderMap::new(), &body.to_string())))
    }
}

fn unexpected(what: &str, body: &Value) -> Failure {
    let hint = Some("does this server have the Batch API? --emit-batch writes the requests to a file for others");
    Failure::new(format!("the server's answer is not {what}: {}", excerpt(&body.to_string())), hint, Verdict::Fatal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_in_the_words_of_many_servers() {
        for (word, expected) in [
            ("COMPLETED", Status::Completed),
            ("Completed", Status::Completed),
            ("JOB_STATE_SUCCEEDED", Status::Completed),
            ("In-Progress", Status::InProgress),
            ("in_progress", Status::InProgress),
            ("QUEUED", Status::InProgress),
            ("Failed", Status::Failed),
            ("EXPIRED", Status::Ended),
            ("canceled", Status::Ended),
            ("cancelled", Status::Ended),
            ("cancelling", Status::InProgress),
            ("on its way", Status::Unknown),
        ] {
            assert_eq!(Status::read(word), expected, "{word}");
        }
    }

    #[test]
    fn the_reason_for_a_failed_batch_is_read_in_any_form() {
        for (errors, expected) in [
            (json!({"errors": {"data": [{"message": "a"}, {"code": "b", "message": null}]}}), "a; b"),
            (json!({"errors": "quota"}), "quota"),
            (json!({"errors": ["a", {"message": "b"}]}), "a; b"),
            (json!({"errors": {"message": "a"}}), "a"),
            (json!({"errors": null, "error": {"message": "a"}}), "a"),
            (json!({"errors": {"line": 3}}), "{\"line\":3}"),
            (json!({"errors": {"data": []}}), "no reason given"),
            (json!({"errors": ""}), "no reason given"),
            (json!({}), "no reason given"),
        ] {
            let mut body = errors;
            (body["id"], body["status"]) = ("b".into(), "failed".into());
            assert_eq!(Batch::read(&body).unwrap().errors, expected, "{body}");
        }
    }

    #[test]
    fn a_file_without_an_id_is_refused() {
        let batch = Batch::read(&json!({
            "id": "b", "status": "completed", "output_file_id": null, "error_file_id": "",
            "request_counts": {"total": 2, "completed": 0, "failed": 2},
        }));
        let batch = batch.unwrap();
        assert_eq!((&batch.output_file, &batch.error_file, batch.done()), (&None, &None, 2));
        assert!(Batch::read(&json!({"id": "b"})).is_err() && Batch::read(&json!(null)).is_err());
    }
}
