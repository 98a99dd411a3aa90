//! The connection to the server: proxies, and secrets that must not appear in messages.

use std::io::{Read, Write as _, copy};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::server::{Answer, Server, ok};
use crate::support::{KEY, client, corpus, filter, run};

/// A SOCKS 5 proxy (RFC 1928, 1929) that connects everybody to one server, and records user and destination.
struct Socks {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Socks {
    fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        thread::spawn({
            let seen = Arc::clone(&seen);
            move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let seen = Arc::clone(&seen);
                    thread::spawn(move || lead(stream, to, &seen));
                }
            }
        });
        Self { address, seen }
    }
}

fn lead(mut stream: TcpStream, to: SocketAddr, seen: &Mutex<Vec<String>>) -> Option<()> {
    fn take(stream: &mut TcpStream, count: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        stream.read_exact(&mut bytes).ok().map(|()| bytes)
    }
    let text = |stream: &mut TcpStream| -> Option<String> {
        let length = take(stream, 1)?[0];
        String::from_utf8(take(stream, length.into())?).ok()
    };
    let count = take(&mut stream, 2)?[1];
    let methods = take(&mut stream, count.into())?;
    let mut user = String::new();
    if methods.contains(&2) {
        stream.write_all(&[5, 2]).ok()?;
        take(&mut stream, 1)?;
        user = format!("{}:{}@", text(&mut stream)?, text(&mut stream)?);
        stream.write_all(&[1, 0]).ok()?;
    } else {
        stream.write_all(&[5, 0]).ok()?;
    }
    let host = match take(&mut stream, 4)?[3] {
        1 => take(&mut stream, 4)?.iter().map(u8::to_string).collect::<Vec<_>>().join("."),
        3 => text(&mut stream)?,
        kind => panic!("an address of the kind {kind}"),
    };
    let port = take(&mut stream, 2)?;
    seen.lock().unwrap().push(format!("{user}{host}:{}", u16::from_be_bytes([port[0], port[1]])));
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).ok()?;
    let server = TcpStream::connect(to).ok()?;
    let (mut from_client, mut to_server) = (stream.try_clone().ok()?, server.try_clone().ok()?);
    thread::spawn(move || copy(&mut from_client, &mut to_server));
    copy(&mut &server, &mut stream).ok()?;
    Some(())
}

fn at(url: &str) -> Command {
    let mut command = filter(&["--llm", "m", "--base-url", url]);
    command.env("OPENAI_API_KEY", KEY);
    command
}

#[test]
fn socks_proxies_work() {
    let server = Server::start(ok);
    let socks = Socks::start(server.address());
    for (variable, proxy, url, seen) in [
        // Only the proxy can resolve this host.
        ("ALL_PROXY", format!("socks5h://{}", socks.address), "http://models.invalid:81/v1", "models.invalid:81"),
        (
            "all_proxy",
            format!("socks5h://user:p%40ss@{}", socks.address),
            "http://h.invalid/v1",
            "user:p@ss@h.invalid:80",
        ),
        ("HTTP_PROXY", format!("socks5://{}", socks.address), "http://127.0.0.1:9/v1", "127.0.0.1:9"),
    ] {
        let ran = run(at(url).env(variable, &proxy), corpus(1));
        assert_eq!((ran.code, ran.ids().len()), (Some(0), 2), "{variable}={proxy}: {ran:?}");
        assert_eq!(socks.seen.lock().unwrap().last().unwrap(), seen);
    }
}

#[test]
fn no_proxy_excludes_hosts() {
    let server = Server::start(ok);
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for list in ["10.0.0.0/8, 127.0.0.0/8", "*"] {
        let url = server.base_url();
        let ran = run(at(&url).env("ALL_PROXY", format!("http://{nowhere}")).env("NO_PROXY", list), corpus(1));
        assert_eq!(ran.code, Some(0), "{list}: {ran:?}");
    }
    let ran = run(at(&server.base_url()).env("ALL_PROXY", format!("http://{nowhere}")).env("NO_PROXY", "h"), corpus(1));
    assert!(ran.code == Some(2) && ran.stderr.contains("cannot connect to the server"), "{ran:?}");
}

