//! A confidence interval by the bootstrap.

use rand::SeedableRng as _;
use rand::distr::{Distribution as _, Uniform};
use rand_chacha::ChaCha8Rng;

/// A range of plausible values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The confidence interval of the mean by the percentile bootstrap. `None` without differences or samples.
///
/// Resamples the differences with replacement `samples` times and takes the quantiles `(1 ∓ confidence) / 2` of the
/// means, interpolated linearly (Efron 1979, Annals of Statistics 7(1); Sakai 2006, SIGIR).
pub fn bootstrap_interval(differences: &[f64], confidence: f64, samples: usize, seed: u64) -> Option<Interval> {
    let n = differences.len();
    if n == 0 || samples == 0 {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let indices = Uniform::new(0, u32::try_from(n).ok()?).ok()?;
    let mut resampled = || (0..n).map(|_| differences[indices.sample(&mut rng) as usize]).sum::<f64>() / n as f64;
    let mut means: Vec<f64> = (0..samples).map(|_| resampled()).collect();
    means.sort_by(f64::total_cmp);
    Some(Interval { low: quantile(&means, (1.0 - confidence) / 2.0), high: quantile(&means, (1.0 + confidence) / 2.0) })
}

/// A quantile of sorted values, interpolated linearly (numpy's default).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    below + (above - below) * position.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(quantile(&[5.0], 0.3), 5.0);
    }

    #[test]
    fn the_interval_is_reproducible_and_contains_the_mean() {
        let differences: Vec<f64> = (0..50).map(|n| f64::from(n % 7) - 2.0).collect();
        let interval = bootstrap_interval(&differences, 0.95, 1000, 3).unwrap();
        assert_eq!(Some(interval), bootstrap_interval(&differences, 0.95, 1000, 3));
        let mean = crate::mean(&differences);
        assert!(interval.low < mean && mean < interval.high);
        assert_eq!(bootstrap_interval(&[], 0.95, 1000, 3), None);
        assert_eq!(bootstrap_interval(&[0.5; 4], 0.95, 10, 3), Some(Interval { low: 0.5, high: 0.5 }));
    }
}
