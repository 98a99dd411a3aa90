//! What the language model is asked.

mod examples;
mod styles;
mod template;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use anyhow::Context as _;
use embtune_cli::Session;
use embtune_text::Language;
use serde_json::{Value, json};

use crate::cli::{PromptArgs, ReplyFormat};
use crate::documents::Passage;

pub(crate) use styles::{DEFAULT as DEFAULT_STYLES, Styles};
pub(crate) use template::BUILTIN;

use examples::Example;
use template::{Share, Template, Variables};

/// Most bytes of a template: it goes out with every request.
const MOST_TEMPLATE_BYTES: u64 = 1 << 20;

/// The parameters of every request.
#[derive(Debug)]
pub(crate) struct Prompt {
    template: Template,
    examples: Vec<Example>,
    styles: Styles,
    seed: u64,
    language: Option<Language>,
    parameters: Parameters,
}

/// The parameters that the server takes besides the words.
#[derive(Debug, Clone)]
pub(crate) struct Parameters {
    /// The language model's name.
    pub(crate) llm: String,
    /// How many queries are asked for.
    pub(crate) queries: usize,
    /// Sampling temperature, when it is not left to the server.
    pub(crate) temperature: Option<f64>,
    /// Limit of a reply's tokens, when it is not left to the server.
    pub(crate) max_completion_tokens: Option<u32>,
    /// How the form of the reply is asked for.
    pub(crate) reply_format: ReplyFormat,
}

/// The template that is used, as it is written.
///
/// # Errors
/// A file that cannot be read or is not UTF-8.
pub(crate) fn source(args: &PromptArgs) -> anyhow::Result<String> {
    match &args.prompt {
        None => Ok(BUILTIN.to_owned()),
        Some(path) => read(path).with_context(|| path.display().to_string()),
    }
}

/// Reads a template, which may come through a pipe.
fn read(path: &Path) -> io::Result<String> {
    let mut template = String::new();
    let read = File::open(path)?.take(MOST_TEMPLATE_BYTES + 1).read_to_string(&mut template)?;
    if read as u64 > MOST_TEMPLATE_BYTES {
        return Err(io::Error::other(format!("has more than {MOST_TEMPLATE_BYTES} bytes")));
    }
    Ok(template)
}

impl Prompt {
    /// Reads the template and the examples.
    ///
    /// # Errors
    /// Files that cannot be read or hold something else.
    pub(crate) fn new(args: &PromptArgs, seed: u64, parameters: Parameters, session: &Session) -> anyhow::Result<Self> {
        let name = args.prompt.as_ref().map_or_else(|| "prompt".into(), |path| path.display().to_string());
        let template = Template::new(&name, source(args)?)?;
        let examples = match &args.examples {
            None => Vec::new(),
            Some(path) => examples::read(session.input(path)?)?,
        };
        Ok(Self { template, examples, styles: args.styles.clone(), seed, language: args.language, parameters })
    }

    /// How many queries are asked for.
    pub(crate) fn queries(&self) -> usize {
        self.parameters.queries
    }

    /// The queries of the examples, which models with little imagination give back.
    pub(crate) fn example_queries(&self) -> impl Iterator<Item = &str> {
        self.examples.iter().flat_map(|example| &example.queries).map(String::as_str)
    }

    /// The body of the request for a passage.
    ///
    /// The number of queries stands in the prompt and not in the schema: strict mode knows no `minItems` on many
    /// servers.
    ///
    /// # Errors
    /// A template that cannot be filled in.
    pub(crate) fn request(&self, passage: &Passage) -> anyhow::Result<Value> {
        let Parameters { llm, queries, temperature, max_completion_tokens, reply_format } = &self.parameters;
        let shares = self.styles.shares(*queries, self.seed, &passage.full_text());
        let (system, user) = self.template.render(&Variables {
            id: &passage.document.id,
            title: passage.document.title.as_deref(),
            text: passage.text.trim(),
            n: *queries,
            styles: shares.into_iter().map(|(what, count)| Share { what, count }).collect(),
            language: self.language.map(Language::name),
            examples: &self.examples,
        })?;
        let system = system.map(|content| json!({"role": "system", "content": content}));
        let messages: Vec<Value> = system.into_iter().chain([json!({"role": "user", "content": user})]).collect();
        let mut request = json!({"model": llm, "messages": messages});
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
    use crate::documents::{Source, passages};

    fn prompt(source: &str, language: Option<&str>) -> Prompt {
        Prompt {
            template: Template::new("own.j2", source.into()).unwrap(),
            examples: vec![Example { text: "An <example>".into(), queries: vec!["what?".into()] }],
            styles: Styles::parse("keyword").unwrap(),
            seed: 42,
            language: language.and_then(Language::named),
            parameters: Parameters {
                llm: "m".into(),
                queries: 3,
                temperature: Some(0.5),
                max_completion_tokens: Some(9),
                reply_format: ReplyFormat::Json,
            },
        }
    }

    fn passage(title: Option<&str>) -> Passage {
        passages(Source::example("d", title, " text & more\n"), 100).remove(0)
    }

    #[test]
    fn a_request_says_what_is_asked() {
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
    fn a_prompt_of_ones_own_may_have_no_blocks() {
        let request = prompt("{{ id }}: {{ text }} x{{ n }}{% if title %}!{% endif %}", None);
        let request = request.request(&passage(None)).unwrap();
        assert_eq!(request["messages"], json!([{"role": "user", "content": "d: text & more x3"}]));
        let request = prompt("{% block user %}{{ text }}{% endblock %}", None).request(&passage(None)).unwrap();
        assert_eq!(request["messages"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn what_is_wrong_with_a_prompt_is_placed() {
        let error = prompt("{{ text }}\n{{ txt }}", None).request(&passage(None)).unwrap_err().to_string();
        assert!(error.starts_with("own.j2:2: undefined value") && error.contains("hint: a prompt may use"), "{error}");
        let error = Template::new("own.j2", "{% if %}".into()).unwrap_err().to_string();
        assert!(error.starts_with("own.j2:1: syntax error"), "{error}");
    }
}
