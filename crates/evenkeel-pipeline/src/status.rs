//! The state of a pipeline that its tasks tell and its handle shows.

use std::sync::{Arc, Mutex};

use evenkeel_base::{error_chain, lock};

use crate::{
    SourceError, Warning,
    edges::{CallPlace, Caller, SourceEdges},
};

/// Errors and warnings, as one of the sources tells them.
#[derive(Clone, Default)]
pub(crate) struct Status {
    state: Arc<Mutex<State>>,
}

/// The part of one source.
pub(crate) struct SourceStatus {
    state: Arc<Mutex<State>>,
    /// Its number, if there are several.
    source: Option<usize>,
    pub(crate) edges: SourceEdges,
}

#[derive(Default)]
struct State {
    warnings: Vec<Warning>,
    errors: u64,
    last_error: Option<String>,
}

impl Status {
    /// Returns the part of a source.
    pub(crate) fn of_source(&self, number: Option<usize>, call: CallPlace) -> SourceStatus {
        SourceStatus { state: Arc::clone(&self.state), source: number, edges: SourceEdges::new(call) }
    }

    pub(crate) fn warnings(&self) -> Vec<Warning> {
        lock(&self.state).warnings.clone()
    }

    pub(crate) fn errors(&self) -> (u64, Option<String>) {
        let state = lock(&self.state);
        (state.errors, state.last_error.clone())
    }
}

impl SourceStatus {
    fn named(&self, text: String) -> String {
        match self.source {
            Some(number) => format!("source {number}: {text}"),
            None => text,
        }
    }

    pub(crate) fn note(&self, error: &SourceError) {
        let text = self.named(error_chain(error));
        let mut state = lock(&self.state);
        state.errors += 1;
        state.last_error = Some(text);
    }

    /// Notes an error of a call that may succeed later.
    pub(crate) fn note_failed(&self, caller: Caller, error: &SourceError) {
        self.note(error);
        self.edges.failed(caller, error);
    }

    pub(crate) fn warn(&self, warnings: Vec<Warning>) {
        let warnings: Vec<_> = match self.source {
            Some(_) => warnings.iter().map(|warning| Warning::new(self.named(warning.to_string()))).collect(),
            None => warnings,
        };
        lock(&self.state).warnings.extend(warnings);
    }
}
