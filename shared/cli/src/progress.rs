//! Progress bars on stderr.

use std::borrow::Cow;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A progress bar, or nothing where nobody would see it.
#[derive(Debug, Clone)]
pub struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new(bars: &MultiProgress, total: Option<u64>, unit: &str, visible: bool) -> Self {
        if !visible {
            return Self(ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden()));
        }
        let template = match total {
            Some(_) => format!("{{bar:30}} {{human_pos}}/{{human_len}} {unit} {{per_sec:.0}} {{eta}} {{msg}}"),
            None => format!("{{spinner}} {{human_pos}} {unit} {{per_sec:.0}} {{elapsed}} {{msg}}"),
        };
        let bar = bars.add(ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr()));
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Counts `n` more units.
    pub fn add(&self, n: u64) {
        self.0.inc(n);
    }

    /// Shows a text behind the bar.
    pub fn message(&self, text: impl Into<Cow<'static, str>>) {
        self.0.set_message(text);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
