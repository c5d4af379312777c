//! The data behind the lock of a queue.
//!
//! # How it works
//!
//! Items stand in the order in which they were accepted. A producer without room waits with its item: whoever makes room
//! moves the item over, and wakes the producer to learn of it. A consumer without an item waits for a reservation: whoever
//! adds an item reserves one for the consumer at the front, and wakes it. The item itself stays in its place until the
//! consumer takes it, so that a consumer that is dropped meanwhile only passes its reservation on.
//!
//! In most calls nobody waits, and there is nothing to do but to move an item: [`push_fast`](State::push_fast) and
//! [`pop_fast`](State::pop_fast) compare the number of items with one bound for that, and leave all else to the slow path.
//!
//! Invariants, whenever the lock is released:
//! - The bounds let a call pass only if the queue is open, and no producer, consumer or join waits.
//! - No producer waits whose item is next and would fit.
//! - No consumer waits while there are more items than reservations, nor after the end.
//! - There are at most as many reservations as items, except after [`stop`](State::stop) has taken the items.
//!
//! Functions take a [`WakeList`], and run no foreign code: items and wakers are moved, and never dropped.

use std::{collections::VecDeque, mem, task::Waker};

use evenkeel_base::{LinkedQueue, WakeList};

use super::{error::PushError, snapshot::QueueSnapshot};
use crate::edges::{CallPlace, WaitRecord};

/// The items that an empty queue keeps memory for, at most.
const SPARE: usize = 1024;

pub(super) type Key = usize;

/// An item, and its share of the capacity in bytes.
pub(super) struct Entry<T> {
    pub(super) item: T,
    pub(super) size: usize,
}

/// How far a push has come: its item, or its key in the wait queue.
pub(super) enum PushStage<T> {
    New(Entry<T>),
    Waiting(Key),
    Ended,
}

pub(super) struct State<T> {
    max_items: usize,
    max_bytes: u128,
    entries: VecDeque<Entry<T>>,
    bytes: u128,
    pub(super) producers: usize,
    pub(super) consumers: usize,
    pub(super) waiting_producers: LinkedQueue<WaitingProducer<T>>,
    pub(super) waiting_consumers: LinkedQueue<WaitingConsumer>,
    pub(super) joins: LinkedQueue<WaitingJoin>,
    // Items that stand in the queue for a consumer that was woken.
    reserved: usize,
    // If the queue is open and nobody waits, the items below which one more is added, and above which one is taken;
    // bounds that no number of items passes otherwise.
    fast_below: usize,
    fast_above: usize,
    is_closed: bool,
    // Closed, and nothing more is handed out.
    is_stopped: bool,
    pub(super) taken: u64,
    put_back: u64,
    // Items that were returned by `stop`.
    returned: u64,
}

pub(super) struct WaitingProducer<T> {
    // Some while it waits, and if the queue was closed.
    pub(super) entry: Option<Entry<T>>,
    pub(super) waker: Option<Waker>,
    pub(super) wait: (CallPlace, WaitRecord),
}

pub(super) struct WaitingConsumer {
    pub(super) waker: Option<Waker>,
    pub(super) has_reservation: bool,
}

pub(super) struct WaitingJoin {
    pub(super) waker: Option<Waker>,
    pub(super) outcome: Option<Result<(), usize>>,
}

impl<T> State<T> {
    pub(super) fn new(max_items: usize, max_bytes: usize) -> Self {
        Self {
            max_items,
            max_bytes: max_bytes as u128,
            entries: VecDeque::new(),
            bytes: 0,
            producers: 1,
            consumers: 1,
            waiting_producers: LinkedQueue::new(),
            waiting_consumers: LinkedQueue::new(),
            joins: LinkedQueue::new(),
            reserved: 0,
            fast_below: max_items,
            fast_above: 0,
            is_closed: false,
            is_stopped: false,
            taken: 0,
            put_back: 0,
            returned: 0,
        }
    }

    /// Adds the item of a new push at the back, if nobody is to be told of it; returns whether it did.
    #[inline]
    pub(super) fn push_fast(&mut self, push: &mut PushStage<T>) -> bool {
        // The item leaves its place only when it is accepted: most of the cost of a push would be its moves.
        let PushStage::New(Entry { size, .. }) = *push else { return false };
        if self.entries.len() >= self.fast_below || !self.has_bytes(size) {
            return false;
        }
        if let PushStage::New(entry) = mem::replace(push, PushStage::Ended) {
            self.accept(entry);
        }
        true
    }

