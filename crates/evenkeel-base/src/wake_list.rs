//! Wakers that are woken after a lock is released.

use std::{mem, task::Waker, thread};

use crate::FirstPanic;

/// Wakers that are collected under a lock, and woken on drop: declare the list before the guard of the lock.
///
/// A waker is foreign code and may panic. The others are woken all the same; the first panic goes on afterwards,
/// unless the thread unwinds already.
#[derive(Debug, Default)]
pub struct WakeList(Wakers);

/// Most lists have one waker at most, which needs no allocation.
#[derive(Debug, Default)]
enum Wakers {
    #[default]
    None,
    One(Waker),
    Many(Vec<Waker>),
}

impl WakeList {
    /// Returns a list without wakers; it does not allocate.
    #[must_use]
    pub const fn new() -> Self {
        Self(Wakers::None)
    }

    /// Returns the number of wakers.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Wakers::None => 0,
            Wakers::One(_) => 1,
            Wakers::Many(wakers) => wakers.len(),
        }
    }

    /// Returns whether the list has no waker.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Wakers::None)
    }

    /// Adds a waker.
    pub fn push(&mut self, waker: Waker) {
        self.0 = match mem::take(&mut self.0) {
            Wakers::None => Wakers::One(waker),
            Wakers::One(first) => Wakers::Many(vec![first, waker]),
            Wakers::Many(mut wakers) => {
                wakers.push(waker);
                Wakers::Many(wakers)
            }
        };
    }
}

impl Drop for WakeList {
    #[inline]
    fn drop(&mut self) {
        // Taken out, so that nothing is left to be dropped behind.
        match mem::take(&mut self.0) {
            Wakers::None => {}
            wakers => wake_all(wakers),
        }
    }
}

#[inline(never)]
fn wake_all(wakers: Wakers) {
    let mut panics = FirstPanic::default();
    match wakers {
        Wakers::None => {}
        // Its panic keeps nobody else from being woken, and can go on at once.
        Wakers::One(waker) if !thread::panicking() => waker.wake(),
        Wakers::One(waker) => panics.wake([waker]),
        Wakers::Many(wakers) => panics.wake(wakers),
    }
    panics.resume();
}
