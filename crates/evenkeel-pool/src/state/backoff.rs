//! The backoff of creations that fail.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use super::State;
use super::seats::Work;
use crate::Manager;
use crate::queue::Key;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// While creations fail, the next one begins only after a pause, however many wait for it.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    /// Failures since the last success; those of creations that began together count as one.
    failures: u32,
    /// When the next creation may begin.
    next: Option<Instant>,
    /// Whether a creation waits for that.
    paused: bool,
}

impl Backoff {
    fn pause(&mut self, now: Instant) {
        self.next = Some(now + pause(self.failures, RandomState::new().hash_one(self.failures)));
    }
}

/// Half of a time that doubles with each failure, and a random part of the other half.
fn pause(failures: u32, random: u64) -> Duration {
    let factor = 1 << failures.saturating_sub(1).min(16);
    let half = (FIRST_PAUSE * factor).min(LONGEST_PAUSE) / 2;
    // The upper 32 bits are as random as all of them, and leave room for the product.
    half + half.mul_f64((random >> 32) as f64 / f64::from(u32::MAX))
}

impl<M: Manager> State<M> {
    /// How many creations may begin, or begin to wait for their time.
    pub(super) fn room(&self) -> usize {
        match (self.backoff.next, self.backoff.paused) {
            (None, _) => self.free(),
            (Some(_), false) => self.free().min(1),
            (Some(_), true) => 0,
        }
    }

    /// Takes a seat for a creation, and says when it may begin if not at once.
    pub(super) fn seat_creation(&mut self, place: super::Place, now: Instant) -> (Key, Option<Instant>) {
        let next = self.backoff.next;
        let work = if next.is_some() { Work::Paused } else { Work::Creating(self.backoff.failures) };
        self.backoff.paused |= next.is_some();
        (self.seat(place, now, work), next)
    }

    /// Whether the last creation failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.backoff.next.is_some()
    }

    /// The creation in this seat begins after its pause.
    pub(crate) fn begin(&mut self, seat: Key, now: Instant) {
        self.seats.get_mut(seat).work = Work::Creating(self.backoff.failures);
        self.backoff.paused = false;
        if self.is_failing() {
            self.backoff.pause(now);
        }
    }

    /// The creation in this seat does not begin.
    pub(super) fn forgo(&mut self) {
        self.backoff.paused = false;
    }

    /// A creation has failed that began after so many failures.
    pub(super) fn back_off(&mut self, failures: u32, now: Instant) {
        if failures == self.backoff.failures {
            self.backoff.failures += 1;
            self.backoff.pause(now);
        }
    }

    /// A creation has succeeded.
    pub(super) fn reset_backoff(&mut self) {
        self.backoff.failures = 0;
        self.backoff.next = None;
    }
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