    /// Takes the item at the front, if nobody is to be told of it.
    #[inline]
    pub(super) fn pop_fast(&mut self) -> Option<Entry<T>> {
        if self.entries.len() <= self.fast_above {
            return None;
        }
        let entry = self.entries.pop_front()?;
        self.remove_bytes(entry.size);
        self.taken += 1;
        self.free_spare();
        Some(entry)
    }

    /// Frees the memory of a burst that is over.
    #[inline]
    fn free_spare(&mut self) {
        if self.entries.is_empty() && self.entries.capacity() > SPARE {
            self.entries.shrink_to(SPARE / 2);
        }
    }

    /// Looks whether anybody waits; called before the lock is released on the slow path.
    pub(super) fn update_fast(&mut self) {
        let is_fast = !self.is_closed
            && self.waiting_producers.is_empty()
            && self.waiting_consumers.is_empty()
            && self.joins.is_empty();
        (self.fast_below, self.fast_above) =
            if is_fast { (self.max_items, self.reserved) } else { (0, usize::MAX) };
    }

    /// Adds an item at the back, if there is room and no producer waits.
    pub(super) fn push(&mut self, entry: Entry<T>, wakes: &mut WakeList) -> Result<(), PushError<Entry<T>>> {
        if self.is_closed {
            return Err(PushError::Closed(entry));
        }
        if !self.waiting_producers.is_empty() || !self.has_room(entry.size) {
            return Err(PushError::Full(entry));
        }
        self.accept(entry);
        self.serve_consumers(wakes);
        Ok(())
    }

    /// Takes the item at the front, unless all are reserved for others.
    pub(super) fn pop(&mut self, wakes: &mut WakeList) -> Option<Entry<T>> {
        if self.is_stopped || self.entries.len() <= self.reserved {
            return None;
        }
        let entry = self.entries.pop_front()?;
        self.remove_bytes(entry.size);
        self.taken += 1;
        self.free_spare();
        if !self.waiting_producers.is_empty() {
            self.serve_producers(wakes);
        }
        if self.entries.is_empty() && self.is_closed {
            self.end_consumers(wakes);
        }
        Some(entry)
    }

    /// Takes the item that is reserved for a waiting consumer; none as long as it waits.
    ///
    /// A consumer that was told the end takes an item that was put back behind it.
    pub(super) fn pop_reserved(&mut self, key: Key, wakes: &mut WakeList) -> Option<Entry<T>> {
        let consumer = self.waiting_consumers.get_mut(key);
        if consumer.waker.is_some() {
            return None;
        }
        if mem::take(&mut consumer.has_reservation) {
            self.reserved -= 1;
        }
        self.pop(wakes)
    }

