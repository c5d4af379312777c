//! The attempts to connect that are under way.

use std::error::Error;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use crate::connect::HostError;
use crate::connection::lock;

/// All of them, the longest first.
#[derive(Default)]
pub(crate) struct Attempts {
    open: Mutex<Vec<Arc<Attempt>>>,
}

/// One attempt: the hosts that it has asked so far.
#[derive(Default)]
pub(crate) struct Attempt {
    hosts: Mutex<Vec<(String, State)>>,
}

enum State {
    Asked(Instant),
    Failed(String),
    /// It is about the addresses of the host now.
    Done,
}

/// An attempt that is under way until this is dropped.
pub(crate) struct Open<'a> {
    attempts: &'a Attempts,
    pub(crate) attempt: Arc<Attempt>,
}

impl Attempts {
    pub(crate) fn begin(&self) -> Open<'_> {
        let attempt = Arc::<Attempt>::default();
        lock(&self.open).push(Arc::clone(&attempt));
        Open { attempts: self, attempt }
    }

    /// What has become of the longest one so far, for those who run out of time meanwhile.
    pub(crate) fn so_far(&self) -> Option<String> {
        let now = Instant::now();
        let attempt = Arc::clone(lock(&self.open).first()?);
        let mut text = String::new();
        for (host, state) in &*lock(&attempt.hosts) {
            let begin = if text.is_empty() { "no connection to " } else { "; nor to " };
            // Writing to a string does not fail.
            let _ = match state {
                State::Asked(begun) => {
                    let time = now.saturating_duration_since(*begun);
                    write!(text, "{begin}{host}: no answer within {time:?}")
                }
                State::Failed(why) => write!(text, "{begin}{host}: {why}"),
                State::Done => Ok(()),
            };
        }
        Some(text).filter(|text| !text.is_empty())
    }
}

impl Attempt {
    /// A host is asked now.
    pub(crate) fn ask(&self, host: String) -> usize {
        let now = Instant::now();
        let mut hosts = lock(&self.hosts);
        hosts.push((host, State::Asked(now)));
        hosts.len() - 1
    }

    pub(crate) fn failed(&self, asked: usize, why: &HostError) {
        let mut text = why.to_string();
        let mut cause = why.source().and_then(Error::source);
        while let Some(error) = cause {
            // Writing to a string does not fail.
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        lock(&self.hosts)[asked].1 = State::Failed(text);
    }

    pub(crate) fn done(&self, asked: usize) {
        lock(&self.hosts)[asked].1 = State::Done;
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        lock(&self.attempts.open).retain(|attempt| !Arc::ptr_eq(attempt, &self.attempt));
    }
}
