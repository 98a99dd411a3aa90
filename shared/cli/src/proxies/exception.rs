//! Entries of `NO_PROXY`.

use std::net::IpAddr;

use anyhow::{bail, ensure};

use super::split_port;

/// Something that is reached without a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Exception {
    Everything,
    /// A host, or a domain and its subdomains; with a port, only at that port.
    Domain(String, Option<u16>),
    /// An address, or a network of addresses with the same first bits.
    Network(IpAddr, u32, Option<u16>),
    /// Hosts that begin with this.
    Prefix(String),
}

impl Exception {
    /// Parses an entry.
    ///
    /// # Errors
    /// An entry in no known form.
    pub(super) fn read(entry: &str) -> anyhow::Result<Self> {
        let text = entry.to_lowercase();
        if text == "*" {
            return Ok(Self::Everything);
        }
        if let Some((address, bits)) = text.split_once('/') {
            let address: Option<IpAddr> = address.parse().ok();
            let most = if address.is_some_and(|address| address.is_ipv6()) { 128 } else { 32 };
            let bits = bits.parse::<u32>().ok().filter(|bits| *bits <= most);
            let (Some(address), Some(bits)) = (address, bits) else { bail!("not a host, domain or network") };
            return Ok(Self::Network(address, bits, None));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(address, 128, None));
        }
        let (host, port) = split_port(&text)?;
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(Self::Network(address, 128, port));
        }
        if let Some(prefix) = host.strip_suffix('*').filter(|_| port.is_none()) {
            ensure!(is_domain(prefix), "not a host, domain or network");
            return Ok(Self::Prefix(prefix.to_owned()));
        }
        let domain = host.strip_prefix('*').unwrap_or(host).trim_matches('.');
        ensure!(is_domain(domain), "not a host, domain or network");
        Ok(Self::Domain(domain.to_owned(), port))
    }

    /// Whether a host, in lower case, is reached without a proxy at this port.
    pub(super) fn covers(&self, host: &str, port: u16) -> bool {
        let at = |only: &Option<u16>| only.is_none_or(|only| only == port);
        match self {
            Self::Everything => true,
            Self::Domain(domain, only) => {
                at(only)
                    && host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            Self::Network(network, bits, only) => {
                at(only) && host.parse().is_ok_and(|address| is_in(address, *network, *bits))
            }
            Self::Prefix(prefix) => host.starts_with(prefix),
        }
    }
}

fn is_domain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-._".contains(c))
}

/// Whether the first bits of two addresses are equal.
fn is_in(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (address.to_bits() ^ network.to_bits()).leading_zeros() >= bits.min(32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            (address.to_bits() ^ network.to_bits()).leading_zeros() >= bits.min(128)
        }
        _ => false,
    }
}