#[test]
fn a_variable_that_names_no_proxy_is_an_error() {
    let server = Server::start(ok);
    for (variable, value) in [
        ("HTTP_PROXY", "http://user:hunter22@"),
        ("all_proxy", "proxy.example:3128:user:hunter22"),
        ("NO_PROXY", "http://user:hunter22@localhost"),
    ] {
        let ran = run(at(&server.base_url()).env(variable, value), corpus(1));
        assert_eq!(ran.code, Some(2), "{variable}={value}: {ran:?}");
        assert!(ran.stderr.starts_with(&format!("docs2queries: {variable}: ")), "{ran:?}");
        assert!(ran.stderr.contains("\nhint: ") && !ran.stderr.contains("hunter22"), "{ran:?}");
    }
    assert!(server.requests().is_empty(), "nothing goes another way than the user chose");
    // The extractive generator needs no connection.
    let mut alone = filter(&["--generator", "extractive"]);
    assert_eq!(run(alone.env("ALL_PROXY", "http://"), corpus(1)).code, Some(0));
}

#[test]
fn a_key_that_the_server_repeats_is_redacted() {
    let key = "sk/Zz9+0123456789";
    for repeated in [
        key.to_owned(),
        // A message that is cut to length must not end with a part of the key.
        format!("{}{key}", "x".repeat(190)),
    ] {
        for status in [401, 200] {
            let body = format!(r#"{{"error": {{"message": "wrong key {repeated}", "code": 401}}}}"#);
            let server = Server::start(move |_| Answer::Http(status, "", body.clone()));
            let ran = run(client(&server, &["-vv"]).env("OPENAI_API_KEY", key), corpus(1));
            assert_eq!(ran.code, Some(2), "{ran:?}");
            assert!(!ran.stderr.contains("Zz9") && !ran.stderr.contains("sk/"), "{status} {repeated}: {ran:?}");
        }
    }
}

#[test]
fn secrets_of_the_address_and_the_proxy_are_redacted_too() {
    let server = Server::start(|request| {
        let line = request.line().replace('"', "");
        Answer::Http(403, "", format!(r#"{{"error": {{"message": "no: {line} for p@ssw0rd-1234"}}}}"#))
    });
    let url = "http://gateway.invalid/v1?code=s3cretcode&api-version=2024-10-21";
    let proxy = server.base_url().replace("/v1", "").replace("://", "://user:p%40ssw0rd-1234@");
    let ran =
        run(filter(&["--llm", "m", "--base-url", url]).env("OPENAI_API_KEY", KEY).env("HTTP_PROXY", proxy), corpus(1));
    assert_eq!((ran.code, server.requests().len()), (Some(2), 1), "{ran:?}");
    ran.says("api-version=2024-10-21");
    assert!(!ran.stderr.contains("s3cretcode") && !ran.stderr.contains("ssw0rd"), "{ran:?}");
}

#[test]
fn a_key_in_azures_header_goes_to_no_other_host() {
    let other = Server::start(ok);
    let location = format!("location: {}/chat/completions\r\n", other.base_url());
    let location: &'static str = Box::leak(location.into_boxed_str());
    let server = Server::start(move |_| Answer::Http(307, location, String::new()));
    let proxy = server.base_url().replace("/v1", "");
    let url = "http://name.openai.azure.us/openai/v1";
    let mut command = filter(&["--llm", "m", "--base-url", url]);
    let ran = run(command.env("OPENAI_API_KEY", KEY).env("HTTP_PROXY", proxy), corpus(1));
    assert!(ran.code == Some(2) && ran.stderr.contains("the server answered 307"), "{ran:?}");
    assert!(server.requests()[0].head.contains(&format!("api-key: {KEY}\r\n")));
    assert!(other.requests().is_empty() && server.requests().len() == 1, "{ran:?}");
}
