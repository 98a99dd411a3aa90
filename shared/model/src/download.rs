//! Downloads from the Hugging Face hub into its cache.
//!
//! Every wait has a limit, and so has every file: the size that the hub announces.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use embtune_cli::Proxies;
use hf_hub::CacheRepo;
use hf_hub::api::RepoInfo;
use hf_hub::api::sync::ApiRepo;
use ureq::config::RedirectAuthHeaders;
use ureq::http::{Response, StatusCode, Uri};
use ureq::{Body, Error, Proxy};

/// The longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest wait for a response, and for the next bytes of a file.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum size of a repository's list of files, in bytes.
const MAX_LIST_BYTES: u64 = 16 << 20;
/// Maximum number of redirects that are followed.
const MAX_REDIRECTS: u32 = 10;

/// A repository on the hub, with its cache.
pub(crate) struct Repository {
    pub(crate) api: ApiRepo,
    pub(crate) cache: CacheRepo,
    pub(crate) proxies: Proxies,
}

/// The hub's metadata of a file.
struct Metadata {
    commit: String,
    etag: String,
    size: u64,
}

impl Repository {
    /// The names of all files.
    ///
    /// # Errors
    /// The hub does not respond, or responds with something else.
    pub(crate) fn file_names(&self) -> Result<Vec<String>, String> {
        let url = self.api.info_request().uri_ref().map(Uri::to_string).unwrap_or_default();
        let mut response = self.request(&url, None, MAX_REDIRECTS)?;
        let list = response.body_mut().with_config().limit(MAX_LIST_BYTES).read_json::<RepoInfo>();
        Ok(list.map_err(message)?.siblings.into_iter().map(|sibling| sibling.rfilename).collect())
    }

    /// The path of a file in the cache, into which it is downloaded if it is not there yet.
    ///
    /// # Errors
    /// The file cannot be downloaded or stored.
    pub(crate) fn fetch(&self, file: &str) -> Result<PathBuf, String> {
        if let Some(path) = self.cache.get(file) {
            return Ok(path);
        }
        let url = self.api.url(file);
        let metadata = self.metadata(&url)?;
        let mut path = self.cache.pointer_path(&metadata.commit);
        path.push(file);
        self.store(&url, &metadata, &path, file).map_err(|error| match error.get_ref() {
            Some(inner) if inner.is::<Error>() => body_message(&error, metadata.size),
            _ => error.to_string(),
        })?;
        Ok(path)
    }

    /// Downloads the content into the cache's blobs, and links it as `path` in the snapshot of the commit.
    fn store(&self, url: &str, metadata: &Metadata, path: &Path, file: &str) -> io::Result<()> {
        let blob = self.cache.blob_path(&metadata.etag);
        let beside = |extension: &str| blob.with_file_name(format!("{}.{extension}", metadata.etag));
        let folders = [blob.parent(), path.parent()];
        folders.into_iter().flatten().try_for_each(fs::create_dir_all)?;
        let lock = File::create(beside("lock"))?;
        match lock.lock() {
            // Some file systems have no locks; there, simultaneous downloads of a file disturb each other.
            Err(error) if error.kind() != io::ErrorKind::Unsupported => return Err(error),
            _ => {}
        }
        if !blob.exists() {
            let part = beside("part");
            self.download(url, metadata.size, &part)?;
            fs::rename(part, &blob)?;
        }
        if !path.exists() {
            let up = "../".repeat(2 + file.matches('/').count());
            symlink(format!("{up}blobs/{}", metadata.etag), path)?;
        }
        self.cache.create_ref(&metadata.commit)
    }

    /// Completes a partial file of `size` bytes.
    fn download(&self, url: &str, size: u64, part: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(part)?;
        let mut start = file.seek(SeekFrom::End(0))?;
        if start > size {
            start = 0;
        }
        let response = self.request(url, Some(format!("bytes={start}-")), MAX_REDIRECTS).map_err(io::Error::other)?;
        if response.status() == StatusCode::OK {
            // The server ignores ranges and sends the whole file.
            start = 0;
        }
        file.set_len(start)?;
        file.seek(SeekFrom::Start(start))?;
        let mut body = response.into_body().into_with_config().limit(size - start).reader();
        let end = start + io::copy(&mut body, &mut file)?;
        if end < size {
            return Err(io::Error::other(format!("the download ended after {end} of {size} bytes")));
        }
        file.sync_all()
    }

