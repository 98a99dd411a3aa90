//! The address of a server.

use anyhow::{anyhow, ensure};
use reqwest::Url;

const OPENAI: &str = "https://api.openai.com/v1";

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// What `/chat/completions` is appended to.
    pub(super) base: String,
    /// Of every request: Azure's `api-version`.
    pub(super) query: Option<String>,
    /// Azure takes the key in a header of its own.
    pub(crate) is_azure: bool,
}

impl Address {
    /// Reads an address; an empty one is OpenAI's.
    ///
    /// # Errors
    /// What cannot be one.
    pub(crate) fn read(text: &str) -> anyhow::Result<Self> {
        let (base, query) = match text.trim().split_once('?') {
            Some((base, query)) => (base, Some(query.to_owned())),
            None => (text.trim(), None),
        };
        let base = base.trim_end_matches('/').trim_end_matches("/chat/completions").trim_end_matches('/');
        if base.is_empty() {
            return Ok(Self { base: OPENAI.into(), query: None, is_azure: false });
        }
        let hint = "hint: an address looks like http://localhost:8000/v1 (--base-url, OPENAI_BASE_URL)";
        let url = Url::parse(base).map_err(|error| anyhow!("the server's address: {error}\n{hint}"))?;
        ensure!(matches!(url.scheme(), "http" | "https"), "the server's address must begin with http or https\n{hint}");
        let bare = url.username().is_empty() && url.password().is_none();
        ensure!(bare, "the server's address holds a user or a password\nhint: give the key in OPENAI_API_KEY");
        let is_azure = url.host_str().is_some_and(|host| host.ends_with(".azure.com"));
        Ok(Self { base: base.to_owned(), query, is_azure })
    }

    /// Whether this is OpenAI itself, whose prices are known.
    pub(crate) fn is_openai(&self) -> bool {
        self.base == OPENAI
    }

    /// Whether the way to it needs certificates.
    pub(super) fn is_encrypted(&self) -> bool {
        self.base.starts_with("https:")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_brought_into_one_form() {
        for given in ["http://h:1/v1", "http://h:1/v1/", " http://h:1/v1// ", "http://h:1/v1/chat/completions"] {
            assert_eq!(Address::read(given).unwrap().base, "http://h:1/v1");
        }
        assert!(Address::read("").unwrap().is_openai());
        assert!(!Address::read("http://h:1/v1").unwrap().is_openai());
        for bad in ["localhost:8000/v1", "h", "ftp://h/v1", "http://user:secret@h/v1"] {
            let error = Address::read(bad).unwrap_err().to_string();
            assert!(error.contains("hint: ") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn azure_has_a_query() {
        let base = "https://name.openai.azure.com/openai/deployments/mini";
        let address = Address::read(&format!("{base}/chat/completions?api-version=2024-10-21")).unwrap();
        assert_eq!(
            address,
            Address { base: base.into(), query: Some("api-version=2024-10-21".into()), is_azure: true }
        );
    }
}
