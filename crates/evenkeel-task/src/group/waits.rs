//! The waits for the tasks of a group, for evenkeel-inspect: of these there is no other record.
//!
//! The owner of the group waits for all tasks when the body has ended. A handle that is pending enters its wait, and takes it
//! out when it is ready or dropped.

use std::sync::{Arc, Mutex, Weak};

use evenkeel_base::{Slab, lock};
use evenkeel_inspect::{Inspect, Registration, TaskId, register};
use tokio::{
    task::{self, JoinHandle},
    time::Instant,
};

/// The place of a group in the registry of the process, and the waits for its tasks.
#[derive(Debug)]
pub(super) struct Inspection {
    registration: Registration,
    pub(super) limit: Option<usize>,
    pub(super) waits: Arc<Mutex<Waits>>,
}

#[derive(Debug)]
pub(super) struct Waits {
    pub(super) owner: TaskId,
    // The beginning of the owner's wait for the tasks, and the time at which it stops them.
    pub(super) join: Option<(Instant, Option<Instant>)>,
    pub(super) has_ended: bool,
    pub(super) children: Slab<ChildRecord>,
    // The number of waits for single tasks so far.
    numbers: u64,
}

#[derive(Debug)]
pub(super) struct ChildRecord {
    pub(super) number: u64,
    pub(super) task: TaskId,
    pub(super) child: task::Id,
    pub(super) since: Instant,
}

impl Inspection {
    /// Enters a group that is made in the task that owns it.
    pub(super) fn new(group: Weak<impl Inspect>, limit: Option<usize>) -> Self {
        let (owner, children) = (TaskId::current(), Slab::new());
        let waits = Waits { owner, join: None, has_ended: false, children, numbers: 0 };
        Self { registration: register(group), limit, waits: Arc::new(Mutex::new(waits)) }
    }

    /// Returns the number of the group.
    pub(super) fn id(&self) -> usize {
        self.registration.id()
    }

    /// Records that the body has ended, and its task waits for the tasks, which it stops at that time.
    pub(super) fn begin_join(&self, until: Option<Instant>) {
        let (now, owner) = (Instant::now(), TaskId::current());
        let mut waits = lock(&self.waits);
        (waits.join, waits.owner) = (Some((now, until)), owner);
    }

    /// Records that the tasks were asked to stop, and will be aborted at that time; `None` if they were aborted.
    pub(super) fn stop_at(&self, until: Option<Instant>) {
        if let Some((_, end)) = &mut lock(&self.waits).join {
            *end = until;
        }
    }

    /// Records that nothing waits for the tasks any more.
    pub(super) fn end(&self) {
        let mut waits = lock(&self.waits);
        (waits.join, waits.has_ended) = (None, true);
    }
}

/// The wait for a task by its handle.
#[derive(Debug)]
pub(super) struct HandleWait {
    waits: Arc<Mutex<Waits>>,
    child: task::Id,
    // The key of the record, and the task that waits.
    record: Option<(usize, TaskId)>,
}

impl HandleWait {
    pub(super) fn new(waits: Arc<Mutex<Waits>>, child: &JoinHandle<()>) -> Self {
        Self { waits, child: child.id(), record: None }
    }

    /// Records that the handle was polled and is pending.
    pub(super) fn begin(&mut self) {
        let task = TaskId::current();
        if self.record.is_some_and(|(_, last)| last == task) {
            return;
        }
        self.end();
        let (child, since) = (self.child, Instant::now());
        let mut waits = lock(&self.waits);
        waits.numbers += 1;
        let number = waits.numbers;
        self.record = Some((waits.children.insert(ChildRecord { number, task, child, since }), task));
    }

    /// Takes out the record, if there is one.
    pub(super) fn end(&mut self) {
        if let Some((key, _)) = self.record.take() {
            lock(&self.waits).children.discard(key);
        }
    }
}

impl Drop for HandleWait {
    fn drop(&mut self) {
        self.end();
    }
}
