//! The part of the server that takes requests by the file.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use async_openai::traits::RequestOptionsBuilder as _;
use async_openai::types::InputSource;
use async_openai::types::files::{CreateFileRequest, FileInput, FilePurpose};
use serde_json::{Value, json};

use super::{Failure, OpenAi, Verdict};
use crate::llm::json;
use crate::llm::reply::shown;

/// Pages of a hundred batches each in which the one of a file is looked for.
const PAGES: usize = 100;
/// No result file is longer: so much for each of its requests, which is more than replies have on the average, and so
/// much besides.
const BYTES_OF_RESULT: u64 = 256 << 10;
const BYTES_OF_FILE: u64 = 64 << 20;

/// No error is longer.
const BYTES_OF_ERROR: u64 = 64 << 10;

/// A batch as the server tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) id: String,
    /// How it is getting on, in the server's word and in ours.
    pub(crate) said: String,
    pub(crate) status: Status,
    /// The file with the results of the requests that went well.
    pub(crate) output_file: Option<String>,
    /// The file with what became of the others.
    pub(crate) error_file: Option<String>,
    /// Requests that went well, those that did not, and all of them.
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) total: u64,
    /// What the server says was wrong with the file, if it says anything.
    pub(crate) errors: String,
}

/// How a batch is getting on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    UnderWay,
    Completed,
    /// The file was refused, or nothing came of it.
    Failed,
    /// It ended before all of it was done; a part may be.
    Ended,
    /// A word that is not known: it may mean anything.
    Unknown,
}

impl Status {
    /// Reads the word of OpenAI's, or of one of those who have others for the same: `JOB_STATE_SUCCEEDED`.
    fn read(word: &str) -> Self {
        let word = word.trim().to_lowercase().replace(['-', ' '], "_");
        let word = ["job_state_", "batch_state_"].iter().find_map(|prefix| word.strip_prefix(prefix)).unwrap_or(&word);
        match word {
            "validating"
            | "validated"
            | "pending"
            | "queued"
            | "scheduled"
            | "submitted"
            | "created"
            | "started"
            | "starting"
            | "running"
            | "in_progress"
            | "inprogress"
            | "processing"
            | "finalizing"
            | "cancelling"
            | "canceling"
            | "cancellation_requested" => Self::UnderWay,
            "completed"
            | "complete"
            | "succeeded"
            | "success"
            | "successful"
            | "done"
            | "finished"
            | "ended"
            | "partially_succeeded"
            | "partially_completed"
            | "completed_with_errors" => Self::Completed,
            "failed" | "failure" | "error" | "errored" | "rejected" | "invalid" => Self::Failed,
            "expired" | "cancelled" | "canceled" | "timeout" | "timed_out" | "timeout_exceeded" | "aborted"
            | "stopped" | "terminated" | "deleted" => Self::Ended,
            _ => Self::Unknown,
        }
    }
}

impl Batch {
    /// Requests that are done.
    pub(crate) fn done(&self) -> u64 {
        self.completed.saturating_add(self.failed)
    }

    /// Whether nothing more will come of it.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.status, Status::Completed | Status::Failed | Status::Ended)
    }

    fn read(body: &Value) -> Result<Self, Failure> {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let file = |name: &str| Some(text(name)).filter(|id| !id.is_empty());
        let count = |name: &str| body["request_counts"][name].as_u64().unwrap_or_default();
        let errors = [reasons(&body["errors"]), reasons(&body["error"])].concat();
        let errors = if errors.is_empty() { "no reason given".to_owned() } else { errors.join("; ") };
        let said = text("status");
        let batch = Self {
            id: text("id"),
            status: Status::read(&said),
            said: shown(&said),
            output_file: file("output_file_id"),
            error_file: file("error_file_id"),
            completed: count("completed"),
            failed: count("failed"),
            total: count("total"),
            errors: shown(&errors),
        };
        if batch.id.is_empty() || batch.said.is_empty() {
            return Err(unexpected("a batch", body));
        }
        Ok(batch)
    }
}

/// Why a batch failed: OpenAI's list of errors with messages, or a text, or whatever else stands in their place.
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

