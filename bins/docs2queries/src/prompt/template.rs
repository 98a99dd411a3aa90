//! The template of the messages.

use anyhow::{anyhow, ensure};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};

/// The default template.
pub(super) const BUILTIN: &str = include_str!("builtin.j2");

const HINT: &str = "hint: a prompt may use id, title, text, n, styles, language and examples; --show-prompt prints one";

/// A template whose blocks `system` and `user` are a message each. Without blocks, all of it is the user's message.
#[derive(Debug)]
pub(super) struct Template {
    environment: Environment<'static>,
    name: String,
}

impl Template {
    /// Parses a template, which messages call `name`.
    ///
    /// # Errors
    /// A syntax error, with its line; a template that does not contain the document's text.
    pub(super) fn new(name: &str, source: String) -> anyhow::Result<Self> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // The text goes to a model and not into an HTML page, whatever the name of the file says.
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.add_template_owned("prompt", source).map_err(|error| located(name, &error))?;
        let template = environment.get_template("prompt").map_err(|error| located(name, &error))?;
        ensure!(
            template.undeclared_variables(false).contains("text"),
            "{name}: does not contain the document's text\n{HINT}"
        );
        Ok(Self { environment, name: name.to_owned() })
    }

    /// The system message, if there is one, and the user's.
    ///
    /// # Errors
    /// A variable that does not exist, and all other errors in the template, with their lines.
    pub(super) fn render(&self, variables: Value) -> anyhow::Result<(Option<String>, String)> {
        let render = || -> Result<_, minijinja::Error> {
            let mut rendered = self.environment.get_template("prompt")?.render_captured(variables)?;
            let mut block = |name: &str| match rendered.with_state_mut(|state| state.render_block(name)) {
                Err(error) if error.kind() == ErrorKind::UnknownBlock => Ok(None),
                block => block.map(Some),
            };
            let (system, user) = (block("system")?, block("user")?);
            Ok((system, user.unwrap_or_else(|| rendered.into_output())))
        };
        render().map_err(|error| located(&self.name, &error))
    }
}

/// The error with its place in the template.
fn located(name: &str, error: &minijinja::Error) -> anyhow::Error {
    let line = error.line().map_or_else(String::new, |line| format!(":{line}"));
    let what = error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    anyhow!("{name}{line}: {what}\n{HINT}")
}
