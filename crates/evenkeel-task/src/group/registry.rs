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
//! tasks end in it. A task that is pending moves to a slot. If the place is taken, because threads share the shard or a
//! task polls another one, a task takes a slot at once.
//!
//! - **Foreign code never runs under a lock.** A waker is cloned before the lock is taken, and moved out of the lock
//!   to be woken or dropped.
//! - **An abort goes page by page**, with a [`Cursor`], and holds the lock of one shard for one page. An entry stays
//!   on its page. A task that is registered behind the cursor meanwhile is not woken by it: it finds the group stopped in
//!   the same poll, before it returns to the runtime.
//! - **The counts lie in the shards, too**: an end is counted where the entry is removed, under the same lock.

use std::{
    cmp::Reverse,
    sync::{
        Mutex, MutexGuard, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
};

use evenkeel_base::{FirstPanic, lock};

use super::task_entry::{State, TaskEnd, TaskEntry, TaskInfo};
use crate::paged_slab::PagedSlab;

const SHARDS: usize = 8;

#[derive(Debug)]
pub(super) struct Registry([OnceLock<Box<Mutex<Shard>>>; SHARDS]);

#[derive(Debug, Default)]
struct Shard {
    entries: PagedSlab<TaskEntry>,
    in_first_poll: Option<TaskEntry>,
    finished: usize,
    cancelled: usize,
}

impl Shard {
    fn get_mut(&mut self, index: u32) -> Option<&mut TaskEntry> {
        if index == IN_FIRST_POLL { self.in_first_poll.as_mut() } else { self.entries.get_mut(index) }
    }

    fn remove(&mut self, index: u32) -> Option<TaskEntry> {
        if index == IN_FIRST_POLL { self.in_first_poll.take() } else { self.entries.remove(index) }
    }

    /// Returns the number of pages to abort; the first one includes the task that is in its first poll.
    fn page_count(&self) -> usize {
        self.entries.page_count().max(usize::from(self.in_first_poll.is_some()))
    }
}

/// The index of a task that is in its first poll. The slab has fewer entries.
const IN_FIRST_POLL: u32 = u32::MAX;

/// The place of an entry, until it is removed or its task is pending for the first time.
#[derive(Clone, Copy, Debug)]
pub(super) struct TaskKey {
    shard: u8,
    index: u32,
}

/// The place that an abort has reached: the next page of entries.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    shard: u8,
    page: usize,
}

/// Returns the index of the shard of this thread, which is the same in each registry.
fn current_shard() -> u8 {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    SHARD.try_with(|shard| *shard as u8).unwrap_or(0)
}

impl Registry {
    pub(super) const fn new() -> Self {
        Self([const { OnceLock::new() }; SHARDS])
    }

    fn shard(&self, shard: u8) -> MutexGuard<'_, Shard> {
        lock(self.0[usize::from(shard)].get_or_init(Box::default))
    }

    fn shards(&self) -> impl Iterator<Item = (u8, MutexGuard<'_, Shard>)> {
        (0..SHARDS as u8)
            .filter(|shard| self.0[usize::from(*shard)].get().is_some())
            .map(|shard| (shard, self.shard(shard)))
    }

    /// Inserts the entry of a task that is not in its first poll.
    pub(super) fn insert(&self, entry: TaskEntry) -> TaskKey {
        let shard = current_shard();
        let index = self.shard(shard).entries.insert(entry);
        TaskKey { shard, index }
    }

    /// Inserts the entry of a task that is in its first poll, until [`set_waker`](Self::set_waker) is called.
    #[inline]
    pub(super) fn insert_in_first_poll(&self, entry: TaskEntry) -> TaskKey {
        let shard = current_shard();
        let mut entries = self.shard(shard);
        let index = if entries.in_first_poll.is_none() {
            entries.in_first_poll = Some(entry);
            IN_FIRST_POLL
        } else {
            entries.entries.insert(entry)
        };
        TaskKey { shard, index }
    }

    /// Changes an entry under the lock: `f` may neither call nor drop foreign code.
    pub(super) fn with<T>(&self, key: TaskKey, f: impl FnOnce(&mut TaskEntry) -> T) -> Option<T> {
        self.shard(key.shard).get_mut(key.index).map(f)
    }

    /// Stores the waker of a task that is pending for the first time, and returns the new place of its entry.
    pub(super) fn set_waker(&self, key: TaskKey, waker: Waker) -> TaskKey {
        let mut shard = self.shard(key.shard);
        if key.index == IN_FIRST_POLL
            && let Some(mut entry) = shard.in_first_poll.take()
        {
            entry.set_waker(waker);
            return TaskKey { index: shard.entries.insert(entry), ..key };
        }
        if let Some(entry) = shard.get_mut(key.index) {
            entry.set_waker(waker);
        }
        key
    }

    /// Removes the entry of a task that has ended, and counts its end.
    pub(super) fn remove(&self, key: TaskKey, end: &TaskEnd) -> Option<TaskEntry> {
        let mut shard = self.shard(key.shard);
        let entry = shard.remove(key.index)?;
        match end {
            _ if entry.is_detached() => {}
            TaskEnd::Finished => shard.finished += 1,
            TaskEnd::Cancelled => shard.cancelled += 1,
            TaskEnd::Failed(_) => {}
        }
        Some(entry)
    }

    /// Counts a task that was not spawned, as the group accepts none any more.
    pub(super) fn count_rejected(&self) {
        self.shard(current_shard()).cancelled += 1;
    }

    /// Returns how many tasks have finished, and how many were cancelled.
    pub(super) fn counts(&self) -> (usize, usize) {
        self.shards().fold((0, 0), |(finished, cancelled), (_, shard)| {
            (finished + shard.finished, cancelled + shard.cancelled)
        })
    }

    /// Describes the tasks that are alive, the oldest first.
    pub(super) fn live(&self) -> Vec<TaskInfo> {
        let mut live = Vec::new();
        for (_, shard) in self.shards() {
            live.extend(shard.entries.iter().chain(&shard.in_first_poll).map(TaskEntry::info));
        }
        live.sort_by_key(|task| Reverse(task.age));
        live
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
        let mut guard = self.shard(cursor.shard);
        let shard = &mut *guard;
        // It has no waker yet.
        let in_first_poll = shard.in_first_poll.as_mut().filter(|_| cursor.page == 0);
        let filter = |entry: &&mut TaskEntry| !entry.is_detached() && filter(entry.state());
        let entries = shard.entries.page_mut(cursor.page).chain(in_first_poll).filter(filter);
        let wakers: Vec<_> = entries.filter_map(TaskEntry::abort).collect();
        drop(guard);
        // To wake a task may drop it here and now, if its runtime is gone; then it takes the lock to be removed.
        panics.wake(wakers);
        self.first_page(Cursor { page: cursor.page + 1, ..cursor })
    }

    /// Returns the first page that there is at or behind a cursor.
    fn first_page(&self, from: Cursor) -> Option<Cursor> {
        let mut pages = self.shards().map(|(shard, entries)| {
            let page = if shard == from.shard { from.page } else { 0 };
            (Cursor { shard, page }, entries.page_count())
        });
        pages.find(|(at, count)| at.shard >= from.shard && at.page < *count).map(|(at, _)| at)
    }
}
