//! The workers of a harvest, added up.

use serde::Serialize;

use crate::board::{Condition, MAX_STAGES, StageState, WorkerState, Workers};

/// The sums over all workers. What is in flight, and how fast, are sums over those that are alive.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Sums {
    pub(crate) alive: usize,
    pub(crate) dead: usize,
    pub(crate) ended: usize,
    pub(crate) users: u64,
    pub(crate) calls: u64,
    pub(crate) retries: u64,
    pub(crate) failures: u64,
    pub(crate) dead_letters: u64,
    pub(crate) in_flight: u64,
    /// Documents stored per second.
    pub(crate) rate: f64,
    /// The stages by their names, in the order of the workers.
    pub(crate) stages: Vec<StageState>,
    /// The place that holds the harvest up.
    pub(crate) bottleneck: Option<String>,
}

impl Sums {
    pub(crate) fn of(board: &Workers) -> Self {
        let Workers { now, workers } = board;
        let now = *now;
        let mut sums = Self::default();
        for worker in workers {
            sums.add(worker, Condition::of(worker, now));
        }
        let living = workers.iter().filter(|worker| Condition::of(worker, now).is_alive());
        let told: Vec<&String> = living.filter_map(|worker| worker.bottleneck.as_ref()).collect();
        let busiest = sums.stages.iter().filter(|stage| stage.queued > 0).max_by_key(|stage| stage.queued);
        sums.bottleneck = match (&*told, busiest) {
            ([], _) => None,
            // One worker knows it better than the sums do.
            ([only], _) => Some((*only).clone()),
            (_, Some(StageState { name, queued, in_flight, .. })) => {
                Some(format!("stage `{name}`: {queued} wait for it, {in_flight} are in flight"))
            }
            ([first, ..], None) => Some((*first).clone()),
        };
        sums
    }

    fn add(&mut self, worker: &WorkerState, condition: Condition) {
        let is_alive = condition.is_alive();
        match condition {
            Condition::Working | Condition::Silent(_) => self.alive += 1,
            Condition::Dead(_) => self.dead += 1,
            Condition::Ended => self.ended += 1,
        }
        for (sum, number) in [
            (&mut self.users, worker.users),
            (&mut self.calls, worker.calls),
            (&mut self.retries, worker.retries),
            (&mut self.failures, worker.failures),
            (&mut self.dead_letters, worker.dead_letters),
            (&mut self.in_flight, if is_alive { worker.in_flight } else { 0 }),
        ] {
            *sum = sum.saturating_add(number);
        }
        if is_alive {
            self.rate += worker.rate;
        }
        for stage in &worker.stages {
            self.add_stage(stage, is_alive);
        }
    }

    fn add_stage(&mut self, stage: &StageState, is_alive: bool) {
        if self.stages.len() == MAX_STAGES {
            return;
        }
        let at = self.stages.iter().position(|known| known.name == stage.name).unwrap_or_else(|| {
            self.stages.push(StageState { name: stage.name.clone(), ..StageState::default() });
            self.stages.len() - 1
        });
        let sum = &mut self.stages[at];
        if is_alive {
            sum.limit = sum.limit.saturating_add(stage.limit);
        }
        for (sum, number) in [
            (&mut sum.in_flight, if is_alive { stage.in_flight } else { 0 }),
            (&mut sum.queued, if is_alive { stage.queued } else { 0 }),
            (&mut sum.done, stage.done),
            (&mut sum.errors, stage.errors),
            (&mut sum.retries, stage.retries),
        ] {
            *sum = sum.saturating_add(number);
        }
        sum.waiting += stage.waiting;
        sum.working += stage.working;
        if is_alive {
            sum.rate += stage.rate;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(seen: u64, queued: u64, bottleneck: Option<&str>) -> WorkerState {
        let stage = |name: &str, queued| StageState {
            name: name.into(),
            limit: 8,
            in_flight: 5,
            queued,
            waiting: 1.5,
            working: 2.0,
            done: 10,
            errors: 1,
            retries: 2,
            rate: 3.0,
        };
        WorkerState {
            seen,
            users: 7,
            calls: u64::MAX / 2,
            in_flight: 5,
            rate: 2.5,
            stages: vec![stage("fetch", queued), stage("store", 0)],
            bottleneck: bottleneck.map(str::to_owned),
            ..WorkerState::default()
        }
    }

    fn sums(workers: &[WorkerState]) -> Sums {
        Sums::of(&Workers { now: 100, workers: workers.to_vec() })
    }

    #[test]
    fn the_dead_have_nothing_in_flight_and_keep_what_they_have_done() {
        let sums = sums(&[worker(100, 3, None), worker(100, 4, None), worker(0, 9, None)]);
        assert_eq!((sums.alive, sums.dead, sums.ended), (2, 1, 0));
        assert_eq!((sums.users, sums.in_flight, sums.rate), (21, 10, 5.0));
        assert_eq!(sums.calls, u64::MAX, "a sum that a hostile worker makes too large stays a number");
        let fetch = &sums.stages[0];
        assert_eq!((fetch.done, fetch.limit, fetch.in_flight, fetch.queued), (30, 16, 10, 7));
        assert_eq!((fetch.waiting, fetch.working, fetch.rate), (4.5, 6.0, 6.0));
        assert_eq!(sums.stages.iter().map(|stage| &*stage.name).collect::<Vec<_>>(), ["fetch", "store"]);
    }

    #[test]
    fn the_bottleneck_is_that_of_the_living() {
        let of = |workers: &[WorkerState]| sums(workers).bottleneck;
        assert_eq!(
            of(&[worker(100, 3, Some("the API")), worker(0, 9, Some("gone"))]),
            Some("the API".into())
        );
        let both = [worker(100, 3, Some("a")), worker(100, 4, Some("b"))];
        assert_eq!(of(&both), Some("stage `fetch`: 7 wait for it, 10 are in flight".into()));
        assert_eq!(of(&[worker(100, 0, Some("a")), worker(100, 0, Some("b"))]), Some("a".into()));
        assert_eq!(of(&[worker(0, 9, Some("gone"))]), None);
        assert_eq!(of(&[]), None);
    }
}
