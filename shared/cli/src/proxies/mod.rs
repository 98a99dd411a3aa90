//! The proxies that the environment names.
//!
//! Every HTTP client reads these variables differently and silently ignores values that it does not understand, so a
//! program may not use the proxy that the user chose. Here they are read once, and an invalid value is an error.

mod exception;

use std::env;
use std::ffi::OsString;
use std::net::Ipv6Addr;

use anyhow::{anyhow, bail, ensure};

use exception::Exception;

/// Schemes of proxies. Host names are resolved locally for `socks4` and `socks5`, and by the proxy for the others.
const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/// Proxies by the scheme of the URL, and exceptions that are reached without them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exceptions: Vec<Exception>,
}

/// A proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    url: String,
    password: Option<String>,
}

impl Proxy {
    /// Its address, with user and password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its password as it is in the address, which must not be in any message.
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }
}

impl Proxies {
    /// Reads `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in upper or else lower case, as curl does; an
    /// empty variable counts as unset.
    ///
    /// # Errors
    /// An invalid value; the message names the variable and has no password.
    pub fn of_environment() -> anyhow::Result<Self> {
        // In a CGI program, HTTP_PROXY is a header chosen by the client (https://httpoxy.org).
        if env::var_os("REQUEST_METHOD").is_some() {
            return Ok(Self::default());
        }
        Self::read(|name| env::var_os(name))
    }

    /// The proxy for a host, which may be an IPv6 address in brackets.
    pub fn for_host(&self, scheme: &str, host: &str, port: u16) -> Option<&Proxy> {
        let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_lowercase();
        let proxy = if scheme == "https" { self.https.as_ref() } else { self.http.as_ref() };
        proxy.filter(|_| !self.exceptions.iter().any(|exception| exception.covers(&host, port)))
    }

    fn read(variable: impl Fn(&str) -> Option<OsString>) -> anyhow::Result<Self> {
        let value = |name: &'static str| -> anyhow::Result<Option<(String, String)>> {
            for name in [name.to_owned(), name.to_lowercase()] {
                let Some(value) = variable(&name).filter(|value| !value.is_empty()) else { continue };
                let value = value.into_string().map_err(|_| anyhow!("{name}: not UTF-8"))?;
                let value = value.trim();
                if !value.is_empty() {
                    return Ok(Some((name, value.to_owned())));
                }
            }
            Ok(None)
        };
        let proxy = |name| -> anyhow::Result<Option<Proxy>> {
            let Some((name, value)) = value(name)? else { return Ok(None) };
            let hint = "hint: a proxy looks like http://proxy.example:3128 or socks5h://user:password@127.0.0.1:1080";
            read_proxy(&value).map(Some).map_err(|what| anyhow!("{name}: {what}\n{hint}"))
        };
        let all = proxy("ALL_PROXY")?;
        let exceptions = value("NO_PROXY")?.map(|(name, list)| {
            let entries = list.split([',', ' ', '\t', '\n']).filter(|entry| !entry.is_empty()).zip(1..);
            let hint =
                "hint: it lists hosts, .domains, addresses and networks (10.0.0.0/8), separated by commas, or is *";
            let read = |(entry, number)| {
                Exception::read(entry).map_err(|what| anyhow!("{name}: entry {number}: {what}\n{hint}"))
            };
            entries.map(read).collect()
        });
        Ok(Self {
            http: proxy("HTTP_PROXY")?.or_else(|| all.clone()),
            https: proxy("HTTPS_PROXY")?.or(all),
            exceptions: exceptions.transpose()?.unwrap_or_default(),
        })
    }
}

/// Parses `[scheme://][user[:password]@]host[:port]`. Messages repeat only the scheme, because anything in the wrong
/// place may be a password.
fn read_proxy(value: &str) -> anyhow::Result<Proxy> {
    let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
    let scheme = scheme.to_ascii_lowercase();
    let is_word = scheme.chars().all(|c| c.is_ascii_alphanumeric());
    ensure!(is_word, "not the address of a proxy");
    ensure!(SCHEMES.contains(&scheme.as_str()), "unknown kind of proxy: {scheme} (known: {})", SCHEMES.join(", "));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let encode = "user and password must be percent-encoded: %2F for /, %23 for #, %40 for @";
    ensure!(!path.contains('@'), "{encode}");
    ensure!(matches!(path, "" | "/"), "a proxy's address has no path");
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, authority),
    };
    ensure!(user.is_none_or(is_encoded), "{encode}");
    let (host, port) = split_port(place)?;
    let is_name = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    ensure!(is_name || host.starts_with('['), "not a host name");
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let password = user.and_then(|user| user.split_once(':')).map(|(_, password)| password.to_owned());
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    Ok(Proxy { url: format!("{scheme}://{user}{host}{port}"), password })
}

/// Whether all characters are allowed in the user part of a URL, and every percent sign begins a code (RFC 3986,
/// 3.2.1).
fn is_encoded(user: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:%".contains(c);
    let mut codes = user.split('%').skip(1);
    let is_code = |rest: &str| rest.len() >= 2 && rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit);
    user.chars().all(is_allowed) && codes.all(is_code)
}

