//! What goes wrong with which request.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::data::mix;

/// Requests for one path that may be faulty before it is served: fewer than a client's attempts.
const FAULTY_ATTEMPTS: u32 = 2;

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// 503, asking to come back in a second.
    UnavailableForSeconds,
    /// 503, asking to come back at a time of day.
    UnavailableUntilDate,
    /// The connection is reset without an answer.
    Reset,
    /// No answer ever comes.
    Stall,
}

/// Decides the faults by the seed, the path and how often that path was asked for, and by nothing else: runs of
/// one seed meet the same faults whatever their timing, and every document is served in the end.
#[derive(Debug)]
pub(super) struct Faults {
    seed: u64,
    asked: Mutex<HashMap<String, u32>>,
}

impl Faults {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, asked: Mutex::default() }
    }

    /// The fault of the request for `path` that has just arrived.
    pub(super) fn next(&self, path: &str) -> Option<Fault> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let attempt = asked.entry(path.to_owned()).or_default();
        *attempt += 1;
        fault(self.seed, path, *attempt)
    }
}

fn fault(seed: u64, path: &str, attempt: u32) -> Option<Fault> {
    if attempt > FAULTY_ATTEMPTS {
        return None;
    }
    let start = mix(seed ^ mix(u64::from(attempt)));
    let draw = path.bytes().fold(start, |hash, byte| mix(hash ^ u64::from(byte)));
    match draw % 1000 {
        0..8 => Some(Fault::UnavailableForSeconds),
        8..16 => Some(Fault::UnavailableUntilDate),
        16..32 => Some(Fault::Reset),
        32..35 => Some(Fault::Stall),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64) -> Vec<Option<Fault>> {
        let faults = Faults::new(seed);
        let paths = (1..=2000).map(|id| format!("/users/{id}/prefs.json"));
        paths.map(|path| faults.next(&path)).collect()
    }

    #[test]
    fn one_seed_is_one_plan_and_another_is_another() {
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
    }

    #[test]
    fn the_plan_does_not_depend_on_the_order_of_requests() {
        let faults = Faults::new(1);
        let mut backwards: Vec<_> =
            (1..=2000).rev().map(|id| faults.next(&format!("/users/{id}/prefs.json"))).collect();
        backwards.reverse();
        assert_eq!(backwards, plan(1));
    }

    #[test]
    fn every_kind_of_fault_occurs_and_most_requests_have_none() {
        let plan = plan(1);
        for kind in [Fault::UnavailableForSeconds, Fault::UnavailableUntilDate, Fault::Reset, Fault::Stall] {
            assert!(plan.contains(&Some(kind)), "{kind:?}");
        }
        assert!(plan.iter().filter(|fault| fault.is_some()).count() < 120);
    }

    #[test]
    fn every_document_is_served_in_the_end() {
        let faults = Faults::new(1);
        for id in 1..=2000 {
            let path = format!("/users/{id}/orders.json");
            let served = (0..=FAULTY_ATTEMPTS).any(|_| faults.next(&path).is_none());
            assert!(served, "{path}");
        }
    }
}
