//! The backoff of creations that fail.
//!
//! While creations fail, one at a time begins, after a pause. That creation has a slot already and waits on its task, so
//! that no waiter needs a timer. Creations that began together and fail together count as one failure: each remembers
//! the number of failures at its start, and only the first of them raises it.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use tokio::time::Instant;

use super::{Place, SlotUse, State};
use crate::Manager;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Backoff {
    /// Failures since the last success; those of creations that began together count as one.
    failures: u32,
    /// The time at which the next creation may begin; `None` after a success.
    next: Option<Instant>,
    /// Whether a creation waits for that time.
    paused: bool,
}

impl Backoff {
    fn pause(&mut self, now: Instant) {
        self.next = Some(now + pause(self.failures, RandomState::new().hash_one(self.failures)));
    }
}

/// Returns half of a time that doubles with each failure, and a random part of the other half.
fn pause(failures: u32, random: u64) -> Duration {
    let factor = 1 << failures.saturating_sub(1).min(16);
    let half = (FIRST_PAUSE * factor).min(LONGEST_PAUSE) / 2;
    // The upper 32 bits are as random as all of them, and leave room for the product.
    half + half.mul_f64((random >> 32) as f64 / f64::from(u32::MAX))
}

impl<M: Manager> State<M> {
    /// Returns how many creations may begin, or begin to wait for their time.
    pub(super) fn allowed_creations(&self) -> usize {
        match (self.backoff.next, self.backoff.paused) {
            (None, _) => self.free(),
            (Some(_), false) => self.free().min(1),
            (Some(_), true) => 0,
        }
    }

    /// Takes a slot for a creation; returns its key, and the time at which the creation may begin if not at once.
    pub(super) fn take_slot_for_creation(&mut self, place: Place, now: Instant) -> (usize, Option<Instant>) {
        let next = self.backoff.next;
        let used_for = if next.is_some() { SlotUse::Pause } else { SlotUse::Creation(self.backoff.failures) };
        self.backoff.paused |= next.is_some();
        (self.take_slot(place, now, used_for), next)
    }

    /// Returns whether the last creation failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.backoff.next.is_some()
    }

    /// Begins the creation in this slot, whose pause is over.
    pub(crate) fn begin_creation(&mut self, slot: usize, now: Instant) {
        self.slots.get_mut(slot).used_for = SlotUse::Creation(self.backoff.failures);
        self.end_pause();
        if self.is_failing() {
            self.backoff.pause(now);
        }
    }

    /// Lets another creation wait for its time: the paused one has begun, or never will.
    pub(super) fn end_pause(&mut self) {
        self.backoff.paused = false;
    }

    /// Counts the failure of a creation that began after this number of failures.
    pub(super) fn back_off(&mut self, failures: u32, now: Instant) {
        if failures == self.backoff.failures {
            self.backoff.failures += 1;
            self.backoff.pause(now);
        }
    }

    /// Ends the backoff: a creation has succeeded.
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
