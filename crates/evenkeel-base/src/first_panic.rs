//! Foreign calls that must all be made, though one of them panics.

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    task::Waker,
    thread,
};

/// Makes foreign calls one after the other, and keeps the first panic until the last of them.
///
/// The payloads of further panics are dropped, and that of the first one if it is neither taken nor resumed. A payload
/// that panics when it is dropped ends nothing.
#[derive(Debug, Default)]
#[must_use = "a panic is lost unless it is resumed or taken"]
pub struct FirstPanic(Option<Box<dyn Any + Send>>);

impl FirstPanic {
    /// Makes a call.
    #[inline]
    pub fn catch(&mut self, call: impl FnOnce()) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(call)) {
            self.keep(payload);
        }
    }

    /// Wakes all of these wakers.
    pub fn wake(&mut self, wakers: impl IntoIterator<Item = Waker>) {
        let mut wakers = wakers.into_iter();
        let mut is_done = false;
        // One `catch_unwind` for all; another one for the wakers behind one that panicked.
        while !is_done {
            self.catch(|| {
                wakers.by_ref().for_each(Waker::wake);
                is_done = true;
            });
        }
    }

    /// Drops these values one by one.
    pub fn drop_each<T>(&mut self, values: impl IntoIterator<Item = T>) {
        values.into_iter().for_each(|value| self.catch(|| drop(value)));
    }

    /// Returns the payload of the first panic.
    #[must_use]
    pub fn take(mut self) -> Option<Box<dyn Any + Send>> {
        self.0.take()
    }

    /// Goes on with the first panic, unless the thread unwinds already: a second one would abort the process.
    ///
    /// # Panics
    ///
    /// If a call did.
    #[inline]
    pub fn resume(mut self) {
        if let Some(payload) = self.0.take() {
            resume_unless_panicking(payload);
        }
    }

    #[cold]
    fn keep(&mut self, payload: Box<dyn Any + Send>) {
        match self.0 {
            None => self.0 = Some(payload),
            Some(_) => discard(payload),
        }
    }
}

/// A future that is dropped while it keeps a panic for later may hold one of these.
impl Drop for FirstPanic {
    #[inline]
    fn drop(&mut self) {
        if let Some(payload) = self.0.take() {
            discard(payload);
        }
    }
}

#[cold]
fn resume_unless_panicking(payload: Box<dyn Any + Send>) {
    if !thread::panicking() {
        resume_unwind(payload);
    }
    discard(payload);
}

/// Drops a payload, and catches the panic of its destructor.
#[cold]
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // It may panic with another payload like it, without an end.
        mem::forget(again);
    }
}
