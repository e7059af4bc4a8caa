//! Samples: medians and other quantiles.

/// The value below which this share of the samples lies, from 0 to 1; not a number without samples.
pub fn quantile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// The middle sample; not a number without samples.
pub fn median(samples: &[f64]) -> f64 {
    quantile(samples, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples() {
        let samples = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(median(&samples), 3.0);
        assert_eq!((quantile(&samples, 0.0), quantile(&samples, 1.0), quantile(&samples, 0.99)), (1.0, 5.0, 5.0));
        assert!(median(&[]).is_nan());
    }
}
