//! Files on their way from the Hugging Face hub into its cache.
//!
//! Nothing is waited for without end and nothing is read without one: a file has the size that the hub names.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use embtune_cli::Proxies;
use hf_hub::CacheRepo;
use hf_hub::api::RepoInfo;
use hf_hub::api::sync::ApiRepo;
use ureq::config::RedirectAuthHeaders;
use ureq::http::{Response, StatusCode, Uri};
use ureq::{Body, Error, Proxy};

/// The longest wait for a connection, for an answer, and for the next piece of a file.
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(60);
/// The longest list of files that is read.
const MOST_OF_LIST: u64 = 16 << 20;
/// Redirections that are followed.
const REDIRECTS: u32 = 10;

/// A repository of the hub, and its place in the cache.
pub(crate) struct Remote {
    pub(crate) repository: ApiRepo,
    pub(crate) cache: CacheRepo,
    pub(crate) proxies: Proxies,
}

/// What the hub says of a file.
struct About {
    commit: String,
    etag: String,
    size: u64,
}

impl Remote {
    /// The names of all its files.
    ///
    /// # Errors
    /// A hub that does not answer, or with something else.
    pub(crate) fn files(&self) -> Result<Vec<String>, String> {
        let url = self.repository.info_request().uri_ref().map(Uri::to_string).unwrap_or_default();
        let mut response = self.asked(&url, None, REDIRECTS)?;
        let list = response.body_mut().with_config().limit(MOST_OF_LIST).read_json::<RepoInfo>();
        Ok(list.map_err(said)?.siblings.into_iter().map(|sibling| sibling.rfilename).collect())
    }

    /// A file's place in the cache, where it is fetched to unless it is there.
    ///
    /// # Errors
    /// A file that cannot be fetched or kept.
    pub(crate) fn fetch(&self, file: &str) -> Result<PathBuf, String> {
        if let Some(path) = self.cache.get(file) {
            return Ok(path);
        }
        let url = self.repository.url(file);
        let about = self.about(&url)?;
        let mut place = self.cache.pointer_path(&about.commit);
        place.push(file);
        self.kept(&url, &about, &place, file).map_err(|error| match error.get_ref() {
            Some(inner) if inner.is::<Error>() => said_of(&error, about.size),
            _ => error.to_string(),
        })?;
        Ok(place)
    }

    /// Puts the content into the blobs, and a link to it beside the other files of the commit.
    fn kept(&self, url: &str, about: &About, place: &PathBuf, file: &str) -> io::Result<()> {
        let blob = self.cache.blob_path(&about.etag);
        let beside = |ending: &str| blob.with_file_name(format!("{}.{ending}", about.etag));
        let folders = [blob.parent(), place.parent()];
        folders.into_iter().flatten().try_for_each(fs::create_dir_all)?;
        let lock = File::create(beside("lock"))?;
        match lock.lock() {
            // Some file systems know no locks: there, two who fetch at once are in each other's way.
            Err(error) if error.kind() != io::ErrorKind::Unsupported => return Err(error),
            _ => {}
        }
        if !blob.exists() {
            let part = beside("part");
            self.download(url, about.size, &part)?;
            fs::rename(part, &blob)?;
        }
        if !place.exists() {
            let up = "../".repeat(2 + file.matches('/').count());
            symlink(format!("{up}blobs/{}", about.etag), place)?;
        }
        self.cache.create_ref(&about.commit)
    }

    /// Appends to a file what it lacks of so many bytes.
    fn download(&self, url: &str, size: u64, part: &PathBuf) -> io::Result<()> {
        let mut kept = OpenOptions::new().write(true).create(true).truncate(false).open(part)?;
        let mut start = kept.seek(SeekFrom::End(0))?;
        if start > size {
            start = 0;
        }
        let response = self.asked(url, Some(format!("bytes={start}-")), REDIRECTS).map_err(io::Error::other)?;
        if response.status() == StatusCode::OK {
            // All of it comes, whatever was asked for.
            start = 0;
        }
        kept.set_len(start)?;
        kept.seek(SeekFrom::Start(start))?;
        let mut body = response.into_body().into_with_config().limit(size - start).reader();
        let end = start + io::copy(&mut body, &mut kept)?;
        if end < size {
            return Err(io::Error::other(format!("it broke off after {end} of {size} bytes")));
        }
        kept.sync_all()
    }

