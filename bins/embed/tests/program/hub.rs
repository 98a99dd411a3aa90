//! Models by their Hugging Face names: from the cache, and from a hub.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use embtune_tests::{Folder, Run, fixture};
use serde_json::json;

const COMMIT: &str = "c0ffee";

/// The files of a fixture, by their paths.
fn files_of(name: &str) -> BTreeMap<String, Vec<u8>> {
    files_in(&fixture(name))
}

fn files_in(root: &Path) -> BTreeMap<String, Vec<u8>> {
    fn add(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                add(root, &path, files);
            } else {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut files = BTreeMap::new();
    add(root, root, &mut files);
    files
}

/// A cache in the layout of Hugging Face's programs: a snapshot of links to numbered blobs.
fn cache(files: &BTreeMap<String, Vec<u8>>) -> Folder {
    let folder = Folder::new();
    let repository = folder.path("hf/hub/models--me--tiny");
    for name in ["refs", "blobs", "snapshots/c0ffee"] {
        fs::create_dir_all(repository.join(name)).unwrap();
    }
    fs::write(repository.join("refs/main"), COMMIT).unwrap();
    for (index, (name, content)) in files.iter().enumerate() {
        fs::write(repository.join(format!("blobs/{index}")), content).unwrap();
        let link = repository.join("snapshots/c0ffee").join(name);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        let up = "../".repeat(2 + name.matches('/').count());
        symlink(format!("{up}blobs/{index}"), link).unwrap();
    }
    folder
}

/// Embeds a line of text by the model's name on this hub.
fn embed(folder: &Folder, hub: &str, flags: &str) -> Run {
    let endpoint = format!("HF_HOME=hf HF_ENDPOINT={hub}");
    folder.run(&format!("env {endpoint} embed --device cpu --model me/tiny --text {flags}")).stdin("harbour\n")
}

/// The address of a hub that does not respond.
const UNREACHABLE: &str = "http://127.0.0.1:1";

/// A fault while the weights are downloaded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// The body never ends.
    Endless,
    /// The connection closes in the middle, whenever the whole file is requested.
    Interrupted,
    /// The etag leads to another folder.
    PathTraversal,
}

/// A hub with one repository, which records the files that are fetched.
struct Hub {
    address: String,
    fetched: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn start(files: BTreeMap<String, Vec<u8>>) -> Self {
        Self::with(files, Fault::None)
    }

    fn with(files: BTreeMap<String, Vec<u8>>, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let fetched = Arc::new(Mutex::new(Vec::new()));
        let recorded = Arc::clone(&fetched);
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &files, &recorded, fault);
            }
        });
        Self { address, fetched }
    }

    fn fetched(&self) -> Vec<String> {
        let mut fetched = std::mem::take(&mut *self.fetched.lock().unwrap());
        fetched.sort();
        fetched
    }
}

