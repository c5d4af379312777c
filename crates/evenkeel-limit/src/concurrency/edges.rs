//! Where requests come from, for evenkeel-inspect; values without size where its feature is off.

#[cfg(feature = "inspect")]
use std::{
    panic::Location,
    sync::atomic::{AtomicU64, Ordering},
};

#[cfg(feature = "inspect")]
use evenkeel_inspect::{TaskId, WaiterEdge};
#[cfg(feature = "inspect")]
use tokio::time::Instant;

/// The place of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallPlace {
    #[cfg(feature = "inspect")]
    pub(super) place: &'static Location<'static>,
}

impl CallPlace {
    /// Returns the place of the caller of the function that calls this.
    #[inline]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub(super) const fn here() -> Self {
        Self {
            #[cfg(feature = "inspect")]
            place: Location::caller(),
        }
    }
}

/// A waiter: its place, its task, and the beginning of its wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct WaitRecord {
    #[cfg(feature = "inspect")]
    number: u64,
    #[cfg(feature = "inspect")]
    call: CallPlace,
    #[cfg(feature = "inspect")]
    task: TaskId,
    #[cfg(feature = "inspect")]
    since: Instant,
}

impl WaitRecord {
    /// Makes the record of the task that runs, without a lock.
    #[inline]
    pub(super) fn new(_call: CallPlace) -> Self {
        #[cfg(feature = "inspect")]
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        Self {
            #[cfg(feature = "inspect")]
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            #[cfg(feature = "inspect")]
            call: _call,
            #[cfg(feature = "inspect")]
            task: TaskId::current(),
            #[cfg(feature = "inspect")]
            since: Instant::now(),
        }
    }

    #[cfg(feature = "inspect")]
    pub(super) fn edge(&self, permits: u32, now: Instant) -> WaiterEdge {
        let waited = now.saturating_duration_since(self.since);
        let mut edge = WaiterEdge::new(self.number, self.task, self.call.place, waited);
        edge.amount = permits.into();
        edge
    }
}

/// The key of the record of a permit; small, as each permit has one.
#[cfg(feature = "inspect")]
#[derive(Clone, Copy, Debug)]
pub(super) struct HoldKey(pub(super) u32);

#[cfg(feature = "inspect")]
impl HoldKey {
    /// No record.
    pub(super) const NONE: Self = Self(u32::MAX);

    /// Returns whether there is a record.
    #[inline]
    pub(super) fn is_some(self) -> bool {
        self.0 != Self::NONE.0
    }
}
