//! The progress of the attempts to connect that are under way, for the errors of callers that run out of time.

use std::{
    fmt::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_base::lock;
use tokio::time::{Instant, timeout};

use super::error::{ConnectReason, HostError};

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
    /// A name was resolved, whose addresses are steps of their own; or the server has answered.
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
    /// Tries a host for a limited time, and records the progress.
    pub(crate) async fn step<T>(
        &self,
        host: String,
        limit: Duration,
        attempt: impl Future<Output = Result<T, ConnectReason>>,
    ) -> Result<T, Vec<HostError>> {
        let now = Instant::now();
        let step = {
            let mut steps = lock(&self.steps);
            steps.push((host.clone(), StepState::Begun(now)));
            steps.len() - 1
        };
        let result = timeout(limit, attempt).await.unwrap_or(Err(ConnectReason::NoAnswer(limit)));
        let result = result.map_err(|reason| HostError::new(host, reason));
        let state =
            result.as_ref().map_or_else(|error| StepState::Failed(error.chain()), |_| StepState::Done);
        lock(&self.steps)[step].1 = state;
        result.map_err(|error| vec![error])
    }
}

impl Drop for AttemptGuard<'_> {
    fn drop(&mut self) {
        lock(&self.all.attempts).retain(|attempt| !Arc::ptr_eq(attempt, &self.attempt));
    }
}
