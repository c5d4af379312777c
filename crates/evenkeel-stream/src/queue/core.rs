//! The core of a queue: the lock around its state, and the count of finished jobs beside it.
//!
//! # How it works
//!
//! A push and a pop take the lock once if nobody is to be told of them, and more often if somebody is, or if they have to
//! wait: a waker is cloned without the lock, so a step that needs a clone returns nothing, and is repeated with one
//! ([`Caller`]).
//!
//! A job that ends takes no lock. It counts itself in `finished`, whose lowest bit says that somebody waits in
//! [`poll_join`](Core::poll_join). That bit is set in the same atomic step that reads the count, so a job either was
//! counted there, or sees the bit and takes the lock to look whether it was the last one.
//!
//! Invariant: no foreign code runs under the lock. Items and wakers are moved out of it, and dropped and called behind it.

use std::{
    collections::VecDeque,
    mem,
    task::{Poll, Waker},
};

use evenkeel_base::WakeList;

use super::{
    error::PushError,
    loom::{
        AtomicU64, Mutex, MutexGuard,
        Ordering::{AcqRel, Acquire},
        lock,
    },
    snapshot::QueueSnapshot,
    state::{Entry, Key, PushStage, State, WaitingConsumer, WaitingJoin, WaitingProducer},
};
use crate::edges::{CallPlace, WaitRecord};

/// The bit of `finished` that says that somebody waits for the last job.
const WATCHED: u64 = 1;
/// One job in `finished`.
const JOB: u64 = 2;

pub(super) struct Core<T> {
    state: Mutex<State<T>>,
    finished: AtomicU64,
}

impl<T> Core<T> {
    pub(super) fn new(max_items: usize, max_bytes: usize) -> Self {
        Self { state: Mutex::new(State::new(max_items, max_bytes)), finished: AtomicU64::new(0) }
    }

    #[inline]
    pub(super) fn try_push(&self, entry: Entry<T>) -> Result<(), PushError<Entry<T>>> {
        let mut stage = PushStage::New(entry);
        let mut state = lock(&self.state);
        state.push_fast(&mut stage);
        match stage {
            PushStage::New(entry) => self.push_slow(state, entry),
            _ => Ok(()),
        }
    }

    #[inline(never)]
    fn push_slow(&self, state: MutexGuard<'_, State<T>>, entry: Entry<T>) -> Result<(), PushError<Entry<T>>> {
        // Called behind the lock, which `change` releases.
        let mut wakes = WakeList::new();
        self.change(state, &mut wakes, |state, wakes| state.push(entry, wakes))
    }

    /// Adds the item of a push, or waits for room; `Err` has the item, as the queue is closed.
    #[inline]
    pub(super) fn poll_push(
        &self,
        stage: &mut PushStage<T>,
        waker: &Waker,
        call: CallPlace,
    ) -> Poll<Result<(), T>> {
        let mut state = lock(&self.state);
        if state.push_fast(stage) {
            return Poll::Ready(Ok(()));
        }
        self.poll_push_slow(state, stage, waker, call)
    }

