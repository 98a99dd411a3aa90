//! Points and ranges on a horizontal line, placed in per cent of its width.

use serde::Serialize;

/// A line with a range on it.
#[derive(Debug, Serialize)]
pub(super) struct Track {
    /// Where 0 lies, when it is on the line.
    zero: Option<String>,
    /// Where the range begins, and how wide it is.
    left: String,
    width: String,
    /// Where the point lies.
    point: String,
}

/// The ends of a line that holds all of `values`, and 0.
pub(super) fn ends(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.into_iter().fold((0.0_f64, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)));
    let room = 0.04 * (high - low).max(1e-9);
    (low - room, high + room)
}

impl Track {
    pub(super) fn new((low, high): (f64, f64), (from, to): (f64, f64), point: f64) -> Self {
        let share = |value: f64| 100.0 * (value - low) / (high - low);
        let percent = |share: f64| format!("{share:.2}%");
        Self {
            zero: (low..=high).contains(&0.0).then(|| percent(share(0.0))),
            left: percent(share(from)),
            width: percent(share(to) - share(from)),
            point: percent(share(point)),
        }
    }
}
