//! The queue of the requests that wait for permits, first in, first out.
//!
//! # How it works
//!
//! A waiter has a [`Key`] from [`WaitQueue::push`] until its future has seen the decision about it, or was dropped:
//!
//! ```text
//! push ──► waiting ──► serve or deny ──► decided ──► claim
//!             └─────────► cancel
//! ```
//!
//! A decision takes the waiter out of the line at once, so that the next one moves up although nobody has been polled.
//! Its entry stays under the key and holds the decision, a grant or a denial, until the future claims it. A future that
//! is dropped meanwhile finds by `claim` whether there is something to return; `cancel` is for one that still waits.
//!
//! The queue belongs to the state of a limiter and is changed under its lock. So it calls no waker: all functions that
//! take a waiter out return it, and the caller wakes or drops it after the lock is released.

#[cfg(feature = "inspect")]
use std::ops::Range;
use std::{mem, task::Waker};

use evenkeel_base::LinkedQueue;

use crate::error::Denied;

/// The name of a waiter, from [`WaitQueue::push`] until [`WaitQueue::claim`] or [`WaitQueue::cancel`].
pub(crate) type Key = usize;

#[derive(Debug)]
pub(crate) struct Waiter<M> {
    pub(crate) permits: u32,
    pub(crate) waker: Waker,
    /// Data of the limiter, opaque to the queue.
    pub(crate) meta: M,
}

/// The waiters in front of a request.
pub(crate) struct QueueAhead<'a> {
    pub(crate) permits: u64,
    /// Whether each of them asks for exactly one permit.
    pub(crate) singles: bool,
    /// The permits of each.
    pub(crate) each: &'a mut dyn Iterator<Item = u32>,
}

/// Waiters with data `M`, and decisions with a grant `G`.
#[derive(Debug)]
pub(crate) struct WaitQueue<M, G = u32> {
    entries: LinkedQueue<Entry<M, G>>,
    /// The waiters that ask for exactly one permit.
    singles: usize,
    /// The permits that the waiters ask for.
    permits: u64,
    /// The waiters that have come so far.
    #[cfg(feature = "inspect")]
    turns: u64,
}

/// The number of the waiters that came before, for a look at a part of them.
#[cfg(feature = "inspect")]
type Arrival = u64;
#[cfg(not(feature = "inspect"))]
#[derive(Debug)]
struct Arrival;

#[derive(Debug)]
enum Entry<M, G> {
    Waiting(Waiter<M>, Arrival),
    /// Granted or denied, and not claimed yet.
    Decided(Result<G, Denied>),
}

impl<M, G: Copy> WaitQueue<M, G> {
    pub(crate) const fn new() -> Self {
        Self {
            entries: LinkedQueue::new(),
            singles: 0,
            permits: 0,
            #[cfg(feature = "inspect")]
            turns: 0,
        }
    }

    /// Returns the number of waiters.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the permits that the waiters ask for.
    pub(crate) fn permits(&self) -> u64 {
        self.permits
    }

    /// Returns whether each waiter asks for exactly one permit.
    pub(crate) fn asks_for_singles(&self) -> bool {
        self.singles == self.len()
    }

    pub(crate) fn waiter(&self, key: Key) -> &Waiter<M> {
        match self.entries.get(key) {
            Entry::Waiting(waiter, _) => waiter,
            Entry::Decided(_) => unreachable!("a key that waits"),
        }
    }

    /// Returns a waiter; its `permits` must not be changed, and a waker that is replaced is dropped after the lock is
    /// released.
    pub(crate) fn waiter_mut(&mut self, key: Key) -> &mut Waiter<M> {
        match self.entries.get_mut(key) {
            Entry::Waiting(waiter, _) => waiter,
            Entry::Decided(_) => unreachable!("a key that waits"),
        }
    }

    /// Returns the waiter with this key, if nothing is decided about it.
    #[cfg(feature = "inspect")]
    pub(crate) fn undecided_mut(&mut self, key: Key) -> Option<&mut Waiter<M>> {
        match self.entries.get_mut(key) {
            Entry::Waiting(waiter, _) => Some(waiter),
            Entry::Decided(_) => None,
        }
    }

    /// Returns the waiter whose turn is next.
    pub(crate) fn front(&self) -> Option<&Waiter<M>> {
        self.entries.front().map(|key| self.waiter(key))
    }