    #[inline(never)]
    fn poll_push_slow(
        &self,
        state: MutexGuard<'_, State<T>>,
        stage: &mut PushStage<T>,
        waker: &Waker,
        call: CallPlace,
    ) -> Poll<Result<(), T>> {
        let entry = match mem::replace(stage, PushStage::Ended) {
            PushStage::New(entry) => entry,
            other => {
                drop(state);
                *stage = other;
                return self.poll_waiting_push(stage, waker);
            }
        };
        let entry = match self.push_slow(state, entry) {
            Ok(()) => return Poll::Ready(Ok(())),
            Err(PushError::Closed(entry)) => return Poll::Ready(Err(entry.item)),
            Err(PushError::Full(entry)) => entry,
        };
        // A clone that is not stored is dropped here, behind the lock.
        let (mut waker, wait) = (Some(waker.clone()), (call, WaitRecord::here()));
        self.with(|state, wakes| match state.push(entry, wakes) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(PushError::Closed(entry)) => Poll::Ready(Err(entry.item)),
            Err(PushError::Full(entry)) => {
                let producer = WaitingProducer { entry: Some(entry), waker: waker.take(), wait };
                *stage = PushStage::Waiting(state.waiting_producers.push_back(producer));
                Poll::Pending
            }
        })
    }

    fn poll_waiting_push(&self, stage: &mut PushStage<T>, waker: &Waker) -> Poll<Result<(), T>> {
        let PushStage::Waiting(key) = *stage else { panic!("polled after it returned its result") };
        let mut caller = Caller { waker, clone: None };
        let poll = self.repeat(&mut caller, |state, caller| {
            let is_closed = state.is_closed();
            let producer = state.waiting_producers.get_mut(key);
            if producer.entry.is_some() && !is_closed {
                producer.wait.1.polled_here();
                return caller.store(&mut producer.waker).then_some(Poll::Pending);
            }
            // Its waker was taken.
            let entry = state.waiting_producers.remove(key).entry;
            Some(Poll::Ready(entry.map_or(Ok(()), |entry| Err(entry.item))))
        });
        if poll.is_ready() {
            *stage = PushStage::Ended;
        }
        poll
    }

    /// Returns its numbers, and describes the producers that wait for room.
    #[cfg(feature = "inspect")]
    pub(super) fn inspect(
        &self,
        now: tokio::time::Instant,
    ) -> (QueueSnapshot, Vec<evenkeel_inspect::WaiterEdge>) {
        let finished = self.finished.load(Acquire) / JOB;
        let snapshot = lock(&self.state).snapshot(finished);
        let mut waits = Vec::new();
        evenkeel_inspect::copy_chunks(&mut waits, snapshot.waiting_producers, |entries, waits| {
            let state = lock(&self.state);
            let producers = state.waiting_producers.values_in(entries);
            waits.extend(producers.filter(|producer| producer.entry.is_some()).map(|producer| producer.wait));
            state.waiting_producers.entry_count()
        });
        let mut waiters: Vec<_> =
            waits.into_iter().filter_map(|(call, wait)| wait.edge(call, "room", now)).collect();
        waiters.sort_unstable_by_key(|waiter| waiter.number);
        (snapshot, waiters)
    }

    /// Ends the wait of a push; returns its item if it was not accepted.
    pub(super) fn cancel_push(&self, key: Key) -> Option<T> {
        // The waker is dropped here, behind the lock.
        let producer = self.with(|state, wakes| state.remove_producer(key, wakes));
        producer.entry.map(|entry| entry.item)
    }

    /// Takes an item; `Err` says whether the queue has ended. The caller drops `wakes` behind it.
    #[inline]
    pub(super) fn try_pop(&self, wakes: &mut WakeList) -> Result<Entry<T>, bool> {
        let popped = lock(&self.state).pop_fast();
        popped.map_or_else(|| self.try_pop_slow(wakes), Ok)
    }

    #[inline(never)]
    fn try_pop_slow(&self, wakes: &mut WakeList) -> Result<Entry<T>, bool> {
        self.locked(wakes, |state, wakes| state.pop(wakes).ok_or_else(|| state.has_ended()))
    }

    #[inline]
    pub(super) fn pop_fast(&self) -> Option<Entry<T>> {
        // Each end releases the lock by itself, without a flag of what was found.
        let mut state = lock(&self.state);
        if let Some(entry) = state.pop_fast() {
            return Some(entry);
        }
        drop(state);
        None
    }

    /// Takes an item, `None` after the end, or waits; the key is that of a wait. The caller drops `wakes` behind it.
    #[inline(never)]
    pub(super) fn poll_pop_slow(
        &self,
        waiting: &mut Option<Key>,
        waker: &Waker,
        wakes: &mut WakeList,
    ) -> Poll<Option<Entry<T>>> {
        // A new wait is likely: the fast path has found nothing.
        let mut caller = Caller { waker, clone: waiting.is_none().then(|| waker.clone()) };
        loop {
            let polled = self.locked(wakes, |state, wakes| {
                let popped = match *waiting {
                    Some(key) => state.pop_reserved(key, wakes),
                    None => state.pop(wakes),
                };
                if popped.is_some() || state.has_ended() {
                    if let Some(key) = waiting.take() {
                        // Its waker was taken.
                        state.waiting_consumers.remove(key);
                    }
                    return Some(Poll::Ready(popped));
                }
                match *waiting {
                    Some(key) => caller.store(&mut state.waiting_consumers.get_mut(key).waker),
                    None => match caller.clone.take() {
                        None => false,
                        waker => {
                            let consumer = WaitingConsumer { waker, has_reservation: false };
                            *waiting = Some(state.waiting_consumers.push_back(consumer));
                            true
                        }
                    },
                }
                .then_some(Poll::Pending)
            });
            match polled {
                Some(polled) => return polled,
                None => caller.clone = Some(waker.clone()),
            }
        }
    }

    /// Ends the wait of a pop.
    pub(super) fn cancel_pop(&self, key: Key) {
        drop(self.with(|state, wakes| state.remove_consumer(key, wakes)));
    }

    /// Counts a job as finished.
    #[inline]
    pub(super) fn finish(&self) {
        if self.finished.fetch_add(JOB, AcqRel) & WATCHED != 0 {
            self.finish_watched();
        }
    }

    #[cold]
    fn finish_watched(&self) {
        self.with(|state, _| {
            if state.joins.is_empty() {
                // Left by a wait that was dropped, or did not begin.
                self.finished.fetch_and(!WATCHED, AcqRel);
            }
        });
    }

    /// Puts back the item of a job, which has yet to count as finished.
    pub(super) fn put_back(&self, entry: Entry<T>) {
        self.with(|state, wakes| state.put_back(entry, wakes));
    }

    /// Waits until all items are done, or nobody is left for the rest, whose number is returned.
    pub(super) fn poll_join(&self, waiting: &mut Option<Key>, waker: &Waker) -> Poll<Result<(), usize>> {
        let mut caller = Caller { waker, clone: None };
        self.repeat(&mut caller, |state, caller| {
            if let Some(key) = *waiting {
                let join = state.joins.get_mut(key);
                let Some(outcome) = join.outcome else {
                    return caller.store(&mut join.waker).then_some(Poll::Pending);
                };
                // Its waker was taken.
                state.joins.remove(key);
                *waiting = None;
                return Some(Poll::Ready(outcome));
            }
            // From here on the last job takes the lock, which waits until this call has entered the list.
            let finished = self.finished.fetch_or(WATCHED, AcqRel) / JOB;
            if let Some(outcome) = state.join_outcome(state.taken - finished) {
                return Some(Poll::Ready(outcome));
            }
            let waker = Some(caller.clone.take()?);
            *waiting = Some(state.joins.push_back(WaitingJoin { waker, outcome: None }));
            Some(Poll::Pending)
        })
    }

    /// Ends a wait for all items.
    pub(super) fn cancel_join(&self, key: Key) {
        drop(self.with(|state, _| state.joins.remove(key)));
    }

    pub(super) fn close(&self) {
        self.with(State::close);
    }

    /// Closes the queue, and returns the items that were not taken.
    pub(super) fn stop(&self) -> VecDeque<Entry<T>> {
        self.with(State::stop)
    }

    pub(super) fn add_producer(&self) {
        self.with(|state, _| state.producers += 1);
    }

    /// Removes a handle of a producer; the last one closes the queue.
    pub(super) fn drop_producer(&self) {
        self.with(|state, wakes| {
            state.producers -= 1;
            if state.producers == 0 {
                state.close(wakes);
            }
        });
    }

    pub(super) fn add_consumer(&self) {
        self.with(|state, _| state.consumers += 1);
    }

    /// Removes a handle of a consumer; without one nothing is accepted.
    pub(super) fn drop_consumer(&self) {
        self.with(|state, wakes| {
            state.consumers -= 1;
            if state.consumers == 0 {
                state.close(wakes);
            }
        });
    }

    pub(super) fn snapshot(&self) -> QueueSnapshot {
        lock(&self.state).snapshot(self.finished.load(Acquire) / JOB)
    }

    /// Changes the state, and calls wakers behind the lock.
    fn with<R>(&self, change: impl FnOnce(&mut State<T>, &mut WakeList) -> R) -> R {
        // Declared first, and so dropped last.
        let mut wakes = WakeList::new();
        self.locked(&mut wakes, change)
    }

    /// Changes the state, and tells those that wait for all items.
    fn locked<R>(&self, wakes: &mut WakeList, change: impl FnOnce(&mut State<T>, &mut WakeList) -> R) -> R {
        self.change(lock(&self.state), wakes, change)
    }

    fn change<R>(
        &self,
        mut state: MutexGuard<'_, State<T>>,
        wakes: &mut WakeList,
        change: impl FnOnce(&mut State<T>, &mut WakeList) -> R,
    ) -> R {
        let result = change(&mut state, wakes);
        if !state.joins.is_empty() {
            self.tell_joins(&mut state, wakes);
        }
        state.update_fast();
        result
    }

    /// Takes a step, again with a clone of the waker if it returns nothing.
    fn repeat<'a, R>(
        &self,
        caller: &mut Caller<'a>,
        mut step: impl FnMut(&mut State<T>, &mut Caller<'a>) -> Option<R>,
    ) -> R {
        loop {
            if let Some(result) = self.with(|state, _| step(state, caller)) {
                return result;
            }
            caller.clone = Some(caller.waker.clone());
        }
    }

    #[inline(never)]
    fn tell_joins(&self, state: &mut State<T>, wakes: &mut WakeList) {
        let finished = self.finished.load(Acquire) / JOB;
        let Some(outcome) = state.join_outcome(state.taken - finished) else { return };
        while let Some(key) = state.joins.front() {
            state.joins.unlink(key);
            let join = state.joins.get_mut(key);
            join.outcome = Some(outcome);
            join.waker.take().into_iter().for_each(|waker| wakes.push(waker));
        }
        self.finished.fetch_and(!WATCHED, AcqRel);
    }
}

/// A waker, and its clone, which is made without the lock.
struct Caller<'a> {
    waker: &'a Waker,
    clone: Option<Waker>,
}

impl Caller<'_> {
    /// Stores the clone unless the stored waker does; returns `false` if there is no clone. The replaced waker stays here.
    fn store(&mut self, stored: &mut Option<Waker>) -> bool {
        if stored.as_ref().is_some_and(|stored| stored.will_wake(self.waker)) {
            return true;
        }
        if self.clone.is_some() {
            mem::swap(stored, &mut self.clone);
            return true;
        }
        false
    }
}
