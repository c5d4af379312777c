//! What happened when, for the report's page: recorded in memory that does not grow with the run.

mod columns;
mod lanes;
mod trace;

pub(crate) use columns::{Column, Columns};
pub(crate) use lanes::{Kind, Lanes, Span};
pub(crate) use trace::Trace;

use std::time::Duration;

use tokio::time::Instant;

/// What a document waits for, one after the other, until it is in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    RateLimit,
    /// A place among the calls in flight.
    Place,
    /// The server: this is the call.
    Answer,
    NextAttempt,
    Store,
}

impl Wait {
    pub(crate) const ALL: [Self; 5] =
        [Self::RateLimit, Self::Place, Self::Answer, Self::NextAttempt, Self::Store];
}

/// The recording of a run.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    started: Instant,
    pub(crate) columns: Columns,
    pub(crate) lanes: Lanes,
}

impl Timeline {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), columns: Columns::default(), lanes: Lanes::default() }
    }

    pub(crate) fn time(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.started)
    }

    /// A document has waited in its lane, if it has one, and goes on to wait for something else, or is done.
    fn waited(&mut self, lane: Option<usize>, wait: Wait, next: Option<Wait>, since: Instant, now: Instant) {
        let (from, to) = (self.time(since), self.time(now));
        self.columns.spread(wait, from, to);
        let kind = match (wait, next) {
            (Wait::RateLimit | Wait::Place, _) => return,
            (Wait::Answer, Some(Wait::Store)) => Kind::Answered,
            // Also one that was cut off.
            (Wait::Answer, _) => Kind::Failed,
            (Wait::NextAttempt, _) => Kind::Rest,
            (Wait::Store, _) => Kind::Store,
        };
        match kind {
            Kind::Answered => self.columns.at(to).answered += 1.0,
            Kind::Failed => self.columns.at(to).failed += 1.0,
            Kind::Rest | Kind::Store => {}
        }
        if let Some(lane) = lane {
            self.lanes.record(Span { lane, kind, from, to });
        }
    }
}