    /// Returns the waiters in the order of their turns.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Waiter<M>> {
        self.entries.iter().map(|(key, _)| self.waiter(key))
    }

    /// Returns the waiters in these entries with their turns, in no particular order.
    #[cfg(feature = "inspect")]
    pub(crate) fn waiters_in(&self, entries: Range<usize>) -> impl Iterator<Item = (Arrival, &Waiter<M>)> {
        self.entries.values_in(entries).filter_map(|entry| match entry {
            Entry::Waiting(waiter, turn) => Some((*turn, waiter)),
            Entry::Decided(_) => None,
        })
    }

    /// Returns the grants in these entries that have not been claimed, in no particular order.
    #[cfg(feature = "inspect")]
    pub(crate) fn grants_in(&self, entries: Range<usize>) -> impl Iterator<Item = G> {
        self.entries.values_in(entries).filter_map(|entry| match entry {
            Entry::Decided(Ok(grant)) => Some(*grant),
            Entry::Waiting(..) | Entry::Decided(Err(_)) => None,
        })
    }

    /// Returns the number of entries, the vacant ones included.
    #[cfg(feature = "inspect")]
    pub(crate) fn entry_count(&self) -> usize {
        self.entries.entry_count()
    }

    pub(crate) fn push(&mut self, waiter: Waiter<M>) -> Key {
        self.permits += u64::from(waiter.permits);
        self.singles += usize::from(waiter.permits == 1);
        let arrival = self.next_arrival();
        self.entries.push_back(Entry::Waiting(waiter, arrival))
    }

    #[cfg(feature = "inspect")]
    fn next_arrival(&mut self) -> Arrival {
        self.turns += 1;
        self.turns
    }

    #[cfg(not(feature = "inspect"))]
    #[expect(clippy::unused_self, reason = "the same method as with the feature")]
    const fn next_arrival(&mut self) -> Arrival {
        Arrival
    }

    /// Grants the first waiter its turn, and returns the waiter, to be woken.
    pub(crate) fn serve(&mut self, grant: G) -> Option<Waiter<M>> {
        self.entries.front().map(|key| self.decide(key, Ok(grant)))
    }

    /// Denies the waiters for which `verdict` is an error, and passes them to `denied`, to be woken. `verdict` is called
    /// with the permits of those that stay in front of the waiter.
    pub(crate) fn deny(
        &mut self,
        mut verdict: impl FnMut(u64, &Waiter<M>) -> Result<(), Denied>,
        mut denied: impl FnMut(Waiter<M>),
    ) {
        let (mut next, mut ahead) = (self.entries.front(), 0);
        while let Some(key) = next {
            next = self.entries.next(key);
            let waiter = self.waiter(key);
            match verdict(ahead, waiter) {
                Ok(()) => ahead += u64::from(waiter.permits),
                Err(error) => denied(self.decide(key, Err(error))),
            }
        }
    }

    /// Takes the wakers of the waiters for which `of` is true, and passes them to `taken`.
    pub(crate) fn take_wakers(&mut self, of: impl Fn(&Waiter<M>) -> bool, mut taken: impl FnMut(Waker)) {
        let mut next = self.entries.front();
        while let Some(key) = next {
            next = self.entries.next(key);
            let waiter = self.waiter_mut(key);
            if of(waiter) {
                taken(mem::replace(&mut waiter.waker, Waker::noop().clone()));
            }
        }
    }

    /// Frees the key of a waiter about which was decided, and returns the decision; `None` if it still waits.
    pub(crate) fn claim(&mut self, key: Key) -> Option<Result<G, Denied>> {
        let Entry::Decided(decision) = *self.entries.get(key) else { return None };
        self.entries.remove(key);
        Some(decision)
    }

    /// Removes a waiter that still waits; those behind it move up.
    pub(crate) fn cancel(&mut self, key: Key) -> Waiter<M> {
        match self.entries.remove(key) {
            Entry::Waiting(waiter, _) => self.leaves(waiter),
            Entry::Decided(_) => unreachable!("a key that waits"),
        }
    }

    /// Takes a waiter out of the line, and keeps the decision under its key.
    fn decide(&mut self, key: Key, decision: Result<G, Denied>) -> Waiter<M> {
        self.entries.unlink(key);
        match mem::replace(self.entries.get_mut(key), Entry::Decided(decision)) {
            Entry::Waiting(waiter, _) => self.leaves(waiter),
            Entry::Decided(_) => unreachable!("a key that waits"),
        }
    }

    fn leaves(&mut self, waiter: Waiter<M>) -> Waiter<M> {
        self.permits -= u64::from(waiter.permits);
        self.singles -= usize::from(waiter.permits == 1);
        waiter
    }
}

#[cfg(test)]
mod tests;