fn answer(mut stream: TcpStream, files: &BTreeMap<String, Vec<u8>>, fetched: &Mutex<Vec<String>>, fault: Fault) {
    let head: Vec<String> =
        BufReader::new(&stream).lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
    let path = head[0].split(' ').nth(1).unwrap();
    let range = head.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let (status, headers, body) = if path == "/api/models/me/tiny/revision/main" {
        let siblings: Vec<_> = files.keys().map(|name| json!({"rfilename": name})).collect();
        ("200 OK", String::new(), json!({"sha": COMMIT, "siblings": siblings}).to_string().into_bytes())
    } else if let Some((name, content)) =
        path.strip_prefix("/me/tiny/resolve/main/").and_then(|name| files.get_key_value(name))
    {
        let is_head = range.as_deref() == Some("0-0");
        if !is_head {
            fetched.lock().unwrap().push(name.clone());
        }
        let fault = if name == "model.safetensors" { fault } else { Fault::None };
        let start: usize = range.as_deref().and_then(|range| range.strip_suffix('-')?.parse().ok()).unwrap_or_default();
        let part = if is_head { &content[..1] } else { &content[start..] };
        let etag = if fault == Fault::PathTraversal { "../../../evil".into() } else { name.replace('/', "-") };
        let size = content.len();
        let headers = format!(
            "x-repo-commit: {COMMIT}\r\netag: \"{etag}\"\r\ncontent-range: bytes {start}-{}/{size}\r\n",
            start + part.len() - 1
        );
        if fault == Fault::Endless && !is_head {
            let mut sent = write!(stream, "HTTP/1.1 206 Partial Content\r\n{headers}connection: close\r\n\r\n");
            while sent.is_ok() {
                sent = stream.write_all(content);
            }
            return;
        }
        if fault == Fault::Interrupted && !is_head && start == 0 {
            let head = format!("HTTP/1.1 206 Partial Content\r\n{headers}connection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&part[..part.len() / 2])).unwrap();
            return;
        }
        ("206 Partial Content", headers, part.to_vec())
    } else {
        ("404 Not Found", String::new(), Vec::new())
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

#[test]
fn a_model_in_the_cache_needs_no_network() {
    for name in ["parity/tiny-xlmr", "parity/tiny-dense", "foreign/tiny-electra", "foreign/tiny-albert"] {
        let folder = cache(&files_of(name));
        folder.copy_fixture(name, "BASE");
        let by_path = folder.run("embed --device cpu --model BASE --text").stdin("harbour\n").stdout();
        assert_eq!(embed(&folder, UNREACHABLE, "").stdout(), by_path, "{name}");
        assert_eq!(embed(&folder, UNREACHABLE, "--offline").stdout(), by_path, "{name}");
    }
}

#[test]
fn missing_files_are_named_offline_and_fetched_online() {
    for (fixture, lacking, expected) in [
        ("parity/tiny-xlmr", "model.safetensors", "model.safetensors: No such file"),
        ("parity/tiny-xlmr", "tokenizer.json", "tokenizer.json: No such file"),
        // transformers does not fetch the modules; the vectors would be wrong if they were pooled by mean.
        ("parity/tiny-xlmr", "modules.json", "modules.json is missing, and may not have been fetched"),
        ("parity/tiny-xlmr", "1_Pooling/config.json", "1_Pooling/config.json: No such file"),
        ("parity/tiny-dense", "3_Dense/pytorch_model.bin", "3_Dense/model.safetensors: No such file"),
        ("foreign/tiny-electra", "onnx/model.onnx", "model_type \"electra\" is not supported"),
        ("foreign/tiny-electra", "onnx/model.onnx_data", "its data \"model.onnx_data\" is not beside it"),
    ] {
        let whole = files_of(fixture);
        let mut files = whole.clone();
        files.remove(lacking).unwrap();
        let folder = cache(&files);
        let message = embed(&folder, UNREACHABLE, "--offline").ran().with_code(2).stderr();
        assert!(
            message.contains("me/tiny: its copy in the Hugging Face cache cannot be used: "),
            "{lacking}: {message}"
        );
        assert!(message.contains(expected) && message.contains("hint: without HF_HUB_OFFLINE"), "{lacking}: {message}");
        let message = embed(&folder, UNREACHABLE, "").ran().with_code(2).stderr();
        assert!(message.contains("me/tiny: no such directory, and the Hugging Face hub did not answer"), "{message}");

        let hub = Hub::start(whole);
        folder.copy_fixture(fixture, "BASE");
        let by_path = folder.run("embed --device cpu --model BASE --text").stdin("harbour\n").stdout();
        assert_eq!(embed(&folder, &hub.address, "").stdout(), by_path, "{lacking}");
        assert_eq!(hub.fetched(), [lacking]);
        assert_eq!(embed(&folder, UNREACHABLE, "--offline").stdout(), by_path, "{lacking}");
    }
}

/// The files of `tiny-xlmr`, with its weights in two shards.
fn sharded() -> BTreeMap<String, Vec<u8>> {
    let folder = Folder::new();
    folder.copy_fixture("parity/tiny-xlmr", "MODEL");
    folder.shard_weights("MODEL");
    files_in(&folder.path("MODEL"))
}

/// The vectors of the line that [`embed`] embeds, by the path of the fixture.
fn by_path(folder: &Folder, fixture: &str) -> String {
    folder.copy_fixture(fixture, "BASE");
    folder.run("embed --device cpu --model BASE --text").stdin("harbour\n").stdout()
}

#[test]
fn shards_are_fetched_with_their_index() {
    let (files, shard) = (sharded(), "model-00002-of-00002.safetensors");
    let hub = Hub::start(files.clone());
    let folder = Folder::new();
    fs::create_dir(folder.path("hf")).unwrap();
    let expected = by_path(&folder, "parity/tiny-xlmr");
    assert_eq!(embed(&folder, &hub.address, "").stdout(), expected);
    assert_eq!(hub.fetched(), files.keys().cloned().collect::<Vec<_>>());
    assert_eq!(embed(&folder, UNREACHABLE, "--offline").stdout(), expected);

    let mut incomplete = files.clone();
    incomplete.remove(shard).unwrap();
    let folder = cache(&incomplete);
    let message = embed(&folder, UNREACHABLE, "--offline").ran().with_code(2).stderr();
    let missing = format!("{shard}: No such file, but model.safetensors.index.json names it");
    assert!(message.contains(&missing) && message.contains("hint: without HF_HUB_OFFLINE"), "{message}");
    assert_eq!(embed(&folder, &hub.address, "").stdout(), expected);
    assert_eq!(hub.fetched(), [shard]);

    // The repository itself lacks a shard, or names one outside of it.
    let folder = Folder::new();
    fs::create_dir(folder.path("hf")).unwrap();
    let message = embed(&folder, &Hub::start(incomplete).address, "").ran().with_code(2).stderr();
    assert!(message.contains(&format!("me/tiny: {shard}: ")), "{message}");
    let mut evil = files;
    let index = String::from_utf8(evil["model.safetensors.index.json"].clone()).unwrap().replace(shard, "../../evil");
    evil.insert("model.safetensors.index.json".into(), index.into_bytes());
    let hub = Hub::start(evil);
    let folder = Folder::new();
    fs::create_dir(folder.path("hf")).unwrap();
    let message = embed(&folder, &hub.address, "").ran().with_code(2).stderr();
    assert!(message.contains("\"../../evil\", is not in its folder"), "{message}");
    assert!(!hub.fetched().iter().any(|file| file.contains("evil")));
}

/// sentence-transformers 2 and older put the encoder into a folder of its own.
#[test]
fn an_encoder_in_a_folder_of_its_own_is_fetched() {
    let whole = files_of("parity/tiny-dense");
    let of_root =
        |name: &str| name.contains('/') || ["modules.json", "config_sentence_transformers.json"].contains(&name);
    let mut files: BTreeMap<String, Vec<u8>> = whole
        .into_iter()
        .map(|(name, content)| (if of_root(&name) { name } else { format!("0_Transformer/{name}") }, content))
        .collect();
    let modules = String::from_utf8(files["modules.json"].clone()).unwrap();
    let moved = modules.replacen("\"path\": \"\"", "\"path\": \"0_Transformer\"", 1);
    assert_ne!(moved, modules);
    files.insert("modules.json".into(), moved.into_bytes());
    let hub = Hub::start(files.clone());
    let folder = Folder::new();
    fs::create_dir(folder.path("hf")).unwrap();
    let expected = by_path(&folder, "parity/tiny-dense");
    assert_eq!(embed(&folder, &hub.address, "").stdout(), expected);
    assert_eq!(hub.fetched(), files.into_keys().collect::<Vec<_>>());
    assert_eq!(embed(&folder, UNREACHABLE, "--offline").stdout(), expected);
}

#[test]
fn an_adapter_is_fetched_and_its_base_is_found() {
    let folder = Folder::new();
    fs::create_dir(folder.path("hf")).unwrap();
    folder.copy_fixture("parity/tiny-bert", "BASE");
    folder.copy_fixture("parity/adapters/query-value", "ADAPTER");
    let expected = folder.run("embed --device cpu --model ADAPTER --text").stdin("harbour\n").stdout();
    assert_ne!(expected, by_path(&folder, "parity/tiny-bert"));
    let mut files = files_in(&folder.path("ADAPTER"));
    let hub = Hub::start(files.clone());
    assert_eq!(embed(&folder, &hub.address, "").stdout(), expected);
    assert_eq!(hub.fetched(), files.keys().cloned().collect::<Vec<_>>());
    assert_eq!(embed(&folder, UNREACHABLE, "--offline").stdout(), expected);

    let config = String::from_utf8(files["adapter_config.json"].clone()).unwrap().replace("BASE", "me/base");
    files.insert("adapter_config.json".into(), config.into_bytes());
    let folder = cache(&files);
    let message = embed(&folder, UNREACHABLE, "--offline").ran().with_code(2).stderr();
    assert!(message.contains("\"me/base\" is neither a directory nor in the Hugging Face cache"), "{message}");
}

#[test]
fn only_files_that_are_needed_are_fetched() {
    for (fixture, more) in [
        (
            "parity/tiny-dense",
            &["README.md", "onnx/model.onnx", "pytorch_model.bin", "openvino/openvino_model.bin"][..],
        ),
        ("foreign/tiny-electra", &["onnx/model_quantized.onnx", "model.safetensors"]),
    ] {
        let needed = files_of(fixture);
        let mut files = needed.clone();
        files.extend(more.iter().map(|name| ((*name).to_owned(), b"x".to_vec())));
        let hub = Hub::start(files);
        let folder = Folder::new();
        fs::create_dir(folder.path("hf")).unwrap();
        folder.copy_fixture(fixture, "BASE");
        let by_path = folder.run("embed --device cpu --model BASE --text").stdin("harbour\n").stdout();
        assert_eq!(embed(&folder, &hub.address, "").stdout(), by_path);
        assert_eq!(hub.fetched(), needed.into_keys().collect::<Vec<_>>());
    }
}

/// The missing file is requested only once.
#[test]
fn a_model_that_has_no_modules_is_pooled_by_mean() {
    let mut files = files_of("parity/tiny-bert");
    files.remove("modules.json").unwrap();
    let hub = Hub::start(files);
    let folder = Folder::new();
    fs::create_dir(folder.path("hf")).unwrap();
    let fetched = embed(&folder, &hub.address, "").stdout();
    assert_eq!(embed(&folder, UNREACHABLE, "--offline").stdout(), fetched);
    assert!(folder.path("hf/hub/models--me--tiny/.no_exist/c0ffee/modules.json").is_file());
}

#[test]
fn files_that_the_repository_lacks_are_named() {
    for (fixture, lacking, expected) in [
        (
            "parity/tiny-xlmr",
            "model.safetensors",
            "me/tiny: the repository has neither model.safetensors nor pytorch_model.bin",
        ),
        ("parity/tiny-xlmr", "tokenizer.json", "me/tiny: the repository has no tokenizer.json"),
        ("foreign/tiny-electra", "onnx/model.onnx", "qwen3), and the repository has no model.onnx or onnx/model.onnx"),
        ("foreign/tiny-electra", "onnx/model.onnx_data", "me/tiny: onnx/model.onnx_data: "),
    ] {
        let mut files = files_of(fixture);
        files.remove(lacking).unwrap();
        let hub = Hub::start(files);
        let folder = Folder::new();
        fs::create_dir(folder.path("hf")).unwrap();
        let message = embed(&folder, &hub.address, "").ran().with_code(2).stderr();
        assert!(message.contains(expected), "{lacking}: {message}");
    }
    let folder = Folder::new();
    let message = embed(&folder, UNREACHABLE, "--offline").ran().with_code(2).stderr();
    assert!(message.contains("me/tiny: no such directory, and not in the Hugging Face cache"), "{message}");
}

#[test]
fn the_size_and_the_etag_of_a_file_are_checked() {
    for (fault, expected) in [
        (Fault::Endless, "me/tiny: model.safetensors: it is longer than the "),
        (Fault::PathTraversal, "me/tiny: model.safetensors: the hub sends an invalid commit or etag"),
        (Fault::Interrupted, "me/tiny: model.safetensors: the download ended after "),
    ] {
        let files = files_of("parity/tiny-xlmr");
        let size = files["model.safetensors"].len() as u64;
        let hub = Hub::with(files, fault);
        let folder = Folder::new();
        fs::create_dir(folder.path("hf")).unwrap();
        let message = embed(&folder, &hub.address, "").ran().with_code(2).stderr();
        assert!(message.contains(expected), "{message}");
        let blobs = folder.path("hf/hub/models--me--tiny/blobs");
        let lengths = fs::read_dir(blobs).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
        assert!(lengths.max().unwrap() <= size && !folder.path("evil").exists());
        if fault == Fault::Interrupted {
            // The next run continues the download.
            folder.copy_fixture("parity/tiny-xlmr", "BASE");
            let by_path = folder.run("embed --device cpu --model BASE --text").stdin("harbour\n").stdout();
            assert_eq!(embed(&folder, &hub.address, "").stdout(), by_path);
        }
    }
}

#[test]
fn proxy_settings_are_honoured() {
    let files = files_of("parity/tiny-xlmr");
    let hub = Hub::start(files);
    let fetched = |variables: &str| {
        let folder = Folder::new();
        fs::create_dir(folder.path("hf")).unwrap();
        let line =
            format!("env {variables} HF_HOME=hf HF_ENDPOINT={} embed --device cpu --model me/tiny --text", hub.address);
        folder.run(&line).stdin("harbour\n").ran()
    };
    for (variables, expected) in [
        ("HTTP_PROXY=http://user:hunter22@", "me/tiny: HTTP_PROXY: not a host name"),
        ("ALL_PROXY=ftp://proxy:1", "me/tiny: ALL_PROXY: unknown kind of proxy: ftp"),
        ("NO_PROXY=10.0.0.0/99", "me/tiny: NO_PROXY: entry 1: not a host, domain or network"),
        // A proxy that is not there is not passed over.
        ("ALL_PROXY=socks5h://127.0.0.1:1", "the Hugging Face hub did not answer"),
    ] {
        let message = fetched(variables).with_code(2).stderr();
        assert!(message.contains(expected) && !message.contains("hunter22"), "{variables}: {message}");
    }
    fetched("ALL_PROXY=socks5h://127.0.0.1:1 NO_PROXY=127.0.0.0/8").with_code(0).stdout();
}
