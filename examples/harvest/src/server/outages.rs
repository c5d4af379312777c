//! Outages of the server, by a plan drawn from a seed.

use std::time::Duration;

use super::data::mix;

/// The length of an outage.
const LENGTH: Duration = Duration::from_secs(1);
/// The minimum time between outages in milliseconds; up to [`SPREAD`] is added. It is longer than two attempts of a client,
/// so that no document meets two outages in a row.
const PERIOD: u64 = 5000;
const SPREAD: u64 = 1000;
/// The first outage is early enough for small jobs.
const FIRST: u64 = 50;

/// The fate of requests during an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outage {
    /// 503 with `Retry-After` of one second.
    Busy,
    /// No answer for this time, then a reset.
    Frozen(Duration),
}

/// Returns the outage at this time.
pub(super) fn at(seed: u64, time: Duration) -> Option<Outage> {
    let number = (time.as_millis() as u64).checked_sub(FIRST)? / PERIOD;
    let draw = mix(seed ^ mix(number));
    let from = Duration::from_millis(FIRST + number * PERIOD + draw % SPREAD);
    let left = (from + LENGTH).checked_sub(time).filter(|left| *left <= LENGTH && !left.is_zero())?;
    Some(if (draw >> 32).is_multiple_of(2) { Outage::Busy } else { Outage::Frozen(left) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outages_last_a_second_and_are_far_apart() {
        for seed in 0..20 {
            let times: Vec<u64> =
                (0..30_000).filter(|ms| at(seed, Duration::from_millis(*ms)).is_some()).collect();
            assert!(times[0] < FIRST + SPREAD, "the first is early");
            assert_eq!(times.len(), 6000, "one in five seconds");
            let gaps = times.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap > 1);
            assert!(gaps.min() > Some(3000));
        }
    }

    #[test]
    fn who_waits_waits_until_the_end() {
        let frozen =
            (0..20).find_map(|seed| match (0..2000).find_map(|ms| at(seed, Duration::from_millis(ms))) {
                Some(Outage::Frozen(left)) => Some(left),
                _ => None,
            });
        assert!(frozen.is_some_and(|left| left > Duration::from_millis(998)));
    }
}
