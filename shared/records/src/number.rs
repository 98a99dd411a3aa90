//! Numbers as people read them.

/// The number that a score prints as: 0.1, where `f64::from(0.1_f32)` is 0.10000000149011612.
///
/// Different scores stay different and in order, and reading the number as f32 gives the score back.
pub fn shortest_decimal(score: f32) -> f64 {
    score.to_string().parse().unwrap_or_else(|_| f64::from(score))
}

#[cfg(test)]
mod tests {
    use super::shortest_decimal;

    #[test]
    fn scores_keep_their_digits_and_their_order() {
        assert_eq!(shortest_decimal(0.1), 0.1);
        assert_eq!(shortest_decimal(-3.0e-20), -3.0e-20);
        let mut last = f64::NEG_INFINITY;
        let mut score = 0.7_f32;
        for _ in 0..1000 {
            assert!(shortest_decimal(score) > last && shortest_decimal(score) as f32 == score);
            last = shortest_decimal(score);
            score = score.next_up();
        }
    }
}
