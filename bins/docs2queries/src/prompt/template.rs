//! The words of a request.

use anyhow::{anyhow, ensure};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use serde::Serialize;

/// The prompt that is used unless the user names another.
pub(crate) const BUILTIN: &str = include_str!("builtin.j2");

const HINT: &str = "hint: a prompt may use id, title, text, n, styles, language and examples; --show-prompt prints one";

/// What a template can speak of.
#[derive(Debug, Serialize)]
pub(super) struct Variables<'a, E> {
    pub(super) id: &'a str,
    pub(super) title: Option<&'a str>,
    pub(super) text: &'a str,
    pub(super) n: usize,
    pub(super) styles: Vec<Share>,
    pub(super) language: Option<&'a str>,
    pub(super) examples: &'a [E],
}

/// How many queries are to be of a style.
#[derive(Debug, Serialize)]
pub(super) struct Share {
    pub(super) what: &'static str,
    pub(super) count: usize,
}

/// A template of the messages; its blocks `system` and `user` are one each, and without blocks all of it is the user's.
#[derive(Debug)]
pub(crate) struct Template {
    environment: Environment<'static>,
    name: String,
}

impl Template {
    /// Reads a template, which messages call `name`.
    ///
    /// # Errors
    /// What is no template, with the line; one that does not show the model what it is to ask about.
    pub(crate) fn new(name: &str, source: String) -> anyhow::Result<Self> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // The words go to a model, not into a page, whatever the file is called.
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.add_template_owned("prompt", source).map_err(|error| said(name, &error))?;
        let template = environment.get_template("prompt").map_err(|error| said(name, &error))?;
        ensure!(
            template.undeclared_variables(false).contains("text"),
            "{name}: the document's text is not in it\n{HINT}"
        );
        Ok(Self { environment, name: name.to_owned() })
    }

    /// The system message, when there is one, and the user's.
    ///
    /// # Errors
    /// A variable that does not exist, and whatever else goes wrong in the template.
    pub(super) fn render<E: Serialize>(
        &self,
        variables: &Variables<'_, E>,
    ) -> anyhow::Result<(Option<String>, String)> {
        let render = || -> Result<_, minijinja::Error> {
            let mut rendered = self.environment.get_template("prompt")?.render_captured(Serde(variables))?;
            let mut block = |name: &str| match rendered.with_state_mut(|state| state.render_block(name)) {
                Err(error) if error.kind() == ErrorKind::UnknownBlock => Ok(None),
                block => block.map(Some),
            };
            let (system, user) = (block("system")?, block("user")?);
            Ok((system, user.unwrap_or_else(|| rendered.into_output())))
        };
        render().map_err(|error| said(&self.name, &error))
    }
}

fn said(name: &str, error: &minijinja::Error) -> anyhow::Error {
    let line = error.line().map_or_else(String::new, |line| format!(":{line}"));
    let what = error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    anyhow!("{name}{line}: {what}\n{HINT}")
}
