//! Student's paired t-test.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

use crate::mean;

/// The outcome of [`paired_t_test`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TTest {
    /// The statistic: the mean difference in units of its standard error.
    pub t: f64,
    /// Degrees of freedom: the number of differences less 1.
    pub degrees_of_freedom: usize,
    /// Two-sided p-value.
    pub p: f64,
}

/// Tests whether the mean of paired differences is 0, or gives `None` for fewer than two.
///
/// `t = mean / (s / sqrt(n))` with `s² = sum (d - mean)² / (n - 1)`; `p = 2 P(T > |t|)`, T being Student's distribution with
/// n - 1 degrees of freedom (Student 1908; Sakai 2018, "Laboratory Experiments in Information Retrieval", chapter 2).
/// Differences that are all 0 give t = 0 and p = 1; differences that are all the same give an infinite t and p = 0.
pub fn paired_t_test(differences: &[f64]) -> Option<TTest> {
    let n = differences.len();
    let degrees_of_freedom = n.checked_sub(1).filter(|freedom| *freedom > 0)?;
    let mean = mean(differences);
    let squares: f64 = differences.iter().map(|difference| (difference - mean).powi(2)).sum();
    let standard_error = (squares / degrees_of_freedom as f64 / n as f64).sqrt();
    if standard_error == 0.0 {
        let (t, p) = if mean == 0.0 { (0.0, 1.0) } else { (f64::INFINITY.copysign(mean), 0.0) };
        return Some(TTest { t, degrees_of_freedom, p });
    }
    let t = mean / standard_error;
    let distribution = StudentsT::new(0.0, 1.0, degrees_of_freedom as f64).ok()?;
    Some(TTest { t, degrees_of_freedom, p: 2.0 * distribution.sf(t.abs()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_differences_prove_nothing() {
        assert_eq!(paired_t_test(&[]), None);
        assert_eq!(paired_t_test(&[0.5]), None);
    }

    #[test]
    fn differences_without_variance() {
        assert_eq!(paired_t_test(&[0.0; 5]).map(|test| (test.t, test.p)), Some((0.0, 1.0)));
        assert_eq!(paired_t_test(&[-0.5; 5]).map(|test| (test.t, test.p)), Some((f64::NEG_INFINITY, 0.0)));
    }
}
