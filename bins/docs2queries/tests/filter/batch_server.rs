//! A server with a Batch API.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{Answer, Request, Server, document_of, good_of, ok};
use crate::support::{Ran, client, corpus, run, scratch};

/// The options of a round trip.
pub(crate) const OPTIONS: [&str; 7] = ["-n", "2", "--poll-secs", "0.1", "--batch", "--max-completion-tokens", "50"];

/// Runs a round trip.
pub(crate) fn round_trip(server: &Server, journal: &Path, args: &[&str], documents: usize) -> Ran {
    let args = [&OPTIONS[..], &["--journal", journal.to_str().unwrap()], args].concat();
    run(&mut client(server, &args), corpus(documents))
}

/// The pairs of the same documents when requests are sent one by one.
pub(crate) fn one_by_one(documents: usize) -> String {
    run(&mut client(&Server::start(ok), &["-n", "2"]), corpus(documents)).stdout
}

/// A server with a Batch API, and a journal for it.
pub(crate) struct BatchApi {
    pub(crate) server: Server,
    pub(crate) journal: PathBuf,
    state: Arc<Mutex<State>>,
    _directory: TempDir,
}

impl BatchApi {
    pub(crate) fn start() -> Self {
        let (directory, journal) = scratch("journal");
        let (server, state) = start();
        Self { server, journal, state, _directory: directory }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Runs a round trip.
    pub(crate) fn round_trip(&self, args: &[&str], documents: usize) -> Ran {
        round_trip(&self.server, &self.journal, args, documents)
    }
}

/// How a batch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// All requests are answered, except those about `text 3` if there are others.
    Completes,
    /// Only the first two requests are answered in time.
    Expires,
    /// The file is refused.
    Fails,
    /// It never ends.
    Lasts,
}

/// The files and batches of the server.
#[derive(Default)]
pub(crate) struct State {
    files: BTreeMap<String, String>,
    /// For each batch, its file of requests and how often it was looked at.
    pub(crate) batches: Vec<(String, usize)>,
    pub(crate) fate: Option<Fate>,
    /// Whether the connection is reset in place of the answer to the next creation of a batch.
    pub(crate) loses_answer: bool,
    /// Whether batches that are done have no result files.
    pub(crate) has_no_files: bool,
    /// Prefixes of paths that are answered with 404.
    pub(crate) gone: Vec<&'static str>,
    /// How result files are garbled, given the number of earlier downloads.
    pub(crate) garble: Option<fn(&str, usize) -> Answer>,
    fetched: usize,
}

