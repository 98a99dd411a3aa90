//! The learning rate over the steps.

/// Rises from 0 in a line, then falls to 0 in a line.
///
/// transformers `get_linear_schedule_with_warmup`: step `t`, from 0, has the factor `t / warmup` before `warmup`, then
/// `(total − t) / (total − warmup)`; the first update of a warm-up has a rate of 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Linear {
    pub(crate) peak: f64,
    pub(crate) warmup: u64,
    pub(crate) total: u64,
}

impl Linear {
    /// The learning rate of step `t`, counted from 0.
    pub(crate) fn rate(&self, t: u64) -> f64 {
        let factor = if t < self.warmup {
            t as f64 / self.warmup as f64
        } else {
            self.total.saturating_sub(t) as f64 / self.total.saturating_sub(self.warmup).max(1) as f64
        };
        self.peak * factor
    }
}

#[cfg(test)]
mod tests {
    use super::Linear;

    /// Figures of transformers 5.23, `get_linear_schedule_with_warmup(optimizer, 4, 10)` at 1.0.
    #[test]
    fn the_rates_are_those_of_transformers() {
        let schedule = Linear { peak: 1.0, warmup: 4, total: 10 };
        let expected = [0.0, 0.25, 0.5, 0.75, 1.0, 5.0 / 6.0, 4.0 / 6.0, 3.0 / 6.0, 2.0 / 6.0, 1.0 / 6.0];
        for (t, expected) in expected.into_iter().enumerate() {
            assert!((schedule.rate(t as u64) - expected).abs() < 1e-12, "step {t}");
        }
        assert_eq!(Linear { peak: 1.0, warmup: 0, total: 0 }.rate(0), 0.0);
    }
}
