//! `RecentMedian`: how long something usually takes.

use std::time::Duration;

/// The number of times that are kept.
const KEPT: usize = 32;

/// The smallest number of times of which there is a median.
const ENOUGH: usize = 8;

/// One of that many further times is wanted.
const ONE_OF: u64 = 16;

/// The median of the last 32 times that were recorded, in a fixed size: for the
/// [`usual_hold`](crate::InspectedResource::usual_hold) of an object, and for the [`usual`](crate::Backlog::usual) time of an item.
///
/// # Examples
///
/// ```
/// use evenkeel_inspect::RecentMedian;
/// use std::time::Duration;
///
/// let mut holds = RecentMedian::new();
/// (1..8).for_each(|ms| holds.record(Duration::from_millis(ms)));
/// assert_eq!(holds.median(), None, "too few to tell");
/// holds.record(Duration::from_secs(60));
/// assert_eq!(holds.median(), Some(Duration::from_millis(5)));
/// ```
#[derive(Clone, Debug, Default)]
pub struct RecentMedian {
    // In nanoseconds, up to five hundred years.
    times: [u64; KEPT],
    len: u8,
    next: u8,
}

impl RecentMedian {
    /// Creates one without a time.
    #[must_use]
    pub const fn new() -> Self {
        Self { times: [0; KEPT], len: 0, next: 0 }
    }

    /// Returns whether to read the clock for the time with this number: for each of the first ones, and then for one of sixteen.
    #[inline]
    #[must_use]
    pub fn wants(&self, number: u64) -> bool {
        number.is_multiple_of(ONE_OF) || usize::from(self.len) < KEPT
    }

    /// Records a time, in place of the oldest one.
    pub fn record(&mut self, time: Duration) {
        self.times[usize::from(self.next)] = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.next = (self.next + 1) % KEPT as u8;
        self.len = self.len.max(if self.next == 0 { KEPT as u8 } else { self.next });
    }

    /// Returns the median, the greater one of two; `None` before there are eight times.
    #[must_use]
    pub fn median(&self) -> Option<Duration> {
        let len = usize::from(self.len);
        let mut times = self.times;
        let times = &mut times[..len];
        (len >= ENOUGH).then(|| Duration::from_nanos(*times.select_nth_unstable(len / 2).1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_median_of_the_last_times() {
        let (mut recent, mut all) = (RecentMedian::new(), Vec::new());
        for n in 0..200_u64 {
            let time = Duration::from_millis(n * 7_919 % 101);
            recent.record(time);
            all.push(time);
            let mut last = all[all.len().saturating_sub(KEPT)..].to_vec();
            last.sort_unstable();
            assert_eq!(recent.median(), (last.len() >= ENOUGH).then(|| last[last.len() / 2]), "{n}");
        }
    }

    #[test]
    fn the_first_times_are_wanted_and_then_a_part() {
        let mut recent = RecentMedian::new();
        for number in 1..=KEPT as u64 {
            assert!(recent.wants(number));
            recent.record(Duration::MAX);
        }
        let wanted: Vec<_> = (1..=64).filter(|number| recent.wants(*number)).collect();
        assert_eq!(wanted, [16, 32, 48, 64]);
        assert_eq!(recent.median(), Some(Duration::from_nanos(u64::MAX)));
    }
}
