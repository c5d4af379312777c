//! The orders to a worker, and the numbers that it tells.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use evenkeel_tck::pipeline::Snapshot;
use tokio::{sync::Notify, time::Instant};

use super::Fault;

#[derive(Clone, Copy, Default)]
pub(super) struct State {
    pub(super) is_paused: bool,
    /// The number of the source that is deleted.
    pub(super) deleted: Option<usize>,
    pub(super) paused_until: Option<Instant>,
    pub(super) limit: Option<usize>,
    /// It replaces the limit at the next end of a run.
    pub(super) later_limit: Option<usize>,
    pub(super) drain_by: Option<Instant>,
    pub(super) cut_until: Option<Instant>,
    pub(super) lost_until: Option<Instant>,
    snapshot: Snapshot,
}

pub(super) struct Orders {
    state: Mutex<State>,
    pub(super) changed: Notify,
}

impl Orders {
    pub(super) fn new(limit: Option<usize>) -> Self {
        let state = State { limit, ..State::default() };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    pub(super) fn get(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes an order, and tells the worker.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    pub(super) fn drain(&self, within: Duration) {
        self.change(|state| state.drain_by = Some(Instant::now() + within));
    }

    pub(super) fn cut(&self, time: Duration) {
        self.change(|state| state.cut_until = Some(Instant::now() + time));
    }

    pub(super) fn resume_late(&self) {
        self.change(|state| {
            state.is_paused = false;
            state.paused_until = Some(Instant::now() + Duration::from_secs(1));
        });
    }

    pub(super) fn set_limit(&self, limit: usize, fault: Fault) {
        self.change(|state| match fault {
            Fault::RaisesLate if state.limit < Some(limit) => state.later_limit = Some(limit),
            Fault::NeverLowers if state.limit > Some(limit) => {}
            _ => state.limit = Some(limit),
        });
    }

    /// A run has ended.
    pub(super) fn apply_later_limit(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(limit) = state.later_limit.take() {
            state.limit = Some(limit);
        }
    }

    pub(super) fn tell(&self, snapshot: Snapshot) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).snapshot = snapshot;
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.get().snapshot
    }
}

impl State {
    pub(super) fn is_cut(&self) -> bool {
        self.cut_until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether the answers of the server are lost.
    pub(super) fn loses_answers(&self) -> bool {
        self.lost_until.is_some_and(|until| Instant::now() < until)
    }

    pub(super) fn holds_pulls(&self) -> bool {
        self.is_paused || self.paused_until.is_some_and(|until| Instant::now() < until)
    }
}
