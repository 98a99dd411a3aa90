//! The requests that the language model gets.

mod styles;
mod template;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use embtune_cli::{Input, Session};
use embtune_records::{Pair, Records};
use embtune_text::Language;
use minijinja::context;
use minijinja::value::Serde;
use serde::Serialize;
use serde_json::{Value, json};

use crate::documents::Passage;

pub(crate) use styles::{DEFAULT as DEFAULT_STYLES, Styles};

use template::{BUILTIN, Template};

/// The longest template, in bytes; it is part of every request.
const MAX_TEMPLATE_BYTES: u64 = 1 << 20;
/// Examples that a prompt has room for; Promptagator (<https://arxiv.org/abs/2209.11755>) takes at most 8.
const MAX_EXAMPLES: usize = 20;

/// Settings of the prompt.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The template; none is the built-in one.
    pub(crate) template: Option<PathBuf>,
    /// Pairs of documents and good queries.
    pub(crate) examples: Option<PathBuf>,
    pub(crate) styles: Styles,
    /// The language of the queries; none is that of the document.
    pub(crate) language: Option<Language>,
    /// Decides how the styles are distributed over the passages.
    pub(crate) seed: u64,
    /// The model's name at its server.
    pub(crate) model: String,
    /// The sampling temperature; none leaves it to the server.
    pub(crate) temperature: Option<f64>,
    /// The limit on a reply's tokens; none leaves it to the server.
    pub(crate) max_completion_tokens: Option<u32>,
    pub(crate) reply_format: ReplyFormat,
}

/// How the form of a reply is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReplyFormat {
    /// With a JSON schema, which the server enforces
    Schema,
    /// As any JSON object
    Json,
    /// In the prompt only
    Text,
}

/// Makes the request for a passage.
#[derive(Debug)]
pub(crate) struct Prompt {
    settings: Settings,
    template: Template,
    examples: Vec<Example>,
    /// How many queries are asked for.
    queries: usize,
}

/// A document with good queries for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Example {
    text: String,
    queries: Vec<String>,
}

/// The text of a template file; without one, that of the built-in template.
///
/// # Errors
/// A file that cannot be read, is too long, or is not UTF-8.
pub(crate) fn template_text(path: Option<&Path>) -> anyhow::Result<String> {
    match path {
        None => Ok(BUILTIN.to_owned()),
        Some(path) => read_template(path).with_context(|| path.display().to_string()),
    }
}

/// Reads a template, which may come through a pipe.
fn read_template(path: &Path) -> io::Result<String> {
    let mut template = String::new();
    let read = File::open(path)?.take(MAX_TEMPLATE_BYTES + 1).read_to_string(&mut template)?;
    if read as u64 > MAX_TEMPLATE_BYTES {
        return Err(io::Error::other(format!("has more than {MAX_TEMPLATE_BYTES} bytes")));
    }
    Ok(template)
}

/// Reads pairs; those of the same document are one example.
fn read_examples(input: Input) -> anyhow::Result<Vec<Example>> {
    let name = input.name.clone();
    let mut examples: Vec<Example> = Vec::new();
    for pairs in Records::<Vec<Pair>, _>::with_default_limit(name.clone(), input) {
        for Pair { anchor, positive, .. } in pairs? {
            match examples.iter_mut().find(|example| example.text == positive) {
                Some(example) => example.queries.push(anchor),
                None => examples.push(Example { text: positive, queries: vec![anchor] }),
            }
        }
    }
    anyhow::ensure!(!examples.is_empty(), "{name}: no example");
    let count = examples.len();
    anyhow::ensure!(
        count <= MAX_EXAMPLES,
        "{name}: {count} documents\nhint: each is sent with every request, so at most {MAX_EXAMPLES} are allowed"
    );
    Ok(examples)
}

impl Prompt {
    /// A prompt that asks for `queries` queries about each passage.
    ///
    /// # Errors
    /// A template or examples that cannot be read or are something else.
    pub(crate) fn new(settings: &Settings, queries: usize, session: &Session) -> anyhow::Result<Self> {
        let path = settings.template.as_deref();
        let name = path.map_or_else(|| "prompt".into(), |path| path.display().to_string());
        let template = Template::new(&name, template_text(path)?)?;
        let examples = match &settings.examples {
            None => Vec::new(),
            Some(path) => read_examples(session.input(path)?)?,
        };
        Ok(Self { settings: settings.clone(), template, examples, queries })
    }

