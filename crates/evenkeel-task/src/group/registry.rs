//! The registry of the tasks that are alive in a group.
//!
//! # How it works
//!
//! The entries are in [`SHARDS`] shards with a lock each, as all tasks would wait for each other at a single one. A task
//! is registered in the shard of the thread that first polls it; most tasks end on the same thread, so its lock is
//! rarely contended. A shard is allocated with its first task. A [`TaskKey`] names the shard and the slot in it, and
//! is valid until the entry is removed; slots are used again.
//!
//! A task that is in its first poll has a place beside the slots, as a thread is in one first poll at a time and most short
//! tasks end in it: the lock is taken to write what it is, and no more when it ends. A task that is pending moves to a slot.
//! If the place is taken, because threads share the shard or a task polls another one, a task takes a slot at once, and so
//! does a task with a name.
//!
//! - **Foreign code never runs under a lock.** A waker is cloned before the lock is taken, and moved out of the lock
//!   to be woken or dropped.
//! - **An abort goes page by page**, with a [`Cursor`], and holds the lock of one shard for one page. An entry stays
//!   on its page. A task that is registered behind the cursor meanwhile is not woken by it: it finds the group stopped in
//!   the same poll, before it returns to the runtime.
//! - **The counts lie in the shards, too**: an end is counted where the entry is removed, under the same lock.

use std::{
    borrow::Cow,
    cmp::Reverse,
    panic::Location,
    sync::{OnceLock, atomic},
    task::Waker,
};

use evenkeel_base::FirstPanic;
#[cfg(feature = "inspect")]
use evenkeel_inspect::{InspectedTask, copy_chunks};
use tokio::time::Instant;

#[cfg(feature = "inspect")]
use super::task_entry::nanos_between;
use super::{
    loom::{AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering, lock},
    outcome::{Outcome, Outcomes},
    task_entry::{FirstPoll, RemovedTask, State, TaskEnd, TaskEntry, TaskInfo, TaskName},
};
use crate::paged_slab::PagedSlab;

const SHARDS: usize = 8;

/// The room for tasks that come while a look begins.
#[cfg(feature = "inspect")]
const SPARE: usize = 16;

#[derive(Debug)]
pub(super) struct Registry {
    // The shard of the thread that made the group, with its index: a small group has no other.
    home: Shard,
    home_index: u8,
    others: OnceLock<Box<[OnceLock<Shard>; SHARDS]>>,
    // The start of the group.
    base: Instant,
}

#[derive(Debug, Default)]
struct Shard {
    entries: Mutex<Entries>,
    // Whether the entry beside the slots is that of a live task. Set under the lock, cleared without it.
    has_first_poll: AtomicBool,
    finished: AtomicUsize,
    cancelled: AtomicUsize,
    // For the handles of tasks that the thread spawns.
    outcomes: Outcomes,
}

#[derive(Debug, Default)]
struct Entries {
    slots: PagedSlab<TaskEntry>,
    first_poll: Option<FirstPoll>,
}

impl Shard {
    #[inline]
    fn entries(&self) -> MutexGuard<'_, Entries> {
        lock(&self.entries)
    }

    /// Returns whether a task is in its first poll, beside the slots.
    #[inline]
    fn has_first_poll(&self) -> bool {
        self.has_first_poll.load(Ordering::Acquire)
    }

    /// Says that the entry beside the slots is none any more; it stays there until the next one.
    #[inline]
    fn end_first_poll(&self) {
        self.has_first_poll.store(false, Ordering::Release);
    }

    /// Returns the number of pages to abort; the first one includes the task that is in its first poll.
    fn page_count(&self) -> usize {
        self.entries().slots.page_count().max(usize::from(self.has_first_poll()))
    }

    fn count(&self, end: &TaskEnd) {
        match end {
            TaskEnd::Finished => self.finished.fetch_add(1, Ordering::Relaxed),
            TaskEnd::Cancelled => self.cancelled.fetch_add(1, Ordering::Relaxed),
            TaskEnd::Failed(_) => 0,
        };
    }
}

/// The index of a task that is in its first poll. The slab has fewer entries.
const IN_FIRST_POLL: u32 = u32::MAX / SHARDS as u32;

/// The place of an entry, until it is removed or its task is pending for the first time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TaskKey(u32);

impl TaskKey {
    #[inline]
    fn new(shard: u8, index: u32) -> Self {
        debug_assert!(index <= IN_FIRST_POLL);
        Self(index * SHARDS as u32 + u32::from(shard))
    }

    #[inline]
    fn shard(self) -> u8 {
        (self.0 % SHARDS as u32) as u8
    }

    #[inline]
    fn index(self) -> u32 {
        self.0 / SHARDS as u32
    }

