//! Where requests come from, for evenkeel-inspect; values without size where its feature is off.

#[cfg(feature = "inspect")]
use std::{
    panic::Location,
    sync::atomic::{AtomicU64, Ordering},
};

#[cfg(feature = "inspect")]
use evenkeel_inspect::{InspectedResource, TaskId, WaiterEdge};
#[cfg(feature = "inspect")]
use tokio::time::Instant;

/// The place of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallPlace {
    #[cfg(feature = "inspect")]
    pub(crate) place: &'static Location<'static>,
}

impl CallPlace {
    /// Returns the place of the caller of the function that calls this.
    #[inline]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub(crate) const fn here() -> Self {
        Self {
            #[cfg(feature = "inspect")]
            place: Location::caller(),
        }
    }
}

/// The name of a limiter, and the place at which it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Title {
    #[cfg(feature = "inspect")]
    name: Option<&'static str>,
    #[cfg(feature = "inspect")]
    call: CallPlace,
}

impl Title {
    /// Returns the title of a limiter without a name.
    pub(crate) const fn new(_call: CallPlace) -> Self {
        Self {
            #[cfg(feature = "inspect")]
            name: None,
            #[cfg(feature = "inspect")]
            call: _call,
        }
    }

    #[cfg(feature = "inspect")]
    pub(crate) const fn named(self, name: &'static str) -> Self {
        Self { name: Some(name), ..self }
    }

    #[cfg(not(feature = "inspect"))]
    pub(crate) const fn named(self, _name: &'static str) -> Self {
        self
    }

    /// Returns the description of the limiter, to be filled in.
    #[cfg(feature = "inspect")]
    pub(crate) fn resource(self, kind: &'static str, capacity: u32) -> InspectedResource {
        let mut resource = InspectedResource::new(kind, capacity.into());
        (resource.name, resource.place) = (self.name.map(Into::into), Some(self.call.place));
        resource
    }
}

/// A waiter: its place, its task, and the beginning of its wait, with the end if it has a deadline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitRecord {
    #[cfg(feature = "inspect")]
    number: u64,
    #[cfg(feature = "inspect")]
    call: CallPlace,
    #[cfg(feature = "inspect")]
    task: TaskId,
    #[cfg(feature = "inspect")]
    since: Instant,
    #[cfg(feature = "inspect")]
    until: Option<Instant>,
}

impl WaitRecord {
    /// Makes the record of the task that runs, without a lock.
    #[inline]
    pub(crate) fn new(_call: CallPlace) -> Self {
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
            #[cfg(feature = "inspect")]
            until: None,
        }
    }

    /// Notes that the task that runs waits now: a future may go to another task after its first poll.
    #[inline]
    pub(crate) fn polled_here(&mut self) {
        #[cfg(feature = "inspect")]
        {
            self.task = TaskId::current();
        }
    }

    /// Returns the number of the wait, and its beginning.
    #[cfg(feature = "inspect")]
    pub(crate) fn begun(&self) -> (u64, Instant) {
        (self.number, self.since)
    }

    /// Notes that the wait ends by itself.
    #[cfg(feature = "inspect")]
    pub(crate) fn ends_at(&mut self, deadline: Instant) {
        self.until = Some(deadline);
    }

    #[cfg(feature = "inspect")]
    pub(crate) fn edge(&self, permits: u32, now: Instant) -> WaiterEdge {
        let waited = now.saturating_duration_since(self.since);
        let mut edge = WaiterEdge::new(self.number, self.task, self.call.place, waited);
        (edge.amount, edge.until) = (permits.into(), self.until);
        edge
    }
}

/// The record of a request that may wait several times, made when it waits first.
#[derive(Debug)]
pub(crate) struct LazyRecord {
    #[cfg(feature = "inspect")]
    call: CallPlace,
    #[cfg(feature = "inspect")]
    record: Option<WaitRecord>,
}

impl LazyRecord {
    pub(crate) const fn new(_call: CallPlace) -> Self {
        Self {
            #[cfg(feature = "inspect")]
            call: _call,
            #[cfg(feature = "inspect")]
            record: None,
        }
    }

    #[cfg(feature = "inspect")]
    pub(crate) fn get(&mut self) -> WaitRecord {
        *self.record.get_or_insert_with(|| WaitRecord::new(self.call))
    }
}

/// A grant that its waiter has not seen yet.
#[cfg(feature = "inspect")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct GrantRecord {
    pub(crate) waiter: WaitRecord,
    pub(crate) at: Instant,
}

#[cfg(feature = "inspect")]
impl GrantRecord {
    /// Returns the edge of a waiter that should have been polled by now.
    pub(crate) fn edge(&self, permits: u32, now: Instant) -> WaiterEdge {
        let mut edge = self.waiter.edge(permits, now);
        (edge.until, edge.label) = (Some(self.at), Some("a poll: it is granted".to_owned()));
        edge
    }
}