impl OpenAi {
    /// Uploads a file of requests; returns its id.
    pub(crate) async fn upload(&self, path: &Path) -> Result<String, Failure> {
        let source = InputSource::Path { path: path.to_owned() };
        let request =
            CreateFileRequest { file: FileInput { source }, purpose: FilePurpose::Batch, expires_after: None };
        let body = self.value(self.client.files().create_byot(request).await)?;
        body["id"].as_str().map(str::to_owned).ok_or_else(|| unexpected("a file", &body))
    }

    /// Makes a batch of an uploaded file.
    pub(crate) async fn create_batch(&self, file: &str) -> Result<Batch, Failure> {
        let request = json!({
            "input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h",
        });
        Batch::read(&self.value(self.client.batches().create_byot(request).await)?)
    }

    /// The batch of an uploaded file, if one was made of it.
    pub(crate) async fn batch_of(&self, file: &str) -> Result<Option<Batch>, Failure> {
        let mut last = None;
        for _ in 0..PAGES {
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

    /// Batches from the latest on, or from the one behind `last`; at most a hundred.
    pub(crate) async fn batches_after(&self, last: Option<&str>) -> Result<Value, Failure> {
        let mut query = vec![("limit", "100")];
        query.extend(last.map(|last| ("after", last)));
        let listed = match self.client.batches().query(&query) {
            Ok(batches) => batches.list_byot().await,
            Err(error) => Err(error),
        };
        // That there is no list says nothing of what would be on it.
        self.value(listed).map_err(|failure| Failure { is_gone: false, ..failure })
    }

    /// How a batch is getting on.
    pub(crate) async fn batch(&self, id: &str) -> Result<Batch, Failure> {
        Batch::read(&self.value(self.client.batches().retrieve_byot(id).await)?)
    }

    /// The content of a file with the results of so many requests, on disk.
    pub(crate) async fn content(&self, file: &str, requests: u64) -> Result<File, Failure> {
        let content = self.download(file, BYTES_OF_FILE + requests.saturating_mul(BYTES_OF_RESULT)).await?;
        match self.error_in(&content) {
            Some(failure) => Err(failure),
            None => Ok(content),
        }
    }

    /// The error that a server sent under a status of success in place of a file, whose place is at its beginning.
    fn error_in(&self, content: &File) -> Option<Failure> {
        let length = content.metadata().ok()?.len();
        let mut body = vec![0; usize::try_from(length).ok().filter(|_| length <= BYTES_OF_ERROR)?];
        content.read_exact_at(&mut body, 0).ok()?;
        self.error_of_file(&json::read(&body)?.value)
    }
}

fn unexpected(what: &str, body: &Value) -> Failure {
    let hint = Some("does this server have the Batch API? --emit-batch writes the requests to a file for others");
    Failure::new(format!("the server's answer is not {what}: {}", shown(&body.to_string())), hint, Verdict::Run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_what_it_means() {
        for (word, expected) in [
            ("COMPLETED", Status::Completed),
            ("Completed", Status::Completed),
            ("JOB_STATE_SUCCEEDED", Status::Completed),
            ("In-Progress", Status::UnderWay),
            ("in_progress", Status::UnderWay),
            ("QUEUED", Status::UnderWay),
            ("Failed", Status::Failed),
            ("EXPIRED", Status::Ended),
            ("canceled", Status::Ended),
            ("cancelled", Status::Ended),
            ("cancelling", Status::UnderWay),
            ("on its way", Status::Unknown),
        ] {
            assert_eq!(Status::read(word), expected, "{word}");
        }
    }

    #[test]
    fn a_failed_batch_has_a_reason_in_many_forms() {
        for (errors, said) in [
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
            assert_eq!(Batch::read(&body).unwrap().errors, said, "{body}");
        }
    }

    #[test]
    fn a_file_without_a_name_is_none() {
        let batch = Batch::read(&json!({
            "id": "b", "status": "completed", "output_file_id": null, "error_file_id": "",
            "request_counts": {"total": 2, "completed": 0, "failed": 2},
        }));
        let batch = batch.unwrap();
        assert_eq!((&batch.output_file, &batch.error_file, batch.done()), (&None, &None, 2));
        assert!(Batch::read(&json!({"id": "b"})).is_err() && Batch::read(&json!(null)).is_err());
    }
}