    /// How many queries are asked for.
    pub(crate) fn queries(&self) -> usize {
        self.queries
    }

    /// The queries of the examples, which small models repeat.
    pub(crate) fn example_queries(&self) -> impl Iterator<Item = &str> {
        self.examples.iter().flat_map(|example| &example.queries).map(String::as_str)
    }

    /// The body of the request for a passage.
    ///
    /// The number of queries is in the prompt and not in the schema, because many servers do not support `minItems` in
    /// strict mode.
    ///
    /// # Errors
    /// A template that cannot be rendered.
    pub(crate) fn request(&self, passage: &Passage) -> anyhow::Result<Value> {
        let Settings { model, temperature, max_completion_tokens, reply_format, .. } = &self.settings;
        let styles = self.settings.styles.distribute(self.queries, self.settings.seed, &passage.full_text());
        let (system, user) = self.template.render(context! {
            id => passage.document.id.as_str(),
            title => passage.document.title.as_deref(),
            text => passage.text.trim(),
            n => self.queries,
            styles => Serde(styles),
            language => self.settings.language.map(Language::name),
            examples => Serde(&self.examples),
        })?;
        let system = system.map(|content| json!({"role": "system", "content": content}));
        let messages: Vec<Value> = system.into_iter().chain([json!({"role": "user", "content": user})]).collect();
        let mut request = json!({"model": model, "messages": messages});
        match reply_format {
            ReplyFormat::Schema => request["response_format"] = schema(),
            ReplyFormat::Json => request["response_format"] = json!({"type": "json_object"}),
            ReplyFormat::Text => {}
        }
        if let Some(temperature) = temperature {
            request["temperature"] = (*temperature).into();
        }
        if let Some(tokens) = max_completion_tokens {
            request["max_completion_tokens"] = (*tokens).into();
        }
        Ok(request)
    }
}

/// A schema for an object with a list of strings.
fn schema() -> Value {
    json!({"type": "json_schema", "json_schema": {
        "name": "queries",
        "strict": true,
        "schema": {
            "type": "object",
            "properties": {"queries": {"type": "array", "items": {"type": "string"}}},
            "required": ["queries"],
            "additionalProperties": false,
        },
    }})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::{SourceDocument, passages};

    fn prompt(source: &str, language: Option<&str>) -> Prompt {
        Prompt {
            settings: Settings {
                template: None,
                examples: None,
                styles: Styles::parse("keyword").unwrap(),
                language: language.and_then(Language::named),
                seed: 42,
                model: "m".into(),
                temperature: Some(0.5),
                max_completion_tokens: Some(9),
                reply_format: ReplyFormat::Json,
            },
            template: Template::new("own.j2", source.into()).unwrap(),
            examples: vec![Example { text: "An <example>".into(), queries: vec!["what?".into()] }],
            queries: 3,
        }
    }

    fn passage(title: Option<&str>) -> Passage {
        passages(SourceDocument::example("d", title, " text & more\n"), 100).remove(0)
    }

    #[test]
    fn a_request_contains_everything() {
        let request = prompt(BUILTIN, Some("de")).request(&passage(Some("T"))).unwrap();
        assert_eq!(
            request["messages"][1]["content"],
            "<document>\nTitle: T\n\ntext & more\n</document>\n\nNumber of queries: 3\n\
             - 3 of this kind: keywords, two to six words, no sentence"
        );
        let system = request["messages"][0]["content"].as_str().unwrap();
        assert!(system.contains("- Write in German.\n"), "{system}");
        assert!(system.ends_with("<document>\nAn <example>\n</document>\n{\"queries\": [\"what?\"]}"), "{system}");
        assert_eq!(request["response_format"], json!({"type": "json_object"}));
        assert_eq!((request["temperature"].as_f64(), request["max_completion_tokens"].as_u64()), (Some(0.5), Some(9)));
    }

    #[test]
    fn a_template_needs_no_blocks() {
        let request = prompt("{{ id }}: {{ text }} x{{ n }}{% if title %}!{% endif %}", None);
        let request = request.request(&passage(None)).unwrap();
        assert_eq!(request["messages"], json!([{"role": "user", "content": "d: text & more x3"}]));
        let request = prompt("{% block user %}{{ text }}{% endblock %}", None).request(&passage(None)).unwrap();
        assert_eq!(request["messages"].as_array().unwrap().len(), 1);
    }
}