    /// Returns whether nothing is left for a consumer, now and later.
    pub(super) fn has_ended(&self) -> bool {
        self.is_stopped || self.is_closed && self.entries.is_empty()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Puts an item back that was taken, at the front and also without room.
    pub(super) fn put_back(&mut self, entry: Entry<T>, wakes: &mut WakeList) {
        self.add_bytes(entry.size);
        self.entries.push_front(entry);
        self.put_back += 1;
        self.serve_consumers(wakes);
    }

    /// Removes a producer that waits or was served; returns its item if it was not accepted.
    pub(super) fn remove_producer(&mut self, key: Key, wakes: &mut WakeList) -> WaitingProducer<T> {
        let producer = self.waiting_producers.remove(key);
        // The next one may be smaller.
        self.serve_producers(wakes);
        producer
    }

    /// Removes a consumer that waits or was woken, and passes its reservation on.
    pub(super) fn remove_consumer(&mut self, key: Key, wakes: &mut WakeList) -> WaitingConsumer {
        let consumer = self.waiting_consumers.remove(key);
        if consumer.has_reservation {
            self.reserved -= 1;
            self.serve_consumers(wakes);
        }
        consumer
    }

    /// Accepts no more items; waiting producers keep theirs.
    pub(super) fn close(&mut self, wakes: &mut WakeList) {
        self.is_closed = true;
        while let Some(key) = self.waiting_producers.front() {
            self.waiting_producers.unlink(key);
            self.waiting_producers.get_mut(key).waker.take().into_iter().for_each(|waker| wakes.push(waker));
        }
        if self.has_ended() {
            self.end_consumers(wakes);
        }
    }

    /// Accepts and hands out no more items; returns those that were not taken.
    pub(super) fn stop(&mut self, wakes: &mut WakeList) -> VecDeque<Entry<T>> {
        self.is_stopped = true;
        self.close(wakes);
        self.bytes = 0;
        self.returned += self.entries.len() as u64;
        mem::take(&mut self.entries)
    }

    /// Returns how a wait for all items ends, if it does: `Err` has the number of those that nobody will take.
    pub(super) fn join_outcome(&self, in_flight: u64) -> Option<Result<(), usize>> {
        match self.entries.len() {
            _ if in_flight > 0 => None,
            0 => Some(Ok(())),
            left => (self.is_stopped || self.consumers == 0).then_some(Err(left)),
        }
    }

    pub(super) fn snapshot(&self, finished: u64) -> QueueSnapshot {
        QueueSnapshot {
            items: self.entries.len(),
            bytes: usize::try_from(self.bytes).unwrap_or(usize::MAX),
            // A job that is just being put back has finished a little later.
            in_flight: self.taken.saturating_sub(finished),
            waiting_producers: self.waiting_producers.len(),
            waiting_consumers: self.waiting_consumers.len(),
            // An item that was put back is taken again.
            accepted: (self.taken - self.put_back) + self.returned + self.entries.len() as u64,
            done: finished.saturating_sub(self.put_back),
            is_closed: self.is_closed,
        }
    }

    #[inline]
    fn has_room(&self, size: usize) -> bool {
        self.entries.len() < self.max_items && self.has_bytes(size)
    }

    #[inline]
    fn has_bytes(&self, size: usize) -> bool {
        size == 0 || self.bytes + size as u128 <= self.max_bytes
    }

    // Most queues are not bounded by bytes, and their items have no size.
    #[inline]
    fn add_bytes(&mut self, size: usize) {
        if size != 0 {
            self.bytes += size as u128;
        }
    }

    #[inline]
    fn remove_bytes(&mut self, size: usize) {
        if size != 0 {
            self.bytes -= size as u128;
        }
    }

    #[inline]
    fn accept(&mut self, entry: Entry<T>) {
        self.add_bytes(entry.size);
        self.entries.push_back(entry);
    }

    /// Accepts the items of waiting producers, as long as they fit.
    fn serve_producers(&mut self, wakes: &mut WakeList) {
        while let Some(key) = self.waiting_producers.front() {
            let size = self.waiting_producers.get(key).entry.as_ref().map_or(0, |entry| entry.size);
            if !self.has_room(size) {
                break;
            }
            self.waiting_producers.unlink(key);
            let producer = self.waiting_producers.get_mut(key);
            let (entry, waker) = (producer.entry.take(), producer.waker.take());
            entry.into_iter().for_each(|entry| self.accept(entry));
            waker.into_iter().for_each(|waker| wakes.push(waker));
        }
        self.serve_consumers(wakes);
    }

    /// Reserves items for waiting consumers.
    fn serve_consumers(&mut self, wakes: &mut WakeList) {
        while self.entries.len() > self.reserved
            && !self.is_stopped
            && let Some(key) = self.waiting_consumers.front()
        {
            self.reserved += 1;
            self.waiting_consumers.unlink(key);
            let consumer = self.waiting_consumers.get_mut(key);
            consumer.has_reservation = true;
            consumer.waker.take().into_iter().for_each(|waker| wakes.push(waker));
        }
    }

    /// Wakes all waiting consumers, which find the end.
    fn end_consumers(&mut self, wakes: &mut WakeList) {
        while let Some(key) = self.waiting_consumers.front() {
            self.waiting_consumers.unlink(key);
            let waker = self.waiting_consumers.get_mut(key).waker.take();
            waker.into_iter().for_each(|waker| wakes.push(waker));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, PushStage, SPARE, State, WakeList};

    #[test]
    fn the_memory_of_a_burst_is_freed_behind_it() {
        let mut state = State::new(usize::MAX, usize::MAX);
        for is_fast in [true, false] {
            for item in 0..100_000 {
                assert!(state.push_fast(&mut PushStage::New(Entry { item, size: 0 })));
            }
            for item in 0..100_000 {
                let popped = if is_fast { state.pop_fast() } else { state.pop(&mut WakeList::new()) };
                assert_eq!(popped.unwrap().item, item);
            }
            assert!(state.entries.capacity() <= SPARE);
        }
    }
}
