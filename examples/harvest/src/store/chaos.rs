//! Faults of the store, by a plan drawn from a seed.

use std::time::Duration;

use evenkeel::task::Stop;
use tokio::time::sleep;

use super::StoreError;
use crate::server::mix;

/// The number of attempts of an entry that may fail by plan: fewer than the policy makes.
const FAULTY_ATTEMPTS: u32 = 2;

/// The fault of one attempt to store an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The attempt is refused.
    Refused,
    /// The entry is stored, and the answer is lost.
    AnswerLost,
}

/// Returns the fault of an attempt, counted from 1, to store the entry with this number.
pub(super) fn fault(seed: u64, number: u64, attempt: u32) -> Option<Fault> {
    if attempt > FAULTY_ATTEMPTS {
        return None;
    }
    match mix(seed ^ mix(number ^ mix(u64::from(attempt)))) % 8 {
        0 => Some(Fault::Refused),
        1 => Some(Fault::AnswerLost),
        _ => None,
    }
}

impl Fault {
    pub(super) fn error(self) -> StoreError {
        let reason = match self {
            Self::Refused => "refused by plan",
            Self::AnswerLost => "the answer was lost by plan",
        };
        StoreError { reason: reason.into(), is_transient: true }
    }
}

/// The times at which another program disturbs the store, and for how long.
#[derive(Debug)]
pub(super) struct Disturbances {
    state: u64,
}

impl Disturbances {
    pub(super) const fn new(seed: u64) -> Self {
        Self { state: mix(seed) }
    }

    /// Draws a number below `of`.
    pub(super) fn draw(&mut self, of: u64) -> u64 {
        self.state = mix(self.state);
        (self.state >> 32) % of
    }

    /// Waits until the next disturbance; returns `false` if the run ends before.
    pub(super) async fn pause(&mut self, end: &Stop) -> bool {
        tokio::select! {
            () = sleep(Duration::from_millis(100 + self.draw(400))) => true,
            () = end.draining() => false,
        }
    }

    /// Draws how long a lock is held: sometimes longer than a write waits for it.
    pub(super) fn hold(&mut self) -> Duration {
        let longest = if self.draw(4) == 0 { 1500 } else { 200 };
        Duration::from_millis(20 + self.draw(longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_occurs_and_no_entry_fails_for_ever() {
        let plan: Vec<_> = (0..1000).map(|number| fault(7, number, 1)).collect();
        for kind in [Fault::Refused, Fault::AnswerLost] {
            assert!(plan.contains(&Some(kind)), "{kind:?}");
        }
        assert!((0..1000).all(|number| fault(7, number, FAULTY_ATTEMPTS + 1).is_none()));
        assert_ne!(plan, (0..1000).map(|number| fault(8, number, 1)).collect::<Vec<_>>());
    }

    #[test]
    fn one_seed_is_one_plan() {
        let draws = |seed| {
            let mut disturbances = Disturbances::new(seed);
            [(); 20].map(|()| (disturbances.draw(2), disturbances.hold()))
        };
        assert_eq!(draws(3), draws(3));
        assert_ne!(draws(3), draws(4));
    }
}
