//! Work that one task waits for outside of a group, as objects of their own in the dumps of evenkeel-inspect: there is no other
//! record of these.

use std::{
    panic::Location,
    sync::{Arc, Mutex, Weak},
};

use evenkeel_base::lock;
use evenkeel_inspect::{
    HolderEdge, Inspect, Inspected, InspectedResource, Registration, TaskId, WaiterEdge, register,
};
use tokio::{task::AbortHandle, time::Instant};

/// A piece of work, and the task that waits for it; it is in dumps until it is dropped.
#[derive(Debug)]
pub(crate) struct Awaited {
    kind: &'static str,
    name: Option<&'static str>,
    place: &'static Location<'static>,
    // The task that does the work, if it is not the one that waits.
    worker: Option<AbortHandle>,
    started: Instant,
    wait: Mutex<Option<Wait>>,
    _registration: Registration,
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    number: u64,
    task: TaskId,
    since: Instant,
    until: Option<Instant>,
    label: Option<&'static str>,
}

impl Awaited {
    /// Enters work that nobody waits for so far.
    pub(crate) fn new(
        kind: &'static str,
        name: Option<&'static str>,
        place: &'static Location<'static>,
        worker: Option<AbortHandle>,
    ) -> Arc<Self> {
        let started = Instant::now();
        Arc::new_cyclic(|work: &Weak<Self>| Self {
            kind,
            name,
            place,
            worker,
            started,
            wait: Mutex::new(None),
            _registration: register(work.clone()),
        })
    }

    /// Records that this task waits for it, unless that is known.
    pub(crate) fn begin(&self) {
        self.begin_until(None, None);
    }

    /// As `begin`, for a wait that ends by itself.
    pub(crate) fn begin_until(&self, until: Option<Instant>, label: Option<&'static str>) {
        let (task, since) = (TaskId::current(), Instant::now());
        let mut wait = lock(&self.wait);
        let number = match *wait {
            Some(known) if known.task == task && known.until == until => return,
            Some(known) => known.number + 1,
            None => 0,
        };
        *wait = Some(Wait { number, task, since, until, label });
    }
}

impl Inspect for Awaited {
    fn inspect(&self, now: Instant) -> Option<Inspected> {
        if self.worker.as_ref().is_some_and(AbortHandle::is_finished) {
            return None;
        }
        let wait = *lock(&self.wait);
        let mut work = InspectedResource::new(self.kind, u64::from(self.worker.is_some()));
        (work.name, work.place) = (self.name.map(Into::into), Some(self.place));
        work.in_use = work.capacity;
        let since = |at| now.saturating_duration_since(at);
        work.holders.extend(self.worker.as_ref().map(|worker| {
            HolderEdge::new(0, Some(TaskId::Task(worker.id())), self.place, since(self.started))
        }));
        work.waiters.extend(wait.map(|wait| {
            let mut waiter = WaiterEdge::new(wait.number, wait.task, self.place, since(wait.since));
            (waiter.until, waiter.label) = (wait.until, wait.label.map(str::to_owned));
            waiter
        }));
        Some(Inspected::Resource(work))
    }
}
