//! The part that a generator and its yielder share: the yields that wait, first in, first out.
//!
//! # How it works
//!
//! A yield waits with its item until the stream takes it. The stream polls its generator with a waker of its own, this
//! type, which calls the waker of the last poll of the stream. So a yield of the generator itself is told apart from one of
//! another task or of another future of the same task:
//!
//! - **A yield that is added wakes the stream**, unless the stream is polling its generator and looks afterwards anyway.
//! - **A yield that is taken is woken**, unless it has the generator's waker: the next poll of the stream polls it.
//!
//! No foreign code runs under the lock: items and wakers are moved, and dropped and called behind it.

use std::{
    mem,
    sync::{Arc, Mutex},
    task::{Poll, Wake, Waker},
};

use evenkeel_base::{LinkedQueue, WakeList, lock};

pub(super) struct Shared<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    yields: LinkedQueue<WaitingYield<T>>,
    // Of the task that polls the stream, until it is called.
    consumer: Option<Waker>,
    is_polling: bool,
    is_closed: bool,
}

struct WaitingYield<T> {
    // Some until it is taken.
    item: Option<T>,
    waker: Option<Waker>,
}

/// How far a yield has come: its item, or its key among those that wait.
pub(super) enum YieldStage<T> {
    New(T),
    Waiting(usize),
    Ended,
}

impl<T> Shared<T> {
    pub(super) fn new() -> Self {
        let state = State { yields: LinkedQueue::new(), consumer: None, is_polling: false, is_closed: false };
        Self { state: Mutex::new(state) }
    }

    /// Says that the generator is polled next; this waker is called by whatever happens from now on.
    pub(super) fn begin_poll(&self, waker: &Waker) {
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
            state.is_polling = true;
            return;
        }
    }

    /// Says that the generator was polled, and takes the item of the first yield.
    pub(super) fn end_poll(&self, generator: &Waker) -> Option<T> {
        let mut own = None;
        let mut wakes = WakeList::new();
        let mut state = lock(&self.state);
        state.is_polling = false;
        let key = state.yields.front()?;
        state.yields.unlink(key);
        let taken = state.yields.get_mut(key);
        match taken.waker.take() {
            Some(waker) if waker.will_wake(generator) => own = Some(waker),
            waker => waker.into_iter().for_each(|waker| wakes.push(waker)),
        }
        let item = taken.item.take();
        drop(state);
        drop(wakes);
        drop(own);
        item
    }

    /// Ends the stream: all yields return, those that wait as well.
    pub(super) fn close(&self) {
        let mut consumer = None;
        let mut wakes = WakeList::new();
        let mut state = lock(&self.state);
        state.is_closed = true;
        mem::swap(&mut state.consumer, &mut consumer);
        while let Some(key) = state.yields.front() {
            state.yields.unlink(key);
            state.yields.get_mut(key).waker.take().into_iter().for_each(|waker| wakes.push(waker));
        }
        drop(state);
        drop(consumer);
    }

    /// Returns whether the item of a yield was taken, when it was or never will be.
    pub(super) fn poll_yield(&self, stage: &mut YieldStage<T>, waker: &Waker) -> Poll<bool> {
        match mem::replace(stage, YieldStage::Ended) {
            YieldStage::New(item) => self.enter(item, stage, waker),
            YieldStage::Waiting(key) => {
                let poll = self.poll_waiting(key, waker);
                if poll.is_pending() {
                    *stage = YieldStage::Waiting(key);
                }
                poll
            }
            YieldStage::Ended => panic!("polled after it returned its result"),
        }
    }

    fn enter(&self, item: T, stage: &mut YieldStage<T>, waker: &Waker) -> Poll<bool> {
        let waker = Some(waker.clone());
        let mut rejected = None;
        let mut wakes = WakeList::new();
        let mut state = lock(&self.state);
        let waiting = WaitingYield { item: Some(item), waker };
        if state.is_closed {
            rejected = Some(waiting);
        } else {
            *stage = YieldStage::Waiting(state.yields.push_back(waiting));
            if !state.is_polling {
                state.consumer.take().into_iter().for_each(|waker| wakes.push(waker));
            }
        }
        drop(state);
        drop(wakes);
        if rejected.is_some() { Poll::Ready(false) } else { Poll::Pending }
    }

    fn poll_waiting(&self, key: usize, waker: &Waker) -> Poll<bool> {
        let mut clone = None;
        let mut ended = None;
        loop {
            let mut state = lock(&self.state);
            let is_closed = state.is_closed;
            let waiting = state.yields.get_mut(key);
            if waiting.item.is_none() || is_closed {
                ended.replace(state.yields.remove(key));
                drop(state);
                return Poll::Ready(ended.is_some_and(|ended| ended.item.is_none()));
            }
            if waiting.waker.as_ref().is_some_and(|stored| stored.will_wake(waker)) {
                return Poll::Pending;
            }
            if clone.is_some() {
                mem::swap(&mut waiting.waker, &mut clone);
                return Poll::Pending;
            }
            drop(state);
            clone = Some(waker.clone());
        }
    }

    /// Ends a yield that waits; returns what it held.
    pub(super) fn cancel(&self, key: usize) -> impl Sized + use<T> {
        lock(&self.state).yields.remove(key)
    }
}

/// The waker of the generator.
impl<T: Send> Wake for Shared<T> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let consumer = lock(&self.state).consumer.take();
        if let Some(waker) = consumer {
            waker.wake();
        }
    }
}
