//! Waits for an answer of another process.
//!
//! The handler of a call puts the [`Answer`], and the future of the call has a [`Wait`] for it. The call begins with the first poll of
//! that future, and not when the world is idle. The owner of a `Wait` says in its `Drop` what becomes of a call that is left.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use evenkeel_base::lock;
use serde_json::{Value, json};

use super::session::Session;

/// The answer, and the waker of the future that waits for it.
pub(super) struct Answer<T>(Mutex<State<T>>);

struct State<T> {
    answer: Option<T>,
    waker: Option<Waker>,
}

impl<T> Default for Answer<T> {
    fn default() -> Self {
        Self(Mutex::new(State { answer: None, waker: None }))
    }
}

impl<T> Answer<T> {
    /// Puts the answer. It wakes nobody.
    pub(super) fn put(&self, answer: T) {
        let old = lock(&self.0).answer.replace(answer);
        drop(old);
    }

    pub(super) fn wake(&self) {
        let waker = lock(&self.0).waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn is_there(&self) -> bool {
        lock(&self.0).answer.is_some()
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<T> {
        let waker = cx.waker().clone();
        let (answer, unused) = {
            let mut state = lock(&self.0);
            match state.answer.take() {
                Some(answer) => (Poll::Ready(answer), [state.waker.take(), Some(waker)]),
                None => (Poll::Pending, [state.waker.replace(waker), None]),
            }
        };
        drop(unused);
        answer
    }

    fn take(&self) -> Option<T> {
        let (answer, waker) = {
            let mut state = lock(&self.0);
            (state.answer.take(), state.waker.take())
        };
        drop(waker);
        answer
    }
}

/// The wait of a future for its answer.
pub(super) struct Wait<T> {
    session: Arc<Session>,
    id: u64,
    answer: Arc<Answer<T>>,
    has_started: bool,
    has_ended: bool,
}

impl<T> Wait<T> {
    pub(super) const fn new(session: Arc<Session>, id: u64, answer: Arc<Answer<T>>) -> Self {
        Self { session, id, answer, has_started: false, has_ended: false }
    }

    pub(super) const fn session(&self) -> &Arc<Session> {
        &self.session
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    /// The future has returned the answer.
    pub(super) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The answer is there, and the future has not returned it.
    pub(super) fn is_answered(&self) -> bool {
        self.answer.is_there()
    }

    /// # Panics
    /// If the adapter was found wanting.
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<T> {
        self.poll_by(cx, |id| json!({"do": "start", "id": id}))
    }

    /// As [`poll`](Self::poll), with another message that starts the call.
    ///
    /// # Panics
    /// If the adapter was found wanting.
    pub(super) fn poll_by(&mut self, cx: &Context<'_>, start: impl FnOnce(u64) -> Value) -> Poll<T> {
        let link = &self.session.link;
        if link.is_broken() {
            link.unwind();
        }
        if !std::mem::replace(&mut self.has_started, true) {
            link.send_now(start(self.id));
        }
        let polled = self.answer.poll(cx);
        self.has_ended |= polled.is_ready();
        polled
    }

    /// Waits no longer. Returns the answer that the future has not returned.
    pub(super) fn leave(&mut self) -> Option<T> {
        self.answer.take()
    }
}
