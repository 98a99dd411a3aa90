//! The size of a difference.

use crate::mean;

/// The mean of paired differences in units of their standard deviation, or `None` without a deviation.
///
/// `mean / s` with `s² = sum (d - mean)² / (n - 1)` (Cohen's d of paired samples; Sakai 2018, "Laboratory Experiments in
/// Information Retrieval", chapter 5). By Cohen's rule of thumb 0.2 is small, 0.5 medium, 0.8 large.
pub fn effect_size(differences: &[f64]) -> Option<f64> {
    let mean = mean(differences);
    let squares: f64 = differences.iter().map(|difference| (difference - mean).powi(2)).sum();
    let deviation = (squares / differences.len().checked_sub(1).filter(|freedom| *freedom > 0)? as f64).sqrt();
    (deviation > 0.0).then(|| mean / deviation)
}

#[cfg(test)]
mod tests {
    use super::effect_size;

    #[test]
    fn equal_differences_have_no_deviation() {
        assert_eq!(effect_size(&[1.0, 3.0]), Some(2.0 / 2_f64.sqrt()));
        assert_eq!(effect_size(&[0.5; 4]), None);
        assert_eq!(effect_size(&[0.5]), None);
        assert_eq!(effect_size(&[]), None);
    }
}
