//! The lock over the state of a map.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use evenkeel_base::lock;
use futures_core::Stream;

use super::{source::Source, state::State};
use crate::edges::CallPlace;

type MapState<S, V, T, E> = State<Box<Source<S, V, E>>, V, T, E>;

/// The part of a map that its consumer and its workers share.
pub(super) struct Shared<S: Stream, V, T, E> {
    state: Mutex<MapState<S, V, T, E>>,
    /// Set with the failure, so that the consumer sees it without the lock.
    failed: AtomicBool,
    /// Whether the consumer waits for the budget of its task. Only for workers that share its thread, so no lock is needed.
    without_budget: AtomicBool,
    /// The place of the call that made the map.
    #[cfg(feature = "inspect")]
    pub(super) call: CallPlace,
}

impl<S: Stream, V, T, E> Shared<S, V, T, E> {
    pub(super) fn new(limit: usize, _call: CallPlace) -> Self {
        Self {
            #[cfg(feature = "inspect")]
            call: _call,
            state: Mutex::new(State::new(limit)),
            failed: AtomicBool::new(false),
            without_budget: AtomicBool::new(false),
        }
    }

    #[inline]
    pub(super) fn with<R>(&self, step: impl FnOnce(&mut MapState<S, V, T, E>) -> R) -> R {
        let mut state = lock(&self.state);
        let result = step(&mut state);
        if state.has_failed() {
            self.failed.store(true, Relaxed);
        }
        result
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    #[inline]
    pub(super) fn is_without_budget(&self) -> bool {
        self.without_budget.load(Relaxed)
    }

    pub(super) fn set_without_budget(&self, without_budget: bool) {
        self.without_budget.store(without_budget, Relaxed);
    }
}
