//! Wakers that are woken after a lock is released.

use std::{mem, task::Waker, thread};

use crate::FirstPanic;

/// Wakers that are collected under a lock, and woken on drop: declare the list before the guard of the lock.
///
/// A waker is foreign code and may panic. The others are woken all the same; the first panic goes on afterwards,
/// unless the thread unwinds already.
#[derive(Debug, Default)]
pub struct WakeList {
    // Most lists have one waker, which needs no allocation.
    first: Option<Waker>,
    others: Vec<Waker>,
}

impl WakeList {
    /// Returns a list without wakers; it does not allocate.
    #[must_use]
    pub const fn new() -> Self {
        Self { first: None, others: Vec::new() }
    }

    /// Returns the number of wakers.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }

    /// Returns whether the list has no waker.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Adds a waker.
    pub fn push(&mut self, waker: Waker) {
        match self.first {
            None => self.first = Some(waker),
            Some(_) => self.others.push(waker),
        }
    }

    #[inline(never)]
    fn wake_all(&mut self) {
        // The panic of an only waker keeps nobody from being woken, and can go on at once.
        if self.others.is_empty() && !thread::panicking() {
            self.first.take().into_iter().for_each(Waker::wake);
            return;
        }
        let mut panics = FirstPanic::default();
        panics.wake(self.first.take().into_iter().chain(mem::take(&mut self.others)));
        panics.resume();
    }
}

impl Drop for WakeList {
    #[inline]
    fn drop(&mut self) {
        if self.first.is_some() {
            self.wake_all();
        }
    }
}
