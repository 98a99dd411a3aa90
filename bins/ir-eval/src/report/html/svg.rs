//! Charts as SVG: two axes, lines and bars.

use std::fmt::Write as _;

/// The size of a chart in its own units, which is about its size in pixels on a phone, so that text is legible there.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 34.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 32.0;

/// The scale of an axis, with its ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    Linear(f64, f64),
    /// Both ends above 0.
    Log(f64, f64),
}

impl Scale {
    /// The position of a value, from 0 to 1.
    fn share(self, value: f64) -> f64 {
        let (low, high, value) = match self {
            Self::Linear(low, high) => (low, high, value),
            Self::Log(low, high) => (low.ln(), high.ln(), value.ln()),
        };
        if high == low { 0.5 } else { (value - low) / (high - low) }
    }

    /// A few round numbers on the axis.
    pub(super) fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear(low, high) => linear_ticks(low, high),
            Self::Log(low, high) => {
                let decades = (0..9).flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(decade)));
                decades.filter(|tick| (low..=high).contains(tick)).collect()
            }
        }
    }
}

fn linear_ticks(low: f64, high: f64) -> Vec<f64> {
    let span = high - low;
    if span <= 0.0 || !span.is_finite() {
        return vec![low];
    }
    let magnitude = 10_f64.powf((span / 4.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * magnitude).into_iter().find(|step| span / step <= 5.0);
    let step = step.unwrap_or(span);
    let first = (low / step).ceil() as i64;
    (first..).map(|number| number as f64 * step).take_while(|tick| *tick <= high + step * 1e-9).collect()
}

/// A chart that is being drawn.
pub(super) struct Chart {
    x: Scale,
    y: Scale,
    body: String,
}

impl Chart {
    /// Draws the axes with their ticks, and the name of the horizontal one.
    pub(super) fn new(x: Scale, y: Scale, x_name: &str) -> Self {
        let mut chart = Self { x, y, body: String::new() };
        for tick in y.ticks() {
            let (_, at) = chart.place(0.0, tick);
            let right = WIDTH - RIGHT;
            let _ = write!(chart.body, r#"<line class="grid" x1="{LEFT}" y1="{at:.1}" x2="{right}" y2="{at:.1}"/>"#);
            chart.text(LEFT - 6.0, at + 3.5, "end", &number(tick));
        }
        let base = HEIGHT - BOTTOM;
        for tick in x.ticks() {
            let (at, _) = chart.place(tick, 0.0);
            let _ =
                write!(chart.body, r#"<line class="tick" x1="{at:.1}" y1="{base}" x2="{at:.1}" y2="{}"/>"#, base + 4.0);
            chart.text(at, base + 15.0, "middle", &number(tick));
        }
        chart.text((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 3.0, "middle", x_name);
        chart
    }

    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        let across = LEFT + self.x.share(x) * (WIDTH - LEFT - RIGHT);
        (across, HEIGHT - BOTTOM - self.y.share(y) * (HEIGHT - TOP - BOTTOM))
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, text: &str) {
        let _ = write!(self.body, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#, escape(text));
    }

    /// Draws a line through points, with the style class of a system.
    pub(super) fn line(&mut self, points: impl IntoIterator<Item = (f64, f64)>, class: &str) {
        let mut path = String::new();
        for (x, y) in points {
            let (x, y) = self.place(x, y);
            let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { "M" } else { "L" });
        }
        let _ = write!(self.body, r#"<path class="line {class}" d="{path}"/>"#);
    }

    /// Draws a horizontal reference line with its name.
    pub(super) fn mark(&mut self, y: f64, name: &str) {
        let (_, at) = self.place(0.0, y);
        let right = WIDTH - RIGHT;
        let _ = write!(self.body, r#"<line class="mark" x1="{LEFT}" y1="{at:.1}" x2="{right}" y2="{at:.1}"/>"#);
        self.text(right, at - 4.0, "end", name);
    }

    /// The finished chart, which `title` describes to screen readers.
    pub(super) fn finish(self, title: &str) -> String {
        let (body, title) = (self.body, escape(title));
        format!(r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">{body}</svg>"#)
    }
}

/// A chart as wide as the page, with one bar for each value, above or below a line.
pub(super) fn waterfall(values: &[f64], title: &str) -> String {
    let most = values.iter().fold(0.0_f64, |most, value| most.max(value.abs())).max(1e-9);
    let (width, height) = (values.len().max(1), 100.0);
    let mut body = String::new();
    for (index, value) in values.iter().enumerate() {
        let tall = (value.abs() / most * height / 2.0).max(0.4);
        let (top, class) = match *value {
            value if value > 0.0 => (height / 2.0 - tall, "gain"),
            value if value < 0.0 => (height / 2.0, "loss"),
            _ => (height / 2.0 - 0.2, "same"),
        };
        let _ = write!(body, r#"<rect class="{class}" x="{index}" y="{top:.2}" width="0.84" height="{tall:.2}"/>"#);
    }
    let title = escape(title);
    format!(
        r#"<svg class="waterfall" viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" aria-label="{title}">{body}</svg>"#
    )
}

/// A number without trailing zeros.
fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.to_owned() }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers_on_the_axis() {
        let shown = |scale: Scale| scale.ticks().into_iter().map(number).collect::<Vec<_>>().join(" ");
        assert_eq!(shown(Scale::Linear(0.0, 1.0)), "0 0.2 0.4 0.6 0.8 1");
        assert_eq!(shown(Scale::Linear(-0.13, 0.31)), "-0.1 0 0.1 0.2 0.3");
        assert_eq!(shown(Scale::Linear(0.0, 1234.0)), "0 500 1000");
        assert_eq!(shown(Scale::Log(1.0, 100.0)), "1 2 5 10 20 50 100");
        assert_eq!(shown(Scale::Linear(2.0, 2.0)), "2");
    }

    #[test]
    fn text_cannot_become_markup() {
        let chart = Chart::new(Scale::Linear(0.0, 1.0), Scale::Linear(0.0, 1.0), "<script>").finish("a \"b\" & c");
        assert!(chart.contains("&lt;script&gt;") && chart.contains("a &quot;b&quot; &amp; c"), "{chart}");
    }
}