    #[inline]
    fn is_in_first_poll(self) -> bool {
        self.0 >= IN_FIRST_POLL * SHARDS as u32
    }
}

/// The place that an abort has reached: the next page of entries.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    shard: u8,
    page: usize,
}

/// Returns the index of the shard of this thread, which is the same in each registry.
#[inline]
fn current_shard() -> u8 {
    static THREADS: atomic::AtomicUsize = atomic::AtomicUsize::new(0);
    thread_local! {
        static SHARD: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    SHARD.try_with(|shard| *shard as u8).unwrap_or(0)
}

impl Registry {
    pub(super) fn new(base: Instant) -> Self {
        Self { home: Shard::default(), home_index: current_shard(), others: OnceLock::new(), base }
    }

    #[inline]
    fn shard(&self, index: u8) -> &Shard {
        if index == self.home_index { &self.home } else { self.other_shard(index) }
    }

    #[inline(never)]
    fn other_shard(&self, index: u8) -> &Shard {
        self.others.get_or_init(Box::default)[usize::from(index)].get_or_init(Shard::default)
    }

    /// Returns the shards that have been used, by their index.
    fn shards(&self) -> impl Iterator<Item = (u8, &Shard)> {
        (0..SHARDS as u8).filter_map(|index| match index == self.home_index {
            true => Some((index, &self.home)),
            false => Some((index, self.others.get()?[usize::from(index)].get()?)),
        })
    }

    /// Inserts a task that has a name, or is not in its first poll.
    pub(super) fn insert(
        &self,
        name: Option<TaskName>,
        place: &'static Location<'static>,
        state: State,
    ) -> TaskKey {
        self.insert_entry(TaskEntry::new(name, FirstPoll::new(place, state), self.base))
    }

    fn insert_entry(&self, entry: TaskEntry) -> TaskKey {
        let shard = current_shard();
        let index = self.shard(shard).entries().slots.insert(entry);
        TaskKey::new(shard, index)
    }

    /// Inserts a task without a name that is in its first poll, until that is over: see
    /// [`finish_in_first_poll`](Self::finish_in_first_poll) and [`set_waker`](Self::set_waker).
    #[inline(always)]
    pub(super) fn insert_in_first_poll(&self, first: FirstPoll) -> TaskKey {
        let index = current_shard();
        let shard = self.shard(index);
        let mut entries = shard.entries();
        if shard.has_first_poll() {
            drop(entries);
            return self.insert_beside(first);
        }
        entries.first_poll = Some(first);
        shard.has_first_poll.store(true, Ordering::Relaxed);
        TaskKey::new(index, IN_FIRST_POLL)
    }

    /// Inserts a task that is in its first poll while another one of its shard is.
    #[cold]
    #[inline(never)]
    fn insert_beside(&self, first: FirstPoll) -> TaskKey {
        self.insert_entry(TaskEntry::new(None, first, self.base))
    }

    /// Removes the entry of a task that has finished in its first poll, and counts its end; returns whether it is one.
    #[inline]
    pub(super) fn finish_in_first_poll(&self, key: TaskKey) -> bool {
        if !key.is_in_first_poll() {
            return false;
        }
        let shard = self.shard(key.shard());
        shard.count(&TaskEnd::Finished);
        shard.end_first_poll();
        true
    }

    /// Marks a task that has waited for a slot as running, if `may_begin` under the lock.
    pub(super) fn begin(&self, key: TaskKey, may_begin: impl FnOnce() -> bool) -> bool {
        let now = Instant::now();
        let mut entries = self.shard(key.shard()).entries();
        if !may_begin() {
            return false;
        }
        if key.is_in_first_poll() {
            entries.first_poll.as_mut().map(|first| first.begin(now)).is_some()
        } else {
            let entry = entries.slots.get_mut(key.index());
            entry.map(|entry| entry.begin(self.base, now)).is_some()
        }
    }

    /// Counts a restart of a task that was registered before its first poll.
    pub(super) fn count_restart(&self, key: TaskKey) {
        self.shard(key.shard()).entries().slots.get_mut(key.index()).map(TaskEntry::count_restart);
    }

    /// Stores the waker of a task that is pending for the first time, and returns the new place of its entry.
    pub(super) fn set_waker(&self, key: TaskKey, waker: Waker) -> TaskKey {
        let shard = self.shard(key.shard());
        let mut entries = shard.entries();
        if key.is_in_first_poll()
            && let Some(first) = entries.first_poll.take()
        {
            shard.end_first_poll();
            let mut entry = TaskEntry::new(None, first, self.base);
            entry.set_waker(waker);
            return TaskKey::new(key.shard(), entries.slots.insert(entry));
        }
        if let Some(entry) = entries.slots.get_mut(key.index()) {
            entry.set_waker(waker);
        }
        key
    }

    /// Returns the name of a task that was registered before its first poll.
    pub(super) fn name(&self, key: TaskKey) -> Option<Cow<'static, str>> {
        let mut entries = self.shard(key.shard()).entries();
        entries.slots.get_mut(key.index()).and_then(|entry| entry.name())
    }

    /// Removes the entry of a task that has ended, and counts its end.
    pub(super) fn remove(&self, key: TaskKey, end: &TaskEnd) -> Option<RemovedTask> {
        let shard = self.shard(key.shard());
        let removed = if key.is_in_first_poll() {
            let first = shard.entries().first_poll.take();
            shard.end_first_poll();
            RemovedTask::from(first?)
        } else {
            let entry = shard.entries().slots.remove(key.index());
            entry?.into_removed(self.base)
        };
        if !removed.is_detached() {
            shard.count(end);
        }
        Some(removed)
    }

    /// Returns an outcome for a task with a handle.
    pub(super) fn next_outcome<T: Send + 'static>(&self) -> Outcome<T> {
        self.shard(current_shard()).outcomes.next()
    }

    /// Counts a task that was not spawned, as the group accepts none any more.
    pub(super) fn count_rejected(&self) {
        self.shard(current_shard()).count(&TaskEnd::Cancelled);
    }

    /// Returns how many tasks have finished, and how many were cancelled.
    pub(super) fn counts(&self) -> (usize, usize) {
        self.shards().fold((0, 0), |(finished, cancelled), (_, shard)| {
            let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
            (finished + count(&shard.finished), cancelled + count(&shard.cancelled))
        })
    }

    /// Describes the tasks that are alive, the oldest first.
    pub(super) fn live(&self) -> Vec<TaskInfo> {
        let (now, mut live) = (Instant::now(), Vec::new());
        for (_, shard) in self.shards() {
            let entries = shard.entries();
            let first_poll = entries.first_poll.iter().filter(|_| shard.has_first_poll());
            live.extend(first_poll.map(|first| first.info(now)));
            live.extend(entries.slots.iter().map(|entry| entry.info(self.base, now)));
        }
        live.sort_by_key(|task| Reverse(task.age));
        live
    }

    /// Describes the tasks that are alive, in no particular order, with the numbers of those that have been pending. Holds
    /// the lock of a shard for one chunk at a time.
    #[cfg(feature = "inspect")]
    pub(super) fn inspect(&self, now: Instant) -> Vec<InspectedTask> {
        // Some more may come in each of the shards.
        let expected = self.shards().map(|(_, shard)| shard.entries().slots.live() + SPARE).sum();
        let mut tasks = Vec::with_capacity(expected);
        let nanos = nanos_between(self.base, now);
        for (_, shard) in self.shards() {
            copy_chunks(&mut tasks, 0, |slots, tasks| {
                let entries = shard.entries();
                let all = entries.slots.slot_count();
                let is_last = slots.end >= all;
                tasks.extend(entries.slots.values_in(slots).map(|entry| entry.inspect(nanos)));
                // Behind the slots: a task that moves to one of them meanwhile is not there twice.
                if is_last && shard.has_first_poll() {
                    tasks.extend(entries.first_poll.map(|first| first.inspect(now)));
                }
                all
            });
        }
        tasks
    }

    /// Tells the tasks of one page to abort, 1024 at most, and returns the cursor of the next page if there is one.
    ///
    /// Detached work is left alone.
    pub(super) fn abort_page(
        &self,
        cursor: Cursor,
        filter: fn(State) -> bool,
        panics: &mut FirstPanic,
    ) -> Option<Cursor> {
        let cursor = self.first_page(cursor)?;
        let mut guard = self.shard(cursor.shard).entries();
        let entries = &mut *guard;
        if cursor.page == 0
            && let Some(first) = entries.first_poll.as_mut().filter(|first| filter(first.state()))
        {
            // It has no waker yet.
            first.abort();
        }
        let filter = |entry: &&mut TaskEntry| !entry.is_detached() && filter(entry.state());
        let page = entries.slots.page_mut(cursor.page).filter(filter);
        let wakers: Vec<_> = page.filter_map(TaskEntry::abort).collect();
        drop(guard);
        // To wake a task may drop it here and now, if its runtime is gone; then it takes the lock to be removed.
        panics.wake(wakers);
        self.first_page(Cursor { page: cursor.page + 1, ..cursor })
    }

    /// Returns the first page that there is at or behind a cursor.
    fn first_page(&self, from: Cursor) -> Option<Cursor> {
        let mut pages = self.shards().map(|(index, shard)| {
            let page = if index == from.shard { from.page } else { 0 };
            (Cursor { shard: index, page }, shard.page_count())
        });
        pages.find(|(at, count)| at.shard >= from.shard && at.page < *count).map(|(at, _)| at)
    }
}
