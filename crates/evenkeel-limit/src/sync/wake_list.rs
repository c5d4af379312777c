//! Wakers that are called when no lock is held.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    task::Waker,
    thread,
};

/// Wakers that were collected under a lock, and are called when this is dropped: declare it before the guard.
///
/// A waker is code of others and may panic. All of the others are called all the same; the first panic goes on
/// afterwards, unless the thread unwinds already.
#[derive(Debug)]
pub(crate) struct WakeList(Vec<Waker>);

impl WakeList {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn push(&mut self, waker: Waker) {
        self.0.push(waker);
    }

    #[inline(never)]
    fn wake_all(&mut self) {
        let mut first = None;
        for waker in mem::take(&mut self.0) {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                first.get_or_insert(panic);
            }
        }
        if let Some(panic) = first.filter(|_| !thread::panicking()) {
            resume_unwind(panic);
        }
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

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::Relaxed},
        },
        task::Wake,
    };

    use super::*;

    struct Panics(AtomicUsize);

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
            panic!("a waker that panics");
        }
    }

    #[test]
    fn every_waker_is_called_though_each_panics() {
        let panics = Arc::new(Panics(AtomicUsize::new(0)));
        let list = || {
            let mut list = WakeList::new();
            (0..3).for_each(|_| list.push(Arc::clone(&panics).into()));
            list
        };
        let panic = catch_unwind(AssertUnwindSafe(|| drop(list()))).expect_err("it goes on");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"a waker that panics"));
        assert_eq!(panics.0.load(Relaxed), 3);

        // A panic that goes on already is not replaced, and nothing aborts.
        let unwinding = AssertUnwindSafe(|| {
            let _list = list();
            panic!("first");
        });
        let panic = catch_unwind(unwinding).expect_err("it goes on");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"first"));
        assert_eq!(panics.0.load(Relaxed), 6);
    }
}
