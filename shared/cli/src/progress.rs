//! Progress bars on stderr.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::{escape, format_duration};

/// A progress bar, or nothing if it would not be visible.
#[derive(Debug, Clone)]
pub struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new(bars: &MultiProgress, total: Option<u64>, unit: &str, visible: bool) -> Self {
        if !visible {
            return Self(ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden()));
        }
        let template = match total {
            Some(_) => format!("{{bar:30}} {{human_pos}}/{{human_len}} {unit}, {{rate}}, {{left}} left  {{msg}}"),
            None => format!("{{spinner}} {{human_pos}} {unit}, {{rate}}, {{elapsed}}  {{msg}}"),
        };
        let bar = bars.add(ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr()));
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.with_key("rate", rate).with_key("left", left));
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Counts `n` more units.
    pub fn add(&self, n: u64) {
        self.0.inc(n);
    }

    /// Shows a text after the bar.
    pub fn message(&self, text: impl Into<Cow<'static, str>>) {
        self.0.set_message(escape::line(&text.into()).into_owned());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

// Errors of writing to the terminal are ignored.

fn rate(state: &ProgressState, line: &mut dyn Write) {
    let rate = state.per_sec();
    let digits = usize::from(rate < 10.0);
    let _ = write!(line, "{rate:.digits$}/s");
}

fn left(state: &ProgressState, line: &mut dyn Write) {
    let left = if state.pos() == 0 { "?".into() } else { format_duration(state.eta().as_secs_f64()) };
    let _ = line.write_str(&left);
}
