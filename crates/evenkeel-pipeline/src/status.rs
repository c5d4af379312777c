//! The state of a pipeline that its tasks tell and its handle shows.

use std::sync::Mutex;

use evenkeel_base::{error_chain, lock};
use tokio::time::Instant;

use crate::{SourceError, Warning};

/// The orders of the handle to the tasks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Orders {
    pub(crate) is_paused: bool,
    /// Set with the drain: the instant at which work is aborted.
    pub(crate) drain_by: Option<Instant>,
}

#[derive(Default)]
pub(crate) struct Status {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    warnings: Vec<Warning>,
    errors: u64,
    last_error: Option<String>,
}

impl Status {
    pub(crate) fn note(&self, error: &SourceError) {
        let text = error_chain(error);
        let mut state = lock(&self.state);
        state.errors += 1;
        state.last_error = Some(text);
    }

    pub(crate) fn warn(&self, warnings: Vec<Warning>) {
        lock(&self.state).warnings.extend(warnings);
    }

    pub(crate) fn warnings(&self) -> Vec<Warning> {
        lock(&self.state).warnings.clone()
    }

    pub(crate) fn errors(&self) -> (u64, Option<String>) {
        let state = lock(&self.state);
        (state.errors, state.last_error.clone())
    }
}
