//! Those who wait, in the order in which they came.

use std::{mem, task::Waker};

use crate::error::Denied;

/// The place of a waiter, from [`WaitQueue::push`] until [`WaitQueue::claim`] or [`WaitQueue::cancel`].
pub(crate) type Key = usize;

/// The places that stay allocated when nobody waits.
const SPARE: usize = 64;

/// One who waits.
#[derive(Debug)]
pub(crate) struct Waiter<N> {
    pub(crate) permits: u32,
    pub(crate) waker: Waker,
    /// What else is to be known of it.
    pub(crate) meta: N,
}

/// A doubly linked list in a slab: O(1) to join, to be served, and to leave from anywhere.
///
/// Who is served is told what it is granted, a `G`.
#[derive(Debug)]
pub(crate) struct WaitQueue<N, G = u32> {
    slots: Vec<Slot<N, G>>,
    vacant: Option<Key>,
    front: Option<Key>,
    back: Option<Key>,
    len: usize,
    /// How many of them have asked for exactly one.
    singles: usize,
    permits: u64,
    /// Places that are not vacant.
    taken: usize,
}

#[derive(Debug)]
enum Slot<N, G> {
    Vacant {
        next: Option<Key>,
    },
    Waiting(Link<N>),
    /// Served with its permits or refused, and not yet told.
    Decided(Result<G, Denied>),
}

#[derive(Debug)]
struct Link<N> {
    waiter: Waiter<N>,
    before: Option<Key>,
    behind: Option<Key>,
}

impl<N, G: Copy> WaitQueue<N, G> {
    pub(crate) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            vacant: None,
            front: None,
            back: None,
            len: 0,
            singles: 0,
            permits: 0,
            taken: 0,
        }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many permits those who wait have asked for.
    pub(crate) fn permits(&self) -> u64 {
        self.permits
    }

    /// Whether each of those who wait has asked for exactly one permit.
    pub(crate) fn asks_for_singles(&self) -> bool {
        self.singles == self.len
    }

    /// One who waits.
    pub(crate) fn waiter(&self, key: Key) -> &Waiter<N> {
        &self.link(key).waiter
    }

    /// One who waits; not to be given other permits.
    pub(crate) fn waiter_mut(&mut self, key: Key) -> &mut Waiter<N> {
        &mut self.link_mut(key).waiter
    }

    pub(crate) fn front(&self) -> Option<&Waiter<N>> {
        self.front.map(|key| &self.link(key).waiter)
    }

    /// Those who wait, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Waiter<N>> {
        let behind = |key: &Key| self.link(*key).behind;
        std::iter::successors(self.front, behind).map(|key| &self.link(key).waiter)
    }

    pub(crate) fn push(&mut self, waiter: Waiter<N>) -> Key {
        self.len += 1;
        self.taken += 1;
        self.permits += u64::from(waiter.permits);
        self.singles += usize::from(waiter.permits == 1);
        let slot = Slot::Waiting(Link { waiter, before: None, behind: None });
        let key = match self.vacant {
            Some(key) => {
                let Slot::Vacant { next } = mem::replace(&mut self.slots[key], slot) else {
                    unreachable!("a slot in the list of vacant ones")
                };
                self.vacant = next;
                key
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        self.join(self.back, Some(key));
        self.join(Some(key), None);
        key
    }

    /// Takes the first one out of the line with what it is granted; its place is kept until it is claimed.
    pub(crate) fn serve(&mut self, granted: G) -> Option<Waiter<N>> {
        self.front.map(|key| {
            let waiter = self.unlink(key);
            self.slots[key] = Slot::Decided(Ok(granted));
            waiter
        })
    }

    /// Takes out those for whom `verdict` is a refusal, and gives them to `refused`; it is told how many permits
    /// those before them have asked for.
    pub(crate) fn refuse(
        &mut self,
        mut verdict: impl FnMut(u64, &Waiter<N>) -> Result<(), Denied>,
        mut refused: impl FnMut(Waiter<N>),
    ) {
        let (mut next, mut before) = (self.front, 0);
        while let Some(key) = next {
            let link = self.link(key);
            next = link.behind;
            match verdict(before, &link.waiter) {
                Ok(()) => before += u64::from(link.waiter.permits),
                Err(denied) => {
                    refused(self.unlink(key));
                    self.slots[key] = Slot::Decided(Err(denied));
                }
            }
        }
    }

    /// Replaces the waker of one who waits, and gives the old one.
    pub(crate) fn replace_waker(&mut self, key: Key, waker: Waker) -> Waker {
        mem::replace(&mut self.link_mut(key).waiter.waker, waker)
    }

    /// Takes the wakers of some of those who wait, and gives them to `taken`.
    pub(crate) fn take_wakers(&mut self, of: impl Fn(&Waiter<N>) -> bool, mut taken: impl FnMut(Waker)) {
        let mut next = self.front;
        while let Some(key) = next {
            let link = self.link_mut(key);
            next = link.behind;
            if of(&link.waiter) {
                taken(mem::replace(&mut link.waiter.waker, Waker::noop().clone()));
            }
        }
    }

    /// Vacates the place of one who was served or refused, and tells; nothing happens if it still waits.
    pub(crate) fn claim(&mut self, key: Key) -> Option<Result<G, Denied>> {
        let Slot::Decided(decision) = self.slots[key] else { return None };
        self.vacate(key);
        Some(decision)
    }

    /// Vacates the place of one who waits; those behind it move up.
    pub(crate) fn cancel(&mut self, key: Key) -> Waiter<N> {
        let waiter = self.unlink(key);
        self.vacate(key);
        waiter
    }

    fn vacate(&mut self, key: Key) {
        self.slots[key] = Slot::Vacant { next: self.vacant };
        self.vacant = Some(key);
        self.taken -= 1;
        if self.taken == 0 {
            self.slots.clear();
            self.slots.shrink_to(SPARE);
            self.vacant = None;
        }
    }

    /// Takes one out of the line; its place is to be decided or vacated.
    fn unlink(&mut self, key: Key) -> Waiter<N> {
        let Slot::Waiting(link) = mem::replace(&mut self.slots[key], Slot::Vacant { next: None }) else {
            unreachable!("a slot in the line")
        };
        self.join(link.before, link.behind);
        self.len -= 1;
        self.permits -= u64::from(link.waiter.permits);
        self.singles -= usize::from(link.waiter.permits == 1);
        link.waiter
    }

    /// Makes two places, or ends of the line, neighbours.
    fn join(&mut self, before: Option<Key>, behind: Option<Key>) {
        match before {
            Some(key) => self.link_mut(key).behind = behind,
            None => self.front = behind,
        }
        match behind {
            Some(key) => self.link_mut(key).before = before,
            None => self.back = before,
        }
    }

    fn link(&self, key: Key) -> &Link<N> {
        match &self.slots[key] {
            Slot::Waiting(link) => link,
            _ => unreachable!("a slot in the line"),
        }
    }

    fn link_mut(&mut self, key: Key) -> &mut Link<N> {
        match &mut self.slots[key] {
            Slot::Waiting(link) => link,
            _ => unreachable!("a slot in the line"),
        }
    }
}

#[cfg(test)]
mod tests;
