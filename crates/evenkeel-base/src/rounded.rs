//! Times in texts for people.

use std::time::Duration;

/// The number of digits that a person reads.
const DIGITS: u32 = 3;
const NANOS_PER_SEC: u32 = 1_000_000_000;

/// Rounds a time to three significant digits; whole seconds are kept.
#[must_use]
pub fn rounded(time: Duration) -> Duration {
    let Some(exponent) = time.as_nanos().checked_ilog10() else { return time };
    // Nine zeros are a second, in which the rest of a longer time is rounded.
    let unit = 10_u32.pow((exponent + 1).saturating_sub(DIGITS).min(NANOS_PER_SEC.ilog10()));
    let nanos = (time.subsec_nanos() + unit / 2) / unit * unit;
    Duration::from_secs(time.as_secs()).saturating_add(Duration::from_nanos(nanos.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_are_left_and_whole_seconds() {
        for (nanos, text) in [
            (0, "0ns"),
            (7, "7ns"),
            (999, "999ns"),
            (1_234, "1.23µs"),
            (3_817, "3.82µs"),
            (4_150_550, "4.15ms"),
            (999_500_000, "1s"),
            (999_499_999, "999ms"),
            (9_114_842_933, "9.11s"),
            (9_995_000_000, "10s"),
            (29_649_000_000, "29.6s"),
            (123_500_000_000, "124s"),
            (86_399_499_999_999, "86399s"),
        ] {
            assert_eq!(format!("{:?}", rounded(Duration::from_nanos(nanos))), text);
        }
    }

    #[test]
    fn the_longest_time_has_a_text() {
        assert_eq!(rounded(Duration::MAX), Duration::MAX);
    }
}
