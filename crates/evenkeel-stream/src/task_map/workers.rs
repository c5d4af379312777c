//! The workers of a map: those that are parked, and how many are on their way to an item.

#[cfg(feature = "inspect")]
use std::ops::Range;
use std::task::Waker;

use evenkeel_base::Slab;
use tokio::task::AbortHandle;

use crate::edges::ItemEdge;

/// A call to make when the lock is gone, so that a worker comes for an item.
#[derive(Debug)]
#[must_use = "without the call no worker comes"]
pub(super) enum Call {
    /// Enough workers are on their way.
    None,
    Wake(Waker),
    /// Spawns a worker under this key.
    Spawn(usize),
}

/// The workers of a map, at most as many as its limit.
#[derive(Debug)]
pub(super) struct WorkerSet {
    limit: usize,
    /// The number of threads that can run a worker each.
    threads: usize,
    entries: Slab<Entry>,
    /// The number of workers that have not ended.
    alive: usize,
    /// The parked workers; the one that parked last is woken first, as its memory is still cached.
    parked: Vec<(usize, Waker)>,
    /// The number of workers that were woken or spawned, or have yielded, and were not polled since.
    coming: usize,
    /// The worker that took the last item.
    active: Option<usize>,
    /// The worker that stands by; it is one of those that have yielded, and calls others when it takes an item.
    standby: Option<usize>,
}

#[derive(Debug)]
struct Entry {
    abort: Option<AbortHandle>,
    is_parked: bool,
    /// Set if the worker ended before its handle was stored.
    has_ended: bool,
    /// For dumps: set when an item of it is pending for the first time.
    item: ItemEdge,
}

impl WorkerSet {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            threads: 1,
            entries: Slab::new(),
            alive: 0,
            parked: Vec::new(),
            coming: 0,
            active: None,
            standby: None,
        }
    }

    /// Returns the number of workers that have not ended.
    pub(super) fn alive(&self) -> usize {
        self.alive
    }

    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    /// Returns whether each thread has a worker on its way to it.
    ///
    /// A thread keeps the task that was woken last to itself, and may be blocked by an item meanwhile. Of as many workers as
    /// there are threads, one is not kept by a blocked thread. Nor is a worker that has yielded: any thread may take it.
    pub(super) fn reach_all_threads(&self) -> bool {
        self.coming >= self.threads || self.standby.is_some()
    }

    /// Calls another worker, unless enough are on their way for this much work.
    #[inline]
    pub(super) fn call(&mut self, work: usize) -> Call {
        if self.coming >= work.min(self.threads) || self.standby.is_some() {
            Call::None
        } else {
            self.call_another()
        }
    }

    pub(super) fn call_another(&mut self) -> Call {
        if let Some(waker) = self.unpark() {
            return Call::Wake(waker);
        }
        if self.alive < self.limit {
            self.coming += 1;
            self.alive += 1;
            return Call::Spawn(self.entries.insert(Entry {
                abort: None,
                is_parked: false,
                has_ended: false,
                item: ItemEdge::none(),
            }));
        }
        Call::None
    }

    /// Returns the waker of a parked worker, which is on its way from here on.
    fn unpark(&mut self) -> Option<Waker> {
        let (key, waker) = self.parked.pop()?;
        self.coming += 1;
        if let Some(entry) = self.entries.get_mut(key) {
            entry.is_parked = false;
        }
        Some(waker)
    }

    /// Stores the handle of a worker that was spawned; returns it if the worker has ended already.
    pub(super) fn spawned(&mut self, key: usize, abort: AbortHandle, threads: usize) -> Option<AbortHandle> {
        self.threads = threads;
        match self.entries.get_mut(key) {
            Some(entry) if !entry.has_ended => entry.abort.replace(abort),
            _ => {
                self.entries.remove(key);
                Some(abort)
            }
        }
    }

    /// Takes back a worker that could not be spawned.
    pub(super) fn not_spawned(&mut self, key: usize) {
        self.coming -= 1;
        self.alive -= 1;
        self.entries.remove(key);
    }

    /// Notes that a worker is polled; returns false if it is parked and nobody called it.
    pub(super) fn arrive(&mut self, key: usize) -> bool {
        let was_called = self.entries.get(key).is_some_and(|entry| !entry.is_parked);
        if was_called {
            self.coming -= 1;
        }
        was_called
    }

    /// Notes that a worker will be polled again soon.
    pub(super) fn yields(&mut self) {
        self.coming += 1;
    }

    /// Sets the edge of a worker.
    #[inline]
    pub(super) fn set_item(&mut self, key: usize, item: ItemEdge) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.item = item;
        }
    }

    /// Returns the edges of these workers.
    #[cfg(feature = "inspect")]
    pub(super) fn items_in(&self, entries: Range<usize>) -> impl Iterator<Item = &ItemEdge> {
        self.entries.values_in(entries).map(|entry| &entry.item)
    }

    /// Returns the number of entries of workers, the vacant ones included.
    #[cfg(feature = "inspect")]
    pub(super) fn entry_count(&self) -> usize {
        self.entries.entry_count()
    }

    #[cfg(feature = "inspect")]
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn takes_item(&mut self, key: usize) {
        self.active = Some(key);
    }

    /// Returns whether another worker took the last item.
    pub(super) fn may_stand_by(&self, key: usize) -> bool {
        self.active.is_some_and(|active| active != key)
    }

    /// Makes this worker the one that stands by, which yields; returns false if another one is.
    pub(super) fn stands_by(&mut self, key: usize) -> bool {
        let stands_by = *self.standby.get_or_insert(key) == key;
        if stands_by {
            self.yields();
        }
        stands_by
    }

    /// Notes that this worker, if it stood by, looks for an item.
    pub(super) fn stands_by_no_more(&mut self, key: usize) {
        self.standby.take_if(|standby| *standby == key);
    }

    pub(super) fn park(&mut self, key: usize, waker: Waker) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.is_parked = true;
            self.parked.push((key, waker));
        }
    }

    /// Removes a worker that ends or is dropped; returns its handle and its waker, to be dropped without the lock.
    ///
    /// `is_waiting` says that it is parked or on its way.
    pub(super) fn remove(&mut self, key: usize, is_waiting: bool) -> impl Sized + use<> {
        self.stands_by_no_more(key);
        let is_parked = is_waiting && !self.arrive(key);
        let place = self.parked.iter().position(|(parked, _)| is_parked && *parked == key);
        let parked = place.map(|place| self.parked.remove(place));
        self.alive -= 1;
        let entry = self.entries.get_mut(key);
        let entry = match entry {
            // The handle is stored by the spawner, under this key.
            Some(entry) if entry.abort.is_none() => {
                entry.has_ended = true;
                None
            }
            _ => self.entries.remove(key),
        };
        (entry, parked)
    }

    /// Returns the handles of all workers.
    pub(super) fn take_handles(&mut self) -> Vec<AbortHandle> {
        self.entries.iter_mut().filter_map(|entry| entry.abort.take()).collect()
    }

    #[cfg(test)]
    pub(super) fn set_threads(&mut self, threads: usize) {
        self.threads = threads;
    }

    /// Takes the waker of a parked worker, as an abort would wake it.
    #[cfg(test)]
    pub(super) fn take_parked(&mut self) -> Option<Waker> {
        self.unpark()
    }
}
