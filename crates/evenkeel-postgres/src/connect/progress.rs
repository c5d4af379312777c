//! The attempts to connect that are under way: their time limit, and their progress for the errors of callers that run
//! out of time.

use std::{
    fmt::Write,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use evenkeel_base::lock;
use tokio::time::{Instant, timeout};

use super::error::{ConnectReason, HostError};

/// The attempts under way, the oldest first.
#[derive(Default)]
pub(crate) struct ConnectProgress {
    // Some may have ended since the last one began.
    attempts: Mutex<Vec<Weak<ConnectAttempt>>>,
}

/// One attempt, which is under way until it is dropped: its time limit, and the hosts that it has tried so far.
pub(crate) struct ConnectAttempt {
    start: Instant,
    limit: Duration,
    steps: Mutex<Vec<(String, StepState)>>,
}

enum StepState {
    Begun(Instant),
    Failed(String),
    /// A name was resolved, whose addresses are steps of their own; or the server has answered.
    Done,
}

impl ConnectProgress {
    /// Begins an attempt, for all hosts.
    pub(crate) fn begin(&self, limit: Duration) -> Arc<ConnectAttempt> {
        let attempt = Arc::new(ConnectAttempt { start: Instant::now(), limit, steps: Mutex::default() });
        let mut attempts = lock(&self.attempts);
        attempts.retain(|attempt| attempt.strong_count() > 0);
        attempts.push(Arc::downgrade(&attempt));
        drop(attempts);
        attempt
    }

    /// Describes the oldest attempt so far.
    pub(crate) fn describe_oldest(&self) -> Option<String> {
        let now = Instant::now();
        let attempt = lock(&self.attempts).iter().find_map(Weak::upgrade)?;
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

impl ConnectAttempt {
    /// Tries a host for the rest of the time, and records the progress.
    pub(crate) async fn step<T>(
        &self,
        host: String,
        connect: impl Future<Output = Result<T, ConnectReason>>,
    ) -> Result<T, Vec<HostError>> {
        let now = Instant::now();
        let limit = self.limit.saturating_sub(now - self.start);
        let step = {
            let mut steps = lock(&self.steps);
            steps.push((host.clone(), StepState::Begun(now)));
            steps.len() - 1
        };
        let result = timeout(limit, connect).await.unwrap_or(Err(ConnectReason::NoAnswer(limit)));
        let result = result.map_err(|reason| HostError::new(host, reason));
        let state =
            result.as_ref().map_or_else(|error| StepState::Failed(error.chain()), |_| StepState::Done);
        lock(&self.steps)[step].1 = state;
        result.map_err(|error| vec![error])
    }
}
