//! The address of a server.

use anyhow::{anyhow, ensure};
use reqwest::Url;

const OPENAI: &str = "https://api.openai.com/v1";
/// Suffixes of the host names of Azure's resources, without the domain of the cloud; the first is Azure OpenAI's.
const AZURE: [&str; 3] = [".openai.azure", ".cognitiveservices.azure", ".services.ai.azure"];
/// The domains of the public cloud, the US government's, and China's.
const CLOUDS: [&str; 3] = [".com", ".us", ".cn"];
/// GitHub Models: the old host name looks like Azure's, but takes a GitHub token like the new one.
const GITHUB: [&str; 2] = ["models.github.ai", "models.inference.ai.azure.com"];

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// The URL that `/chat/completions` is appended to.
    pub(super) base: String,
    /// The query of every request, such as Azure's `api-version`.
    pub(super) query: Option<String>,
    /// Whose server it is.
    pub(crate) host: Host,
}

/// Servers that differ in the parameters that they accept and in their prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    /// OpenAI itself.
    OpenAi,
    /// OpenAI's servers of one region, such as `eu.api.openai.com`.
    OpenAiRegion,
    /// A resource at Azure, in any of its clouds.
    Azure,
    /// GitHub Models.
    GitHub,
    /// Any other.
    Other,
}

impl Host {
    /// The kind of server that a host name, in lower case, belongs to.
    fn of(name: &str) -> Self {
        let name = name.trim_end_matches('.');
        let in_cloud = |cloud| name.strip_suffix(cloud).is_some_and(|name| AZURE.iter().any(|end| name.ends_with(end)));
        match name {
            "api.openai.com" => Self::OpenAi,
            _ if name.ends_with(".api.openai.com") => Self::OpenAiRegion,
            _ if GITHUB.contains(&name) => Self::GitHub,
            _ if CLOUDS.into_iter().any(in_cloud) => Self::Azure,
            _ => Self::Other,
        }
    }

    /// Whether this is OpenAI itself, in any region.
    pub(crate) fn is_openai(self) -> bool {
        matches!(self, Self::OpenAi | Self::OpenAiRegion)
    }
}

impl Address {
    /// Parses an address; an empty one is OpenAI's.
    ///
    /// # Errors
    /// A text that is not an HTTP URL, or that contains a user name or a password.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let (base, query) = match text.trim().split_once('?') {
            Some((base, query)) => (base, Some(query.to_owned())),
            None => (text.trim(), None),
        };
        let base = base.trim_end_matches('/').trim_end_matches("/chat/completions").trim_end_matches('/');
        if base.is_empty() {
            return Ok(Self { base: OPENAI.into(), query: None, host: Host::OpenAi });
        }
        let hint = "hint: an address looks like http://localhost:8000/v1 (--base-url, OPENAI_BASE_URL)";
        let url = Url::parse(base).map_err(|error| anyhow!("the server's address: {error}\n{hint}"))?;
        ensure!(matches!(url.scheme(), "http" | "https"), "the server's address must begin with http or https\n{hint}");
        let bare = url.username().is_empty() && url.password().is_none();
        ensure!(bare, "the server's address contains a user name or a password\nhint: pass the key in OPENAI_API_KEY");
        let host = Host::of(url.host_str().unwrap_or_default());
        Ok(Self { base: base.to_owned(), query, host })
    }

    /// Scheme, host and port, which decide on the proxy.
    pub(super) fn origin(&self) -> Option<(String, String, u16)> {
        let url = Url::parse(&self.base).ok()?;
        Some((url.scheme().to_owned(), url.host_str()?.to_owned(), url.port_or_known_default()?))
    }

    /// Values of the query that may be secrets, because some gateways take their keys there.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        let pairs = self.query.as_deref().unwrap_or_default().split('&');
        pairs.filter_map(|pair| pair.split_once('=')).filter(|(name, _)| *name != "api-version").map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_normalised() {
        for given in ["http://h:1/v1", "http://h:1/v1/", " http://h:1/v1// ", "http://h:1/v1/chat/completions"] {
            assert_eq!(Address::parse(given).unwrap().base, "http://h:1/v1");
        }
        assert_eq!(Address::parse("").unwrap().host, Host::OpenAi);
        for bad in ["localhost:8000/v1", "h", "ftp://h/v1", "http://user:secret@h/v1"] {
            let error = Address::parse(bad).unwrap_err().to_string();
            assert!(error.contains("hint: ") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn azure_has_a_query() {
        let base = "https://name.openai.azure.com/openai/deployments/mini";
        let address = Address::parse(&format!("{base}/chat/completions?api-version=2024-10-21&code=x")).unwrap();
        let query = Some("api-version=2024-10-21&code=x".into());
        assert_eq!(address, Address { base: base.into(), query, host: Host::Azure });
        assert_eq!(address.secrets().collect::<Vec<_>>(), ["x"]);
        assert_eq!(address.origin(), Some(("https".into(), "name.openai.azure.com".into(), 443)));
    }

    #[test]
    fn hosts_are_told_apart() {
        for (host, names) in [
            (Host::OpenAi, "https://api.openai.com/v1 https://API.OpenAI.com:443/v1/ "),
            (Host::OpenAiRegion, "https://eu.api.openai.com/v1 https://us.api.openai.com/v1"),
            (
                Host::Azure,
                "https://name.openai.azure.com/openai/v1 \
                https://name.openai.azure.us/openai/deployments/mini?api-version=2024-10-21 \
                https://name.openai.azure.cn/openai/deployments/mini?api-version=2024-10-21 \
                https://name.cognitiveservices.azure.com/openai/v1 \
                https://name.cognitiveservices.azure.us/openai/v1 \
                https://name.services.ai.azure.com/models",
            ),
            (Host::GitHub, "https://models.inference.ai.azure.com https://models.github.ai/inference"),
            (
                Host::Other,
                "https://api.openai.com.evil.example/v1 https://notapi.openai.com/v1 \
                https://name.eastus2.models.ai.azure.com/v1 https://name.openai.azure.com.example/v1 \
                https://openai.azure.example/v1 http://localhost:8000/v1 https://127.0.0.1/v1",
            ),
        ] {
            for name in names.split(' ') {
                assert_eq!(Address::parse(name).unwrap().host, host, "{name}");
            }
        }
    }
}
