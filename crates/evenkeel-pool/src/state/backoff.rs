//! The backoff of creations that fail.
//!
//! While creations fail, one at a time begins, after a pause. That creation has a slot already and waits on its task, so
//! that no waiter needs a timer. Creations that began together and fail together count as one failure: each remembers
//! the number of failures at its start, and only the first of them raises it.

use std::time::Duration;

use evenkeel_base::Random;
use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Backoff {
    /// Failures since the last success; those of creations that began together count as one.
    pub(super) failures: u32,
    /// The time at which the next creation may begin; `None` after a success.
    next: Option<Instant>,
    /// Whether a creation waits for that time.
    paused: bool,
}

impl Backoff {
    /// Returns how many creations may begin, or begin to wait for their time, if there is room for `free`.
    pub(super) fn allowed_creations(&self, free: usize) -> usize {
        match (self.next, self.paused) {
            (None, _) => free,
            (Some(_), false) => free.min(1),
            (Some(_), true) => 0,
        }
    }

    /// Returns whether the last creation failed.
    pub(super) fn is_failing(&self) -> bool {
        self.next.is_some()
    }

    /// Returns the time at which the next creation may begin if not at once; then it is the one that is paused.
    pub(super) fn begin_pause(&mut self) -> Option<Instant> {
        self.paused |= self.is_failing();
        self.next
    }

    /// Lets another creation wait for its time: the paused one has begun, or never will.
    pub(super) fn end_pause(&mut self) {
        self.paused = false;
    }

    /// Begins the paused creation; while creations fail, the next one may begin a pause later.
    pub(super) fn begin_creation(&mut self, now: Instant) {
        self.end_pause();
        if self.is_failing() {
            self.plan_next(now);
        }
    }

    /// Counts the failure of a creation that began after this number of failures.
    pub(super) fn count_failure(&mut self, failures: u32, now: Instant) {
        if failures == self.failures {
            self.failures += 1;
            self.plan_next(now);
        }
    }

    /// Ends the backoff: a creation has succeeded.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
        self.next = None;
    }

    fn plan_next(&mut self, now: Instant) {
        self.next = Some(now + pause(self.failures, Random::new().number(self.failures.into())));
    }
}

/// Returns half of a time that doubles with each failure, and a random part of the other half.
fn pause(failures: u32, random: u64) -> Duration {
    let factor = 1 << failures.saturating_sub(1).min(16);
    let half = (FIRST_PAUSE * factor).min(LONGEST_PAUSE) / 2;
    // The upper 32 bits are as random as all of them, and leave room for the product.
    half + half.mul_f64((random >> 32) as f64 / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::pause;

    #[test]
    fn a_pause_doubles_to_a_second_and_half_of_it_is_random() {
        for (failures, longest) in
            [(1, 50), (2, 100), (3, 200), (4, 400), (5, 800), (6, 1000), (u32::MAX, 1000)]
        {
            let longest = Duration::from_millis(longest);
            assert_eq!(pause(failures, 0), longest / 2);
            assert_eq!(pause(failures, u64::MAX), longest);
            assert_eq!(pause(failures, u64::MAX / 2).as_millis(), (longest * 3 / 4).as_millis());
        }
    }
}
