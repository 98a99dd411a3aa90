//! A server that fails in all ways in which servers fail.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The request line and the headers.
    pub(crate) head: String,
    /// Null if it is not JSON.
    pub(crate) body: Value,
    pub(crate) text: String,
    document: String,
    /// The number of requests about the same document so far, including this one.
    pub(crate) attempt: usize,
    pub(crate) time: Instant,
}

impl Request {
    /// The document that the request is about, as it is in the prompt.
    pub(crate) fn document(&self) -> &str {
        &self.document
    }

    /// Method and path: `POST /v1/files`.
    pub(crate) fn line(&self) -> &str {
        self.head.split(" HTTP/").next().expect("a request line")
    }
}

/// The document that a request body is about; empty if it is not a chat completion.
pub(crate) fn document_of(body: &Value) -> &str {
    let prompt =
        body["messages"].as_array().and_then(|messages| messages.last()?["content"].as_str()).unwrap_or_default();
    prompt.split("<document>\n").nth(1).and_then(|rest| rest.split("\n</document>").next()).unwrap_or_default()
}

/// How the server answers.
pub(crate) enum Answer {
    /// Status, additional headers, body.
    Http(u16, &'static str, String),
    /// A body that is not UTF-8, with status 200.
    Bytes(Vec<u8>),
    /// The beginning of a body; then the connection is closed.
    Cut(String),
    /// The connection is reset.
    Reset,
    /// There is no answer.
    Hang,
    /// A beginning, and then the same piece again and again, each after a pause, until the client hangs up.
    Endless(String, Vec<u8>, Duration),
}

/// A server on a port of its own, which runs until the test ends.
pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Starts a server that answers with what `behave` returns.
    pub(crate) fn start(behave: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let behave = Arc::new(behave);
        thread::spawn({
            let requests = Arc::clone(&requests);
            move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let (requests, behave) = (Arc::clone(&requests), Arc::clone(&behave));
                    thread::spawn(move || {
                        if let Some(request) = receive(&stream, &requests) {
                            send(stream, behave(&request));
                        }
                    });
                }
            }
        });
        Self { address, requests }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The number of requests about a document.
    pub(crate) fn asked(&self, document: &str) -> usize {
        self.requests().iter().filter(|request| request.document() == document).count()
    }
}

/// Reads a request; none if the client hangs up before its end.
fn receive(stream: &TcpStream, requests: &Mutex<Vec<Request>>) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let text = if head.to_lowercase().contains("transfer-encoding: chunked") {
        chunked(&mut reader)?
    } else {
        let length =
            head.to_lowercase().split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        let mut body = vec![0; length.unwrap_or_default()];
        reader.read_exact(&mut body).ok()?;
        body
    };
    let body: Value = serde_json::from_slice(&text).unwrap_or_default();
    let document = document_of(&body).to_owned();
    let text = String::from_utf8(text).expect("UTF-8");
    let mut request = Request { head, body, text, document, attempt: 1, time: Instant::now() };
    let mut requests = requests.lock().unwrap();
    request.attempt += requests.iter().filter(|earlier| earlier.document() == request.document()).count();
    requests.push(request.clone());
    Some(request)
}

/// A chunked body, such as that of an upload.
fn chunked(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let mut chunk = vec![0; usize::from_str_radix(line.trim(), 16).expect("a length")];
        reader.read_exact(&mut chunk).ok()?;
        reader.read_line(&mut line).ok()?;
        if chunk.is_empty() {
            return Some(body);
        }
        body.extend(chunk);
    }
}

fn send(mut stream: TcpStream, answer: Answer) {
    let head = |status: u16, headers: &str, length: usize| {
        format!("HTTP/1.1 {status} Status\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n")
    };
    let bytes = match answer {
        Answer::Http(status, headers, body) => (head(status, headers, body.len()) + &body).into_bytes(),
        Answer::Bytes(body) => [head(200, "", body.len()).as_bytes(), &body].concat(),
        Answer::Cut(body) => (head(200, "", body.len() + 1000) + &body).into_bytes(),
        Answer::Reset => {
            rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("a socket option");
            return;
        }
        Answer::Hang => loop {
            thread::park();
        },
        Answer::Endless(beginning, piece, pause) => {
            let mut sent = stream.write_all(beginning.as_bytes());
            while sent.is_ok() {
                sent = stream.write_all(&piece);
                thread::sleep(pause);
            }
            return;
        }
    };
    // The client may have hung up, which is what some tests are about.
    let _ = stream.write_all(&bytes);
}

/// A reply with this content, in OpenAI's format.
pub(crate) fn completion(content: &str) -> String {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "test-model",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    })
    .to_string()
}

/// A proper reply: two queries about the document.
pub(crate) fn good(request: &Request) -> String {
    good_of(request.document())
}

/// The same for a document.
pub(crate) fn good_of(document: &str) -> String {
    completion(&json!({"queries": [format!("what is {document}?"), format!("about {document}")]}).to_string())
}

/// Answers with a proper reply.
pub(crate) fn ok(request: &Request) -> Answer {
    Answer::Http(200, "", good(request))
}
