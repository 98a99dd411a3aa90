//! The part of the server that takes requests by the file.

use std::fs::File;
use std::path::Path;

use async_openai::traits::RequestOptionsBuilder as _;
use async_openai::types::InputSource;
use async_openai::types::files::{CreateFileRequest, FileInput, FilePurpose};
use serde_json::{Value, json};

use super::{Failure, OpenAi, Verdict};
use crate::llm::reply::shown;

/// No result file is longer: so much for each of its requests, which is more than replies have on the average, and so
/// much besides.
const BYTES_OF_RESULT: u64 = 256 << 10;
const BYTES_OF_FILE: u64 = 64 << 20;

/// A batch as the server tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) id: String,
    /// The file with the requests.
    pub(crate) input_file: String,
    /// `validating`, `in_progress`, `completed`, `expired` and so on.
    pub(crate) status: String,
    /// Files with results and with errors; also a batch that expired or was cancelled may have them.
    pub(crate) results: Vec<String>,
    /// Requests that are done, and all of them.
    pub(crate) done: u64,
    pub(crate) total: u64,
    /// What the server says was wrong with the file, if it says anything.
    pub(crate) errors: String,
}

impl Batch {
    /// Whether nothing more will come of it.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "failed" | "expired" | "cancelled")
    }

    fn read(body: &Value) -> Result<Self, Failure> {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let count = |name: &str| body["request_counts"][name].as_u64().unwrap_or_default();
        let errors = body["errors"]["data"].as_array().into_iter().flatten();
        let errors: Vec<&str> = errors.filter_map(|error| error["message"].as_str()).collect();
        let results = ["output_file_id", "error_file_id"].map(text).into_iter().filter(|id| !id.is_empty()).collect();
        let batch = Self {
            id: text("id"),
            input_file: text("input_file_id"),
            status: text("status"),
            results,
            done: count("completed") + count("failed"),
            total: count("total"),
            errors: shown(&errors.join("; ")),
        };
        if batch.id.is_empty() || batch.status.is_empty() {
            return Err(unexpected("a batch", body));
        }
        Ok(batch)
    }
}

impl OpenAi {
    /// Uploads a file of requests; returns its id.
    pub(crate) async fn upload(&self, path: &Path) -> Result<String, Failure> {
        let source = InputSource::Path { path: path.to_owned() };
        let request =
            CreateFileRequest { file: FileInput { source }, purpose: FilePurpose::Batch, expires_after: None };
        let body: Value = self.cleaned(self.client.files().create_byot(request).await)?;
        body["id"].as_str().map(str::to_owned).ok_or_else(|| unexpected("a file", &body))
    }

    /// Makes a batch of an uploaded file.
    pub(crate) async fn create_batch(&self, file: &str) -> Result<Batch, Failure> {
        let request = json!({
            "input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h",
        });
        Batch::read(&self.cleaned(self.client.batches().create_byot(request).await)?)
    }

    /// The batch of an uploaded file, if one was made of it: one of the hundred latest.
    pub(crate) async fn batch_of(&self, file: &str) -> Result<Option<Batch>, Failure> {
        let batches = self.client.batches().query(&[("limit", "100")]);
        let listed = match batches {
            Ok(batches) => batches.list_byot().await,
            Err(error) => Err(error),
        };
        let body: Value = self.cleaned(listed)?;
        let mut batches = body["data"].as_array().into_iter().flatten();
        batches.find(|batch| batch["input_file_id"] == file).map(Batch::read).transpose()
    }

    /// How a batch is getting on.
    pub(crate) async fn batch(&self, id: &str) -> Result<Batch, Failure> {
        Batch::read(&self.cleaned(self.client.batches().retrieve_byot(id).await)?)
    }

    /// The content of a file with the results of so many requests, on disk.
    pub(crate) async fn content(&self, file: &str, requests: u64) -> Result<File, Failure> {
        self.download(file, BYTES_OF_FILE + requests.saturating_mul(BYTES_OF_RESULT)).await
    }
}

fn unexpected(what: &str, body: &Value) -> Failure {
    let hint = Some("does this server have the Batch API? --emit-batch writes the requests to a file for others");
    Failure::new(format!("the server's answer is not {what}: {}", shown(&body.to_string())), hint, Verdict::Run)
}