/// Splits host and port; an IPv6 address keeps its brackets.
fn split_port(place: &str) -> anyhow::Result<(&str, Option<u16>)> {
    let (host, port) = match place.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((address, rest))) => {
            ensure!(address.parse::<Ipv6Addr>().is_ok(), "not an IPv6 address in brackets");
            (&place[..address.len() + 2], rest.strip_prefix(':').or((!rest.is_empty()).then_some("?")))
        }
        Some(None) => bail!("an unclosed bracket"),
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let Some(port) = port else { return Ok((host, None)) };
    let number =
        port.parse::<u16>().ok().filter(|number| *number > 0 && port.bytes().all(|byte| byte.is_ascii_digit()));
    Ok((host, Some(number.ok_or_else(|| anyhow!("not a port number after the host"))?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> anyhow::Result<Proxies> {
        Proxies::read(|name| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).into()))
    }

    fn way(variables: &[(&str, &str)], scheme: &str, host: &str, port: u16) -> Option<String> {
        read(variables).unwrap().for_host(scheme, host, port).map(|proxy| proxy.url().to_owned())
    }

    #[test]
    fn proxies_are_chosen_by_scheme() {
        let all = [("ALL_PROXY", "socks5h://p:1"), ("https_proxy", "proxy.example"), ("HTTP_PROXY", "")];
        assert_eq!(way(&all, "http", "h", 80).unwrap(), "socks5h://p:1");
        assert_eq!(way(&all, "https", "h", 443).unwrap(), "http://proxy.example");
        assert_eq!(way(&[], "https", "h", 443), None);
        let both = [("HTTP_PROXY", "http://big:1/"), ("http_proxy", "http://small:1")];
        assert_eq!(way(&both, "http", "h", 80).unwrap(), "http://big:1");
        for (value, url) in [
            (" HTTP://P:8080/ ", "http://P:8080"),
            ("user:p%40ss@10.0.0.1:3128", "http://user:p%40ss@10.0.0.1:3128"),
            ("SOCKS5://[::1]:1080", "socks5://[::1]:1080"),
            ("socks4a://p", "socks4a://p"),
        ] {
            assert_eq!(way(&[("ALL_PROXY", value)], "https", "h", 443).unwrap(), url, "{value}");
        }
        let proxies = read(&[("ALL_PROXY", "socks5://user:secret@p")]).unwrap();
        assert_eq!(proxies.for_host("http", "h", 1).unwrap().password(), Some("secret"));
    }

    #[test]
    fn invalid_proxies_are_refused_by_variable() {
        for value in [
            "ftp://user:secret@p:1",
            "socks://p:1080",
            "http://",
            "http://:3128",
            "http://user:secret@:3128",
            "http://p:port",
            "http://p:0",
            "http://p:99999",
            "http://p:80:80",
            "http://user:se/secret@p:1",
            "http://user:se#secret@p:1",
            "http://user:se%zz@p:1",
            "http://user:sec ret@p:1",
            "http://[::1:3128",
            "http://[::g]:3128",
            "http://[::1]3128",
            "http:/p:1",
            "http//p",
            "http://p/proxy.pac",
            "p:3128:user:secret",
            "user:secret",
            "secret:word://p",
            "://p",
            "p p",
            "héte:1",
        ] {
            for name in ["HTTP_PROXY", "https_proxy", "ALL_PROXY"] {
                let error = read(&[(name, value)]).expect_err(value).to_string();
                assert!(error.starts_with(&format!("{name}: ")) && error.contains("\nhint: "), "{value}: {error}");
                assert!(!error.contains("secret"), "{value}: {error}");
            }
        }
    }

    #[test]
    fn exceptions_are_hosts_domains_and_networks() {
        let list = "localhost, .example.com,*.internal 10.0.0.0/8,192.168.1.7,fd00::/8,[::1]:8000,h:8000,172.16.*,";
        let variables = [("ALL_PROXY", "http://p:1"), ("NO_PROXY", list)];
        for (host, port) in [
            ("localhost", 80),
            ("LOCALHOST.", 80),
            ("example.com", 80),
            ("api.example.com", 80),
            ("a.internal", 80),
            ("10.255.0.1", 80),
            ("192.168.1.7", 80),
            ("[fd12::1]", 80),
            ("[::1]", 8000),
            ("h", 8000),
            ("172.16.5.4", 1),
        ] {
            assert_eq!(way(&variables, "http", host, port), None, "{host}:{port}");
        }
        for (host, port) in [
            ("notexample.com", 80),
            ("localhost.evil", 80),
            ("11.0.0.1", 80),
            ("192.168.1.70", 80),
            ("[::1]", 80),
            ("h", 80),
            ("fd00.example", 80),
        ] {
            assert!(way(&variables, "http", host, port).is_some(), "{host}:{port}");
        }
        assert_eq!(way(&[("ALL_PROXY", "p"), ("no_proxy", "*")], "https", "h", 443), None);
        assert_eq!(way(&[("ALL_PROXY", "p"), ("NO_PROXY", "0.0.0.0/0")], "https", "9.9.9.9", 443), None);
    }

    #[test]
    fn invalid_exceptions_are_refused_by_variable() {
        for list in
            ["http://localhost", "10.0.0.0/99", "10.0.0/8", "a;b", "h:port", "<local>", "[::1", "a,**", "a*b", "x/y"]
        {
            let error = read(&[("NO_PROXY", list)]).expect_err(list).to_string();
            assert!(error.starts_with("NO_PROXY: ") && error.contains("\nhint: "), "{list}: {error}");
        }
    }
}
