//! The faults of requests, drawn from a seed.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::data::mix;

/// The number of requests for a path that may be faulty: fewer than a client's attempts.
const FAULTY_ATTEMPTS: u32 = 2;

/// The behavior of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    None,
    /// Faults as common services have them.
    Default,
    /// More faults, outages, and a bad network.
    Chaos,
}

/// The fault of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// 503 with `Retry-After` of one second.
    UnavailableForSeconds,
    /// 503 with `Retry-After` as a date.
    UnavailableUntilDate,
    /// The connection is reset without an answer.
    Reset,
    /// There is no answer.
    Stall,
    /// The answer breaks off.
    Cut,
    /// The answer is slow.
    Slow,
}

impl Plan {
    /// The number of requests in a thousand with this fault.
    const fn faults(self) -> &'static [(u64, Fault)] {
        match self {
            Self::None => &[],
            Self::Default => &[
                (8, Fault::UnavailableForSeconds),
                (8, Fault::UnavailableUntilDate),
                (16, Fault::Reset),
                (3, Fault::Stall),
            ],
            Self::Chaos => &[
                (20, Fault::UnavailableForSeconds),
                (20, Fault::UnavailableUntilDate),
                (30, Fault::Reset),
                (5, Fault::Stall),
                (30, Fault::Cut),
                (60, Fault::Slow),
            ],
        }
    }
}

/// Draws faults from the seed, the path and the number of requests for this path. So runs with one seed have the same
/// faults, whatever their timing, and every document is served in the end.
#[derive(Debug)]
pub(super) struct Faults {
    plan: Plan,
    seed: u64,
    asked: Mutex<HashMap<String, u32>>,
}

impl Faults {
    pub(super) fn new(plan: Plan, seed: u64) -> Self {
        Self { plan, seed, asked: Mutex::default() }
    }

    /// Returns the fault of the next request for `path`: `None` if this request may not be faulty, `Some(None)` if it has
    /// no fault.
    pub(super) fn next(&self, path: &str) -> Option<Option<Fault>> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let attempt = asked.entry(path.to_owned()).or_default();
        *attempt += 1;
        (*attempt <= FAULTY_ATTEMPTS).then(|| fault(self.plan, self.seed, path, *attempt))
    }
}

fn fault(plan: Plan, seed: u64, path: &str, attempt: u32) -> Option<Fault> {
    let start = mix(seed ^ mix(u64::from(attempt)));
    let mut draw = path.bytes().fold(start, |hash, byte| mix(hash ^ u64::from(byte))) % 1000;
    for &(share, fault) in plan.faults() {
        match draw.checked_sub(share) {
            None => return Some(fault),
            Some(rest) => draw = rest,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(plan: Plan, seed: u64) -> Vec<Option<Fault>> {
        let faults = Faults::new(plan, seed);
        let paths = (1..=2000).map(|id| format!("/users/{id}/prefs.json"));
        paths.map(|path| faults.next(&path).flatten()).collect()
    }

    #[test]
    fn one_seed_is_one_plan_and_another_is_another() {
        assert_eq!(faults(Plan::Default, 1), faults(Plan::Default, 1));
        assert_ne!(faults(Plan::Default, 1), faults(Plan::Default, 2));
    }

    #[test]
    fn the_plan_does_not_depend_on_the_order_of_requests() {
        let plan = Faults::new(Plan::Chaos, 1);
        let ids = (1..=2000).rev();
        let mut backwards: Vec<_> =
            ids.map(|id| plan.next(&format!("/users/{id}/prefs.json")).flatten()).collect();
        backwards.reverse();
        assert_eq!(backwards, faults(Plan::Chaos, 1));
    }

    #[test]
    fn every_kind_of_fault_occurs_as_often_as_it_should() {
        assert!(faults(Plan::None, 1).iter().all(Option::is_none));
        for (plan, most) in [(Plan::Default, 120), (Plan::Chaos, 400)] {
            let met = faults(plan, 1);
            for (_, kind) in plan.faults() {
                assert!(met.contains(&Some(*kind)), "{kind:?}");
            }
            assert!(met.iter().flatten().count() < most);
        }
    }

    #[test]
    fn every_document_is_served_in_the_end() {
        let plan = Faults::new(Plan::Chaos, 1);
        for id in 1..=2000 {
            let path = format!("/users/{id}/orders.json");
            assert_eq!([(); 3].map(|()| plan.next(&path).is_some()), [true, true, false]);
        }
    }
}