    /// What the hub says of a file, and not the host to which it may send us for the content.
    fn about(&self, url: &str) -> Result<About, String> {
        let mut url = url.to_owned();
        let mut about: Option<(String, String)> = None;
        for _ in 0..=REDIRECTS {
            let response = self.asked(&url, Some("bytes=0-0".into()), 0)?;
            let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
            let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
            let location = header("location").filter(|_| response.status().is_redirection());
            if about.is_none()
                && let Some(commit) = header("x-repo-commit")
                && let Some(etag) = header("x-linked-etag").or_else(|| header("etag"))
            {
                about = Some((named(commit)?, named(etag.trim_start_matches("W/").trim_matches('"'))?));
            }
            let total = header("content-range").and_then(|range| range.rsplit('/').next());
            let length = header("content-length").filter(|_| response.status() == StatusCode::OK);
            let size = number(header("x-linked-size")).or_else(|| {
                // What a redirection says of its own body is nothing about the file.
                number(total.or(length)).filter(|_| location.is_none())
            });
            match (&about, size, location) {
                (Some((commit, etag)), Some(size), _) => {
                    return Ok(About { commit: commit.clone(), etag: etag.clone(), size });
                }
                (_, _, Some(location)) => url = joined(&url, location).ok_or("it is sent to no address")?,
                _ => return Err("the hub does not say its commit, etag and size".into()),
            }
        }
        Err("it is sent from one address to the next without end".into())
    }

    /// An answer of success, or a redirection where none are followed.
    fn asked(&self, url: &str, range: Option<String>, redirects: u32) -> Result<Response<Body>, String> {
        let uri: Uri = url.parse().map_err(|_| format!("no address: {url}"))?;
        let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
        let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        let proxy = self.proxies.for_host(scheme, host, port);
        let proxy = proxy.map(|proxy| Proxy::new(proxy.url())).transpose().map_err(said)?;
        let mut request = self.repository.info_request();
        let is_hub = request.uri_ref().and_then(Uri::authority) == uri.authority();
        if let Some(headers) = request.headers_mut().filter(|_| !is_hub) {
            // The token is the hub's.
            headers.remove("authorization");
        }
        request = request.uri(uri.clone());
        if let Some(range) = range {
            // The size is that of the file, and not of what it may be packed into.
            request = request.header("range", range).header("accept-encoding", "identity");
        }
        let request = request.config().proxy(proxy).max_redirects(redirects);
        let request = request.redirect_auth_headers(RedirectAuthHeaders::SameHost);
        let request = request.timeout_resolve(Some(CONNECT)).timeout_connect(Some(CONNECT));
        let request = request.timeout_recv_response(Some(SILENCE)).timeout_per_read(Some(SILENCE));
        request.build().call().map_err(said)
    }
}

/// A name that stays in its folder.
fn named(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty()
        && !text.starts_with('.')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if is_name { Ok(text.to_owned()) } else { Err(format!("the hub names a commit or an etag {text:?}")) }
}

/// Where a redirection leads.
fn joined(from: &str, location: &str) -> Option<String> {
    if location.contains("://") {
        return Some(location.to_owned());
    }
    let from: Uri = from.parse().ok()?;
    let (scheme, authority) = (from.scheme_str()?, from.authority()?);
    location.starts_with('/').then(|| format!("{scheme}://{authority}{location}"))
}

fn said(error: Error) -> String {
    error.to_string()
}

/// Words for what became of a body.
fn said_of(error: &io::Error, size: u64) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::BodyExceedsLimit(_)) => format!("it is longer than the {size} bytes that the hub names"),
        _ => error.to_string(),
    }
}
