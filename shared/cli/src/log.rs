//! Messages on stderr.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use indicatif::MultiProgress;
use serde_json::json;

use crate::LogFormat;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Error,
    Warning,
    Notice,
    Info,
    Debug,
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
        let line = match self.format {
            LogFormat::Text => self.text(level, message),
            LogFormat::Json => self.object(level, message),
        };
        // Nothing sensible is left to do when stderr itself is gone.
        self.bars.suspend(|| {
            let _ = io::stderr().lock().write_all(line.as_bytes());
        });
    }

    fn text(&self, level: Level, message: &str) -> String {
        let kind = if level == Level::Warning { "warning: " } else { "" };
        format!("{}: {kind}{message}\n", self.prog)
    }

    fn object(&self, level: Level, message: &str) -> String {
        let level = match level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Notice => "notice",
            Level::Info => "info",
            Level::Debug => "debug",
        };
        let ts = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let (message, hint) = message.split_once("\nhint: ").map_or((message, None), |(m, h)| (m, Some(h)));
        let mut object = json!({"ts": ts, "level": level, "prog": &*self.prog, "msg": message});
        if let Some(hint) = hint {
            object["hint"] = hint.into();
        }
        format!("{object}\n")
    }
}
