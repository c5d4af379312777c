//! What goes wrong with the store, by a seeded plan.

use std::time::Duration;

use evenkeel::task::Stop;
use tokio::time::sleep;

use super::StoreError;
use crate::server::mix;

/// Attempts to store something that may go wrong by plan: fewer than are made.
const FAULTY_ATTEMPTS: u32 = 2;

/// What goes wrong with one attempt to store something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is turned down.
    Refused,
    /// It is stored, and nobody is told.
    AnswerLost,
}

/// The fault of an attempt, counted from 1, at something of this number.
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
        StoreError { reason: reason.into(), passes: true }
    }
}

/// When somebody else gets in the way, and for how long.
#[derive(Debug)]
pub(super) struct Trouble {
    state: u64,
}

impl Trouble {
    pub(super) const fn new(seed: u64) -> Self {
        Self { state: mix(seed) }
    }

    /// One of so many.
    pub(super) fn draw(&mut self, of: u64) -> u64 {
        self.state = mix(self.state);
        (self.state >> 32) % of
    }

    /// Waits for the next time; false if the end comes before.
    pub(super) async fn pause(&mut self, end: &Stop) -> bool {
        tokio::select! {
            () = sleep(Duration::from_millis(100 + self.draw(400))) => true,
            () = end.draining() => false,
        }
    }

    /// How long a lock is held: now and then longer than anybody waits for it.
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
            let mut trouble = Trouble::new(seed);
            [(); 20].map(|()| (trouble.draw(2), trouble.hold()))
        };
        assert_eq!(draws(3), draws(3));
        assert_ne!(draws(3), draws(4));
    }
}
