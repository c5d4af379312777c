//! The progress of the attempts to connect that are under way, for the errors of callers that run out of time.

use std::{
    fmt::Write,
    sync::{Arc, Mutex},
};

use evenkeel_base::lock;
use tokio::time::Instant;

use super::error::HostError;

/// The attempts under way, the oldest first.
#[derive(Default)]
pub(crate) struct ConnectProgress {
    attempts: Mutex<Vec<Arc<AttemptProgress>>>,
}

/// The progress of one attempt: the hosts that it has tried so far.
#[derive(Default)]
pub(crate) struct AttemptProgress {
    steps: Mutex<Vec<(String, StepState)>>,
}

enum StepState {
    Begun(Instant),
    Failed(String),
    /// A name was resolved; its addresses are steps of their own.
    Done,
}

/// An attempt, which is under way until this guard is dropped.
pub(crate) struct AttemptGuard<'a> {
    all: &'a ConnectProgress,
    pub(crate) attempt: Arc<AttemptProgress>,
}

impl ConnectProgress {
    pub(crate) fn begin(&self) -> AttemptGuard<'_> {
        let attempt = Arc::<AttemptProgress>::default();
        lock(&self.attempts).push(Arc::clone(&attempt));
        AttemptGuard { all: self, attempt }
    }

    /// Describes the oldest attempt so far.
    pub(crate) fn describe_oldest(&self) -> Option<String> {
        let now = Instant::now();
        let attempt = Arc::clone(lock(&self.attempts).first()?);
        let mut text = String::new();
        for (host, state) in &*lock(&attempt.steps) {
            let begin = if text.is_empty() { "no connection to " } else { "; nor to " };
            // Writing to a string does not fail.
            let _ = match state {
                StepState::Begun(begun) => {
                    let time = now.saturating_duration_since(*begun);
                    write!(text, "{begin}{host}: no answer within {time:?}")
                }
                StepState::Failed(why) => write!(text, "{begin}{host}: {why}"),
                StepState::Done => Ok(()),
            };
        }
        Some(text).filter(|text| !text.is_empty())
    }
}

impl AttemptProgress {
    /// Begins to try a host, and returns the index of this step.
    pub(crate) fn begin(&self, host: String) -> usize {
        let now = Instant::now();
        let mut steps = lock(&self.steps);
        steps.push((host, StepState::Begun(now)));
        steps.len() - 1
    }

    /// Records the failure of a step, and returns it as the errors of its host.
    pub(crate) fn failed(&self, step: usize, error: HostError) -> Vec<HostError> {
        let text = error.chain();
        lock(&self.steps)[step].1 = StepState::Failed(text);
        vec![error]
    }

    pub(crate) fn done(&self, step: usize) {
        lock(&self.steps)[step].1 = StepState::Done;
    }
}

impl Drop for AttemptGuard<'_> {
    fn drop(&mut self) {
        lock(&self.all.attempts).retain(|attempt| !Arc::ptr_eq(attempt, &self.attempt));
    }
}
