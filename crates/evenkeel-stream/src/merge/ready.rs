//! The inputs of a merge that were woken.
//!
//! Each input has a waker of its own, which adds the input to a list, once, and calls the consumer. So a merge polls
//! only inputs that have something to say, however many there are.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::AcqRel},
    },
    task::{Wake, Waker},
};

use evenkeel_base::lock;

#[derive(Default)]
pub(super) struct ReadyList {
    state: Mutex<Ready>,
}

#[derive(Default)]
struct Ready {
    woken: Vec<usize>,
    // Of the task that polls the merge, until it is called.
    consumer: Option<Waker>,
}

/// The waker of one input.
pub(super) struct InputWaker {
    list: Arc<ReadyList>,
    key: usize,
    // Whether the input stands in a list already.
    is_listed: AtomicBool,
}

impl ReadyList {
    /// Moves the woken inputs over, and has this waker called by the next one.
    pub(super) fn take(&self, woken: &mut VecDeque<usize>, waker: &Waker) {
        let mut clone = None;
        loop {
            let mut state = lock(&self.state);
            if !state.consumer.as_ref().is_some_and(|stored| stored.will_wake(waker)) {
                if clone.is_none() {
                    drop(state);
                    clone = Some(waker.clone());
                    continue;
                }
                // The replaced one is dropped behind the lock.
                mem::swap(&mut state.consumer, &mut clone);
            }
            woken.extend(state.woken.drain(..));
            return;
        }
    }

    /// Calls the consumer.
    pub(super) fn wake(&self) {
        let consumer = lock(&self.state).consumer.take();
        if let Some(waker) = consumer {
            waker.wake();
        }
    }
}

impl InputWaker {
    /// Returns the waker of an input that stands in a list.
    pub(super) fn listed(list: Arc<ReadyList>, key: usize) -> Arc<Self> {
        Arc::new(Self { list, key, is_listed: AtomicBool::new(true) })
    }

    /// Says that the input was taken from its list, to be polled.
    pub(super) fn unlist(&self) {
        self.is_listed.swap(false, AcqRel);
    }

    /// Says that the input is put into a list; returns `false` if it was woken and stands in one.
    pub(super) fn list(&self) -> bool {
        !self.is_listed.swap(true, AcqRel)
    }
}

impl Wake for InputWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.list() {
            lock(&self.list.state).woken.push(self.key);
            self.list.wake();
        }
    }
}
