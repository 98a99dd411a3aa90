//! p-values of several tests at once.

/// p-values that keep the chance of any false alarm among them under the level to which they are held, in the order given.
///
/// The i-th smallest of m p-values (from 0) is multiplied with `m - i`, never falls below one before it and is at most 1
/// (Holm 1979, Scandinavian Journal of Statistics 6(2)). It asks nothing of how the tests depend on each other.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut corrected = vec![0.0; p_values.len()];
    let mut least = 0.0_f64;
    for (number, index) in order.into_iter().enumerate() {
        least = least.max((p_values.len() - number) as f64 * p_values[index]).min(1.0);
        corrected[index] = least;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::holm;

    /// The values of R's `p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")`.
    #[test]
    fn small_ones_cost_most_and_order_is_kept() {
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (ours, expected) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((ours - expected).abs() < 1e-15, "{corrected:?}");
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