impl State {
    /// The lines of all requests that were sent in batches, in order.
    pub(crate) fn requests(&self) -> Vec<Value> {
        let lines = self.batches.iter().flat_map(|(file, _)| self.files[file].lines());
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Garbles all result files from now on.
    pub(crate) fn garble(&mut self, garble: fn(&str, usize) -> Answer) {
        (self.garble, self.fetched) = (Some(garble), 0);
    }

    fn answer(&mut self, request: &Request) -> Answer {
        let ok = |body: &Value| Answer::Http(200, "", body.to_string());
        let (method, path) = request.line().split_once(' ').unwrap();
        if method == "GET" && self.gone.iter().any(|gone| path.starts_with(gone)) {
            let body = json!({"error": {"message": format!("No such object: {path}"), "code": null}});
            return Answer::Http(404, "", body.to_string());
        }
        let path: Vec<&str> = path.split('?').next().unwrap().split('/').skip(2).collect();
        match (method, &path[..]) {
            ("POST", ["files"]) => {
                assert!(request.text.contains("name=\"purpose\"") && request.text.contains(".jsonl\""));
                let content = request.text.lines().filter(|line| line.starts_with("{\"custom_id\""));
                let id = format!("file-{}", self.files.len());
                self.files.insert(id.clone(), content.map(|line| format!("{line}\n")).collect());
                ok(&json!({"id": id, "object": "file"}))
            }
            ("POST", ["batches"]) => {
                assert_eq!(request.body["endpoint"], "/v1/chat/completions");
                let file = request.body["input_file_id"].as_str().unwrap();
                if !self.files.contains_key(file) {
                    let error = json!({"error": {"message": format!("No such File object: {file}")}});
                    return Answer::Http(400, "", error.to_string());
                }
                self.batches.push((file.into(), 0));
                if std::mem::take(&mut self.loses_answer) {
                    return Answer::Reset;
                }
                ok(&self.batch(self.batches.len() - 1))
            }
            ("GET", ["batches"]) => {
                // The latest batch first, two on a page.
                let after = request.line().split("after=batch-").nth(1).and_then(|rest| rest.split('&').next());
                let end = after.map_or(self.batches.len(), |after| after.parse().unwrap());
                let page: Vec<Value> = (0..end).rev().take(2).map(|n| self.batch(n)).collect();
                ok(&json!({"object": "list", "has_more": end > page.len(), "data": page}))
            }
            ("GET", ["batches", id]) => {
                let n: usize = id.trim_start_matches("batch-").parse().unwrap();
                if n >= self.batches.len() {
                    let error = json!({"error": {"message": format!("No batch found with id '{id}'.")}});
                    return Answer::Http(404, "", error.to_string());
                }
                self.batches[n].1 += 1;
                ok(&self.batch(n))
            }
            ("GET", ["files", id, "content"]) => {
                let results = self.results(id);
                self.fetched += 1;
                match self.garble {
                    Some(garble) if id.starts_with("output") => garble(&results, self.fetched - 1),
                    _ => Answer::Http(200, "", results),
                }
            }
            _ => Answer::Http(404, "", format!("no route {}", request.line())),
        }
    }

    fn batch(&self, n: usize) -> Value {
        let (file, looks) = &self.batches[n];
        let fate = self.fate.unwrap_or(Fate::Completes);
        let total = self.files[file].lines().count();
        let mut batch = json!({
            "id": format!("batch-{n}"), "object": "batch", "input_file_id": file, "status": "in_progress",
            "request_counts": {"total": total, "completed": 0, "failed": 0},
        });
        if *looks < 2 || fate == Fate::Lasts {
            return batch;
        }
        batch["status"] = match fate {
            Fate::Completes => "completed",
            Fate::Expires => "expired",
            _ => "failed",
        }
        .into();
        if fate == Fate::Fails {
            batch["errors"] =
                json!({"data": [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}]});
            return batch;
        }
        if self.has_no_files {
            (batch["output_file_id"], batch["error_file_id"]) = (Value::Null, "".into());
            return batch;
        }
        batch["output_file_id"] = format!("output-{n}").into();
        batch["error_file_id"] = format!("errors-{n}").into();
        let failed = if fate == Fate::Completes { self.results(&format!("errors-{n}")).lines().count() } else { 0 };
        batch["request_counts"]["completed"] = if fate == Fate::Expires { 2 } else { total - failed }.into();
        batch["request_counts"]["failed"] = failed.into();
        batch
    }

    /// The results are in two files, and in reverse order.
    fn results(&self, id: &str) -> String {
        let (kind, n) = id.split_once('-').unwrap();
        let lines = self.files[&self.batches[n.parse::<usize>().unwrap()].0].lines();
        let requests: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
        let is_done = |(place, request): &(usize, &Value)| match self.fate.unwrap_or(Fate::Completes) {
            Fate::Expires => *place < 2,
            _ => requests.len() == 1 || document_of(&request["body"]) != "text 3",
        };
        let wanted = kind == "output";
        let chosen = requests.iter().enumerate().filter(|item| is_done(item) == wanted);
        let mut lines: Vec<String> = chosen.map(|(_, request)| format!("{}\n", result(request, wanted))).collect();
        lines.reverse();
        lines.concat()
    }
}

/// The line of a result, in OpenAI's format.
pub(crate) fn result(request: &Value, is_done: bool) -> Value {
    if !is_done {
        return json!({
            "id": "r", "custom_id": request["custom_id"], "response": null,
            "error": {"code": "batch_expired", "message": "This request could not be executed before the batch expired."},
        });
    }
    let body: Value = serde_json::from_str(&good_of(document_of(&request["body"]))).unwrap();
    json!({
        "id": "r", "custom_id": request["custom_id"], "error": null,
        "response": {"status_code": 200, "request_id": "q", "body": body},
    })
}

/// Starts the server.
pub(crate) fn start() -> (Server, Arc<Mutex<State>>) {
    let state = Arc::new(Mutex::new(State::default()));
    let server = Server::start({
        let state = Arc::clone(&state);
        move |request| state.lock().unwrap().answer(request)
    });
    (server, state)
}
