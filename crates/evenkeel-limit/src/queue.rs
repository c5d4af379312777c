//! Those who wait, in the order in which they came.

use std::{mem, task::Waker};

use tokio::runtime::Id;

/// The place of a waiter, from [`Queue::push`] until [`Queue::claim`] or [`Queue::cancel`].
pub(crate) type Key = usize;

/// The places that stay allocated when nobody waits.
const SPARE: usize = 64;

/// One who waits.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) permits: u32,
    pub(crate) waker: Waker,
    /// The runtime in which it waits.
    pub(crate) runtime: Id,
}

/// A doubly linked list in a slab: O(1) to join, to be served, and to leave from anywhere.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    places: Vec<Place>,
    vacant: Option<Key>,
    front: Option<Key>,
    back: Option<Key>,
    len: usize,
    permits: u64,
    /// Places that are not vacant.
    taken: usize,
}

#[derive(Debug)]
enum Place {
    Vacant {
        next: Option<Key>,
    },
    Waiting(Link),
    /// Served, and not yet told.
    Served {
        permits: u32,
    },
}

#[derive(Debug)]
struct Link {
    waiter: Waiter,
    before: Option<Key>,
    behind: Option<Key>,
}

impl Queue {
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

    pub(crate) fn front(&self) -> Option<&Waiter> {
        self.front.map(|key| &self.link(key).waiter)
    }

    pub(crate) fn push(&mut self, waiter: Waiter) -> Key {
        self.len += 1;
        self.taken += 1;
        self.permits += u64::from(waiter.permits);
        let place = Place::Waiting(Link { waiter, before: None, behind: None });
        let key = match self.vacant {
            Some(key) => {
                let Place::Vacant { next } = mem::replace(&mut self.places[key], place) else {
                    unreachable!("a place in the list of vacant ones")
                };
                self.vacant = next;
                key
            }
            None => {
                self.places.push(place);
                self.places.len() - 1
            }
        };
        self.join(self.back, Some(key));
        self.join(Some(key), None);
        key
    }

    /// Takes the first one out of the line; its place is kept until it is claimed.
    pub(crate) fn serve(&mut self) -> Option<Waiter> {
        self.front.map(|key| self.unlink(key))
    }

    /// Replaces the waker of one who waits, and gives the old one.
    pub(crate) fn set_waker(&mut self, key: Key, waker: &Waker) -> Option<Waker> {
        let current = &mut self.link_mut(key).waiter.waker;
        (!current.will_wake(waker)).then(|| mem::replace(current, waker.clone()))
    }

    /// Vacates the place of one who was served, and gives its permits; nothing happens if it still waits.
    pub(crate) fn claim(&mut self, key: Key) -> Option<u32> {
        let Place::Served { permits } = self.places[key] else { return None };
        self.vacate(key);
        Some(permits)
    }

    /// Vacates the place of one who waits; those behind it move up.
    pub(crate) fn cancel(&mut self, key: Key) -> Waiter {
        let waiter = self.unlink(key);
        self.vacate(key);
        waiter
    }

    fn vacate(&mut self, key: Key) {
        self.places[key] = Place::Vacant { next: self.vacant };
        self.vacant = Some(key);
        self.taken -= 1;
        if self.taken == 0 {
            self.places.clear();
            self.places.shrink_to(SPARE);
            self.vacant = None;
        }
    }

    /// Takes one out of the line, which is served by that.
    fn unlink(&mut self, key: Key) -> Waiter {
        let permits = self.link(key).waiter.permits;
        let Place::Waiting(link) = mem::replace(&mut self.places[key], Place::Served { permits }) else {
            unreachable!("a place in the line")
        };
        self.join(link.before, link.behind);
        self.len -= 1;
        self.permits -= u64::from(permits);
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

    fn link(&self, key: Key) -> &Link {
        match &self.places[key] {
            Place::Waiting(link) => link,
            _ => unreachable!("a place in the line"),
        }
    }

    fn link_mut(&mut self, key: Key) -> &mut Link {
        match &mut self.places[key] {
            Place::Waiting(link) => link,
            _ => unreachable!("a place in the line"),
        }
    }
}

#[cfg(test)]
mod tests;
