//! Runs of messages and parts, and stores of batches.

use std::{panic::AssertUnwindSafe, time::Duration};

use evenkeel_tck::pipeline::{BulkError, Item, Shape, WorkItem};
use futures::FutureExt as _;
use tokio::time::{Instant, timeout};

use super::{Delivery, Ended, Engine, Fault, Settle};

impl Engine {
    /// Begins what may begin.
    pub(super) fn begin(&mut self) {
        let limit = self.orders.get().limit.unwrap_or(usize::MAX);
        let limit = match self.fault {
            Fault::IgnoresTheLimit => usize::MAX,
            Fault::RunsInTurn => 1,
            _ => limit,
        };
        if self.fault == Fault::HoldsForLetters && self.hand.values().any(|held| held.is_exhausted) {
            return;
        }
        let is_keyed = self.settings.keyed && self.fault != Fault::IgnoresKeys;
        let mut blocked: Vec<u32> =
            self.hand.values().filter(|held| held.running > 0).map(|held| held.delivery.item.key).collect();
        if self.fault == Fault::KeepsTheKeyOfLapsed {
            blocked.extend(&self.lost_keys);
        }
        let mut at = 0;
        while at < self.queue.len() && self.in_flight() < limit {
            let (key, item) = self.queue[at];
            if is_keyed && blocked.contains(&item.key) {
                at += 1;
                continue;
            }
            blocked.push(item.key);
            self.queue.remove(at);
            self.begin_run(key, item);
        }
    }

    fn begin_run(&mut self, key: u64, item: Item) {
        let Some(held) = self.hand.get_mut(&key) else { return };
        let attempt = if self.fault == Fault::AlwaysSaysFirst { 1 } else { held.delivery.attempt };
        let job = WorkItem { id: format!("{}/{}", held.delivery.id, item.part), attempt, item };
        let job = if item.part == 0 { WorkItem { id: held.delivery.id.clone(), ..job } } else { job };
        let (work, fault) = (self.work.clone(), self.fault);
        let limit = self.settings.timeout.filter(|_| fault != Fault::NeverTimesOut);
        let waited = if fault == Fault::CountsTheWait { held.since.elapsed() } else { Duration::ZERO };
        let limit = limit.map(|limit| limit.saturating_sub(waited));
        held.running += 1;
        held.tasks.push(self.tasks.spawn(async move {
            let run = AssertUnwindSafe(work.run(job)).catch_unwind();
            let ended = match limit {
                Some(limit) => timeout(limit, run).await.map_err(|_| "it timed out".to_owned()),
                None => Ok(run.await),
            };
            let result = match ended {
                Ok(Ok(result)) => result.map_err(|error| error.to_string()),
                Ok(Err(_)) if fault == Fault::EndsAtAPanic => Err("!".to_owned()),
                Ok(Err(_)) => Err("it panicked".to_owned()),
                Err(late) => Err(late),
            };
            Ended::Run(key, result)
        }));
    }

    pub(super) fn batch_due(&self) -> Option<Instant> {
        let Shape::Batch { within: Some(within), .. } = self.settings.shape else { return None };
        self.batch_since.map(|since| since + within)
    }

    /// Stores the batches that are due.
    pub(super) fn store(&mut self) {
        let Shape::Batch { items, .. } = self.settings.shape else { return };
        let size = items + usize::from(self.fault == Fault::StoresOneMore);
        let drains = self.orders.get().drain_by.is_some() && self.fault != Fault::WaitsForTheBatch;
        while !self.batch.is_empty() {
            let is_due = self.batch_due().is_some_and(|due| due <= Instant::now());
            let limit = self.settings.limit.filter(|_| self.fault != Fault::IgnoresTheLimitOfStores);
            let is_full = limit.is_some_and(|limit| self.storing >= limit);
            if is_full || self.batch.len() < size && !is_due && !drains {
                return;
            }
            let keys: Vec<u64> = self.batch.drain(..size.min(self.batch.len())).collect();
            self.batch_since = (!self.batch.is_empty()).then(Instant::now);
            let jobs = keys.iter().filter_map(|key| self.hand.get(key)).map(|held| {
                let Delivery { id, attempt, item, .. } = held.delivery.clone();
                WorkItem { id, attempt, item }
            });
            let (jobs, work): (Vec<WorkItem>, _) = (jobs.collect(), self.work.clone());
            self.storing += 1;
            let stored = keys.clone();
            self.tasks.spawn(async move {
                let result = AssertUnwindSafe(work.store(jobs)).catch_unwind().await.ok();
                let failed = |result: Result<_, BulkError>| result.err().map(|error| error.failed().to_vec());
                Ended::Store(stored, result.map(|result| failed(result).unwrap_or_default()))
            });
            if self.fault == Fault::AcksBeforeTheStore {
                keys.into_iter().for_each(|key| self.decide(key, Settle::Ack));
            }
        }
    }
}
