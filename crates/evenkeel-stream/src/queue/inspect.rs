//! The workers on a queue in the dumps of evenkeel-inspect.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Weak},
};

use evenkeel_inspect::{
    Backlog, HoldKey, Holds, Inspect, Inspected, InspectedResource, Registration, register,
};
use tokio::time::Instant;

use super::core::Core;
use crate::edges::CallPlace;

/// The workers on a queue.
#[derive(Clone)]
pub(super) struct WorkersEdge {
    holds: Arc<Holds>,
    _object: Arc<dyn Inspect>,
}

struct WorkersObject<T> {
    core: Arc<Core<T>>,
    workers: usize,
    call: CallPlace,
    holds: Arc<Holds>,
    _registration: Registration,
}

impl WorkersEdge {
    pub(super) fn new<T: Send + 'static>(core: &Arc<Core<T>>, workers: usize, call: CallPlace) -> Self {
        let holds = Arc::new(Holds::new());
        let object = Arc::new_cyclic(|object: &Weak<WorkersObject<T>>| WorkersObject {
            core: Arc::clone(core),
            workers,
            call,
            holds: Arc::clone(&holds),
            _registration: register(object.clone()),
        });
        Self { holds, _object: object }
    }

    /// Runs the work for an item, with a record while it is pending.
    pub(super) async fn watch<F: Future>(&self, work: F) -> F::Output {
        let (mut work, mut hold) = (pin!(work), HoldGuard { holds: &self.holds, key: None });
        poll_fn(|cx| {
            let polled = work.as_mut().poll(cx);
            if polled.is_pending() {
                hold.key.get_or_insert_with(|| self.holds.begin(Instant::now()));
            } else if hold.key.is_none() {
                self.holds.end_at_once();
            }
            polled
        })
        .await
    }
}

/// The record of an item; it ends with its drop.
struct HoldGuard<'a> {
    holds: &'a Holds,
    key: Option<HoldKey>,
}

impl Drop for HoldGuard<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.holds.end(key, Instant::now());
        }
    }
}

impl<T: Send + 'static> Inspect for WorkersObject<T> {
    fn inspect(&self, now: Instant) -> Option<Inspected> {
        let holders = self.holds.holders(self.call.0, now);
        let (queue, waiters) = self.core.inspect(now);
        if queue.is_closed && queue.items == 0 && queue.in_flight == 0 {
            return None;
        }
        let mut workers = InspectedResource::new("workers", self.workers as u64);
        workers.place = Some(self.call.0);
        workers.in_use = queue.in_flight.min(workers.capacity);
        (workers.holders, workers.waiters) = (holders, waiters);
        let pending = queue.items as u64 + queue.in_flight;
        // While nothing is pending in a worker, nothing is known but that they go on.
        let idle = self.holds.idle(now);
        if pending > 0 && !idle.is_zero() {
            workers.backlog = Some(Backlog::new(pending, idle));
        }
        workers.notes.push(format!("{} in the queue, {} done", queue.items, queue.done));
        Some(Inspected::Resource(workers))
    }
}