    /// The hub's metadata of a file. The hub may redirect to another host for the content; commit and etag are those of
    /// the hub itself.
    fn metadata(&self, url: &str) -> Result<Metadata, String> {
        let mut url = url.to_owned();
        let mut commit_and_etag: Option<(String, String)> = None;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.request(&url, Some("bytes=0-0".into()), 0)?;
            let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
            let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
            let location = header("location").filter(|_| response.status().is_redirection());
            if commit_and_etag.is_none()
                && let Some(commit) = header("x-repo-commit")
                && let Some(etag) = header("x-linked-etag").or_else(|| header("etag"))
            {
                commit_and_etag =
                    Some((checked_name(commit)?, checked_name(etag.trim_start_matches("W/").trim_matches('"'))?));
            }
            let total = header("content-range").and_then(|range| range.rsplit('/').next());
            let length = header("content-length").filter(|_| response.status() == StatusCode::OK);
            let size = number(header("x-linked-size")).or_else(|| {
                // The length of a redirect's own body says nothing about the file.
                number(total.or(length)).filter(|_| location.is_none())
            });
            match (&commit_and_etag, size, location) {
                (Some((commit, etag)), Some(size), _) => {
                    return Ok(Metadata { commit: commit.clone(), etag: etag.clone(), size });
                }
                (_, _, Some(location)) => {
                    url = redirect_target(&url, location).ok_or("the hub redirects to an invalid address")?
                }
                _ => return Err("the hub does not send its commit, etag and size".into()),
            }
        }
        Err("too many redirects".into())
    }

    /// A successful response, or a redirect if `redirects` is 0.
    fn request(&self, url: &str, range: Option<String>, redirects: u32) -> Result<Response<Body>, String> {
        let uri: Uri = url.parse().map_err(|_| format!("not a valid URL: {url}"))?;
        let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
        let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        let proxy = self.proxies.for_host(scheme, host, port);
        let proxy = proxy.map(|proxy| Proxy::new(proxy.url())).transpose().map_err(message)?;
        let mut request = self.api.info_request();
        let is_hub = request.uri_ref().and_then(Uri::authority) == uri.authority();
        if let Some(headers) = request.headers_mut().filter(|_| !is_hub) {
            // The token must reach nobody but the hub.
            headers.remove("authorization");
        }
        request = request.uri(uri.clone());
        if let Some(range) = range {
            // Sizes must be those of the file itself, not of a compressed form.
            request = request.header("range", range).header("accept-encoding", "identity");
        }
        let request = request.config().proxy(proxy).max_redirects(redirects);
        let request = request.redirect_auth_headers(RedirectAuthHeaders::SameHost);
        let request = request.timeout_resolve(Some(CONNECT_TIMEOUT)).timeout_connect(Some(CONNECT_TIMEOUT));
        let request = request.timeout_recv_response(Some(READ_TIMEOUT)).timeout_per_read(Some(READ_TIMEOUT));
        request.build().call().map_err(message)
    }
}

/// A commit or an etag, which becomes a file name and must not lead out of its folder.
fn checked_name(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty()
        && !text.starts_with('.')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if is_name { Ok(text.to_owned()) } else { Err(format!("the hub sends an invalid commit or etag, {text:?}")) }
}

/// The address that a redirect leads to.
fn redirect_target(from: &str, location: &str) -> Option<String> {
    if location.contains("://") {
        return Some(location.to_owned());
    }
    let from: Uri = from.parse().ok()?;
    let (scheme, authority) = (from.scheme_str()?, from.authority()?);
    location.starts_with('/').then(|| format!("{scheme}://{authority}{location}"))
}

fn message(error: Error) -> String {
    error.to_string()
}

/// A message about a failed download of a body.
fn body_message(error: &io::Error, size: u64) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::BodyExceedsLimit(_)) => format!("it is longer than the {size} bytes that the hub announces"),
        _ => error.to_string(),
    }
}
