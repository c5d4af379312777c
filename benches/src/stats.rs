//! Robust statistics of small samples.

/// Returns the value below which this share of the values lies, interpolated between its neighbors.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = share * last as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// Returns the relative error of the median of these values: the half width of a 95 % interval.
///
/// The spread is estimated from the median absolute deviation (times 1.4826 for a normal distribution), and the
/// standard error of a median is 1.2533 times that of a mean.
pub(crate) fn noise(values: &[f64]) -> f64 {
    let middle = median(values);
    let deviations: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    let spread = 1.4826 * median(&deviations);
    1.96 * 1.2533 * spread / (values.len() as f64).sqrt() / middle.abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_an_outlier() {
        assert_eq!(median(&[3.0, 1.0, 1e9]), 3.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn noise_is_relative_and_shrinks_with_more_values() {
        let spread = |n: usize| (0..n).map(|i| 100.0 + (i % 3) as f64).collect::<Vec<_>>();
        assert_eq!(noise(&[5.0, 5.0, 5.0]), 0.0);
        assert!(noise(&spread(9)) > 0.005 && noise(&spread(9)) < 0.02);
        assert!(noise(&spread(900)) < noise(&spread(9)) / 5.0);
    }

    #[test]
    fn quantiles_are_interpolated() {
        let values = [40.0, 10.0, 30.0, 20.0, 50.0];
        assert_eq!([0.0, 0.25, 0.9, 1.0].map(|share| quantile(&values, share)), [10.0, 20.0, 46.0, 50.0]);
    }
}
