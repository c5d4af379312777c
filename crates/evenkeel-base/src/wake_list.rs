//! Wakers that are woken after a lock is released.

use std::{mem, task::Waker};

use crate::FirstPanic;

/// Wakers that are collected under a lock, and woken on drop: declare the list before the guard of the lock.
///
/// A waker is foreign code and may panic. The others are woken all the same; the first panic goes on afterwards,
/// unless the thread unwinds already.
#[derive(Debug, Default)]
pub struct WakeList(Vec<Waker>);

impl WakeList {
    /// Returns a list without wakers; it does not allocate.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Returns the number of wakers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether the list has no waker.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a waker.
    pub fn push(&mut self, waker: Waker) {
        self.0.push(waker);
    }

    #[inline(never)]
    fn wake_all(&mut self) {
        let mut panics = FirstPanic::default();
        panics.wake(mem::take(&mut self.0));
        panics.resume();
    }
}

impl Drop for WakeList {
    #[inline]
    fn drop(&mut self) {
        if !self.0.is_empty() {
            self.wake_all();
        }
    }
}
