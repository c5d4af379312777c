//! A job that is to be enqueued.

use std::time::{Duration, SystemTime};

/// A job for a [`PgQueue`](crate::PgQueue): its payload, and how it is to be delivered.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use evenkeel_pipeline::PgJob;
///
/// let job = PgJob::new("{\"order\": 17}").key("customer 3").dedup("order 17").after(Duration::from_secs(60));
/// # let _ = job;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgJob {
    pub(super) payload: Vec<u8>,
    pub(super) key: Option<String>,
    pub(super) dedup: Option<String>,
    pub(super) ready: Ready,
}

/// The time from which a job is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    Now,
    After(Duration),
    At(SystemTime),
}

impl PgJob {
    /// Creates a job that is delivered as soon as it is committed.
    #[must_use]
    pub fn new(payload: impl Into<Vec<u8>>) -> Self {
        Self { payload: payload.into(), key: None, dedup: None, ready: Ready::Now }
    }

    /// Delivers the jobs of a queue that have this key one after the other, in the order in which they were enqueued.
    ///
    /// The next one is delivered when the one before is acked or dead; a retry keeps its place. A scheduled job takes its
    /// place when its time has come.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Stores the job only if the queue has no other one with this id that is still to be done.
    #[must_use]
    pub fn dedup(mut self, id: impl Into<String>) -> Self {
        self.dedup = Some(id.into());
        self
    }

    /// Delivers the job no earlier than at this time of the server's clock.
    #[must_use]
    pub const fn at(mut self, time: SystemTime) -> Self {
        self.ready = Ready::At(time);
        self
    }

    /// Delivers the job no earlier than this time after the start of the transaction that enqueues it.
    #[must_use]
    pub const fn after(mut self, delay: Duration) -> Self {
        self.ready = Ready::After(delay);
        self
    }

    /// Whether it is a payload alone.
    pub(super) fn is_plain(&self) -> bool {
        self.key.is_none() && self.dedup.is_none() && self.ready == Ready::Now
    }
}

impl From<Vec<u8>> for PgJob {
    fn from(payload: Vec<u8>) -> Self {
        Self::new(payload)
    }
}

impl From<&[u8]> for PgJob {
    fn from(payload: &[u8]) -> Self {
        Self::new(payload)
    }
}

impl From<&str> for PgJob {
    fn from(payload: &str) -> Self {
        Self::new(payload)
    }
}

impl From<String> for PgJob {
    fn from(payload: String) -> Self {
        Self::new(payload)
    }
}
