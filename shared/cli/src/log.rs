//! Messages on stderr.
//!
//! A message is one line, and a remedy a second line. Control characters in text from files, servers and names are
//! escaped here, for all messages: see [`escape`].

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use indicatif::MultiProgress;
use serde_json::json;

use crate::escape;

/// The beginning of the line with a remedy.
const HINT: &str = "hint: ";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Error,
    Warning,
    Notice,
    Info,
    Debug,
}

/// Format of the messages on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// `prog: message`, for people
    Text,
    /// One JSON object per line, for programs
    Json,
}

#[derive(Debug, Clone)]
pub(crate) struct Log {
    prog: Arc<str>,
    format: LogFormat,
    most: Level,
    bars: MultiProgress,
}

impl Log {
    pub(crate) fn new(prog: &str, format: LogFormat, most: Level, bars: MultiProgress) -> Self {
        Self { prog: prog.into(), format, most, bars }
    }

    pub(crate) fn shows(&self, level: Level) -> bool {
        level <= self.most
    }

    pub(crate) fn json(&self) -> bool {
        self.format == LogFormat::Json
    }

    pub(crate) fn write(&self, level: Level, message: &str) {
        if !self.shows(level) {
            return;
        }
        let line = self.line(level, message);
        // If stderr itself is closed, there is nothing left to do.
        self.bars.suspend(|| {
            let _ = io::stderr().lock().write_all(line.as_bytes());
        });
    }

    /// The line of a message.
    pub(crate) fn line(&self, level: Level, message: &str) -> String {
        match self.format {
            LogFormat::Text => self.text(level, message),
            LogFormat::Json => self.object(level, message),
        }
    }

    fn text(&self, level: Level, message: &str) -> String {
        let kind = if level == Level::Warning { "warning: " } else { "" };
        let (message, hint) = split_hint(message);
        let message = format!("{}: {kind}{}\n", self.prog, escape::line(message));
        hint.map_or_else(|| message.clone(), |hint| format!("{message}{HINT}{}\n", escape::line(hint)))
    }

    fn object(&self, level: Level, message: &str) -> String {
        let level = format!("{level:?}").to_lowercase();
        let ts = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let (message, hint) = split_hint(message);
        let mut object = json!({"ts": ts, "level": level, "prog": &*self.prog, "msg": message});
        if let Some(hint) = hint {
            object["hint"] = hint.into();
        }
        // JSON does not escape all control characters of terminals.
        format!("{}\n", escape::line(&object.to_string()))
    }
}

/// Splits a message from its remedy. Only the last `hint:` is ours: untrusted text may have a line that looks like one.
fn split_hint(message: &str) -> (&str, Option<&str>) {
    let split = message.rsplit_once(&format!("\n{HINT}"));
    split.map_or((message, None), |(message, hint)| (message, Some(hint)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(format: LogFormat) -> Log {
        Log::new("prog", format, Level::Debug, MultiProgress::new())
    }

    const MESSAGE: &str = "a\nprog: all is well\nhint: b\x1b[2J\u{9b}31m\u{202e}: bad\nhint: look\rthere";

    #[test]
    fn a_message_is_one_line_and_its_hint_another() {
        let text = log(LogFormat::Text).text(Level::Warning, MESSAGE);
        let expected =
            "prog: warning: a\\nprog: all is well\\nhint: b\\u001b[2J\\u009b31m\\u202e: bad\nhint: look\\rthere\n";
        assert_eq!(text, expected);
        assert_eq!(log(LogFormat::Text).text(Level::Error, "東京: bad"), "prog: 東京: bad\n");
    }

    #[test]
    fn json_is_one_line_of_printable_ascii() {
        let line = log(LogFormat::Json).object(Level::Error, MESSAGE);
        assert!(line.trim_end().chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{line:?}");
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        let (message, hint) = MESSAGE.rsplit_once("\nhint: ").unwrap();
        assert_eq!((&object["msg"], &object["hint"]), (&message.into(), &hint.into()));
    }
}
