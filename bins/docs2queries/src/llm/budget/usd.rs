//! Money, counted exactly.

use std::fmt::{self, Display, Formatter};
use std::ops::Add;

/// The units of a dollar in which money is counted: at $0.01 a million, a token costs 10,000 of them.
const PARTS: f64 = 1e12;

/// US dollars, counted in units of 10^-12, up to 18 million.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Usd(u64);

impl Usd {
    /// A number of dollars, rounded.
    pub(crate) fn new(dollars: f64) -> Self {
        Self((dollars * PARTS).round() as u64)
    }

    /// The number of dollars.
    pub(crate) fn dollars(self) -> f64 {
        self.0 as f64 / PARTS
    }

    /// `count` times as much.
    pub(crate) fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }
}

impl Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Display for Usd {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // A single request may cost less than a cent.
        let digits = if self.dollars() < 1.0 { 4 } else { 2 };
        write!(f, "${:.digits$}", self.dollars())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact() {
        let token = Usd::new(0.15e-6);
        assert_eq!(token.times(1_000_000), Usd::new(0.15));
        assert_eq!((0..1000).fold(Usd::default(), |sum, _| sum + token), token.times(1000));
        assert_eq!((Usd::new(0.01234).to_string(), Usd::new(12.345).to_string()), ("$0.0123".into(), "$12.35".into()));
        assert_eq!(Usd::new(1e300).times(2), Usd(u64::MAX));
        assert_eq!((Usd::new(f64::NAN), Usd::new(-1.0)), (Usd(0), Usd(0)));
    }
}
