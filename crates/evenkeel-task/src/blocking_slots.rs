//! The slots of a `Blocking` in the dumps of evenkeel-inspect.

use std::{
    panic::Location,
    sync::{Arc, Mutex, Weak},
};

use evenkeel_base::{Slab, lock};
use evenkeel_inspect::{
    HolderEdge, Inspect, Inspected, InspectedResource, Registration, TaskId, WaiterEdge, copy_chunks,
    register,
};
use tokio::{sync::Semaphore, time::Instant};

/// The calls that run and those that wait, beside the semaphore that bounds them.
#[derive(Debug)]
pub(crate) struct BlockingSlots {
    place: &'static Location<'static>,
    limit: usize,
    slots: Arc<Semaphore>,
    calls: Mutex<Calls>,
    _registration: Registration,
}

#[derive(Debug)]
struct Calls {
    // The number of records so far.
    numbers: u64,
    records: Slab<Record>,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    number: u64,
    task: TaskId,
    place: &'static Location<'static>,
    since: Instant,
    runs: bool,
}

/// A call in the list, until it is dropped.
#[derive(Debug)]
pub(crate) struct CallEntry {
    list: Arc<BlockingSlots>,
    key: usize,
}

impl BlockingSlots {
    pub(crate) fn new(place: &'static Location<'static>, limit: usize, slots: Arc<Semaphore>) -> Arc<Self> {
        Arc::new_cyclic(|list: &Weak<Self>| Self {
            place,
            limit,
            slots,
            calls: Mutex::new(Calls { numbers: 0, records: Slab::new() }),
            _registration: register(list.clone()),
        })
    }

    /// Enters a call that waits in this task, or runs in it.
    pub(crate) fn enter(self: &Arc<Self>, place: &'static Location<'static>, runs: bool) -> CallEntry {
        let (task, since) = (TaskId::current(), Instant::now());
        let mut calls = lock(&self.calls);
        calls.numbers += 1;
        let number = calls.numbers;
        let key = calls.records.insert(Record { number, task, place, since, runs });
        CallEntry { list: Arc::clone(self), key }
    }
}

impl Drop for CallEntry {
    fn drop(&mut self) {
        lock(&self.list.calls).records.discard(self.key);
    }
}

impl Inspect for BlockingSlots {
    fn inspect(&self, now: Instant) -> Option<Inspected> {
        let mut records = Vec::<Record>::new();
        let expected = lock(&self.calls).records.len();
        copy_chunks(&mut records, expected, |entries, records| {
            let calls = lock(&self.calls);
            records.extend(calls.records.values_in(entries).copied());
            calls.records.entry_count()
        });
        records.sort_by_key(|record| record.number);
        let mut calls = InspectedResource::new("blocking calls", self.limit as u64);
        calls.place = Some(self.place);
        calls.in_use = self.limit.saturating_sub(self.slots.available_permits()) as u64;
        for Record { number, task, place, since, runs } in records {
            let time = now.saturating_duration_since(since);
            if runs {
                calls.holders.push(HolderEdge::new(number, Some(task), place, time));
            } else {
                calls.waiters.push(WaiterEdge::new(number, task, place, time));
            }
        }
        Some(Inspected::Resource(calls))
    }
}
