//! Student's paired t-test and the effect size.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

use super::mean;

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

/// Tests whether the mean of paired differences is 0. `None` for fewer than two differences.
///
/// `t = mean / (s / sqrt(n))` with the sample standard deviation s, and `p = 2 P(T > |t|)`, where T follows Student's
/// distribution with n - 1 degrees of freedom (Student 1908; Sakai 2018, "Laboratory Experiments in Information
/// Retrieval", chapter 2). If all differences are 0, t is 0 and p is 1; if all are the same, t is infinite and p is 0.
pub fn paired_t_test(differences: &[f64]) -> Option<TTest> {
    let degrees_of_freedom = differences.len().checked_sub(1)?;
    let mean = mean(differences);
    let standard_error = (variance(differences)? / differences.len() as f64).sqrt();
    if standard_error == 0.0 {
        let (t, p) = if mean == 0.0 { (0.0, 1.0) } else { (f64::INFINITY.copysign(mean), 0.0) };
        return Some(TTest { t, degrees_of_freedom, p });
    }
    let t = mean / standard_error;
    let distribution = StudentsT::new(0.0, 1.0, degrees_of_freedom as f64).ok()?;
    Some(TTest { t, degrees_of_freedom, p: 2.0 * distribution.sf(t.abs()) })
}

/// The mean of paired differences in units of their standard deviation. `None` if there is no deviation.
///
/// `mean / s` (Cohen's d of paired samples; Sakai 2018, chapter 5). By Cohen's rule of thumb 0.2 is small, 0.5 medium,
/// 0.8 large.
pub fn effect_size(differences: &[f64]) -> Option<f64> {
    let deviation = variance(differences)?.sqrt();
    (deviation > 0.0).then(|| mean(differences) / deviation)
}

/// The sample variance: `Σ (d - mean)² / (n - 1)`. `None` for fewer than two values.
fn variance(values: &[f64]) -> Option<f64> {
    let degrees_of_freedom = values.len().checked_sub(1).filter(|freedom| *freedom > 0)?;
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some(squares / degrees_of_freedom as f64)
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

    #[test]
    fn an_effect_needs_a_deviation() {
        assert_eq!(effect_size(&[1.0, 3.0]), Some(2.0 / 2_f64.sqrt()));
        assert_eq!(effect_size(&[0.5; 4]), None);
        assert_eq!(effect_size(&[0.5]), None);
        assert_eq!(effect_size(&[]), None);
    }
}
