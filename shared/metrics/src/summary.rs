//! Summaries of what was measured query by query.

/// Two values that are nearer to each other than this are the same value, computed in another order.
const SAME: f64 = 1e-9;

/// On how many queries a system beats another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Queries with a difference above 0.
    pub wins: usize,
    /// Queries without a difference.
    pub ties: usize,
    /// Queries with a difference below 0.
    pub losses: usize,
}

impl Tally {
    /// Counts the signs of `differences`.
    pub fn of(differences: &[f64]) -> Self {
        let mut tally = Self::default();
        for difference in differences {
            match difference {
                d if *d > SAME => tally.wins += 1,
                d if *d < -SAME => tally.losses += 1,
                _ => tally.ties += 1,
            }
        }
        tally
    }
}

/// The arithmetic mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_a_tie() {
        let tally = Tally::of(&[0.3 - 0.1 - 0.2, 0.5, -0.25, 1.0]);
        assert_eq!(tally, Tally { wins: 2, ties: 1, losses: 1 });
    }
}
