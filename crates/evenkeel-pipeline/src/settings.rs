//! The settings of a pipeline that its items need on their way.

use std::{fmt, time::Duration};

use evenkeel_task::Panic;

use crate::{in_hand::Limits, race::default_backoff};

/// Returns the delay before another attempt, from the number of the one that failed.
pub(crate) type Backoff = Box<dyn Fn(u32) -> Duration + Send + Sync>;

/// Copies an item.
pub(crate) type Copying<T> = fn(&T) -> T;

pub struct PathSettings {
    pub(crate) limits: Limits,
    /// The most items, or parts of items, on their way through the stages between two ends of segments.
    pub(crate) workers: usize,
    pub(crate) backoff: Backoff,
}

impl PathSettings {
    pub(crate) fn retry_after(&self, attempt: u32) -> Duration {
        Panic::catch(|| (self.backoff)(attempt)).unwrap_or_else(|_| default_backoff(attempt))
    }
}

impl fmt::Debug for PathSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PathSettings").field("limits", &self.limits).finish_non_exhaustive()
    }
}
