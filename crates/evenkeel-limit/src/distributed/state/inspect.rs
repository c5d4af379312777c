//! A distributed limit in the dumps of evenkeel-inspect.
//!
//! # How it works
//!
//! The registry has a weak reference to the client. A look copies the waiters and the outage under the lock. The text of
//! the store's error is foreign code, and is made without it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_base::{error_chain, lock};
use evenkeel_inspect::{InspectedResource, Outage, WaiterEdge, copy_chunks};
use tokio::time::Instant;

use super::{Grant, Quota, State};
use crate::{
    algorithm::bucket::Bucket,
    distributed::{OnFailure, outage::Cause},
    rate::Rate,
    sync::{
        edges::{Title, WaitRecord},
        entry::Mode,
    },
};

/// An outage in which the store has not been called for this time is past: it may have ended unseen.
const STALE: Duration = Duration::from_secs(60);

/// The most characters of the text of an error.
const REASON: usize = 200;

/// A copy of that which a dump tells of a limit.
pub(in crate::distributed) struct View {
    rate: Rate,
    quota: Quota,
    policy: OnFailure,
    closed: bool,
    calling: bool,
    leased: u32,
    empty: Option<(Instant, Duration)>,
    waiting: Vec<(u32, Mode, Option<WaitRecord>)>,
    granted: Vec<Grant>,
    outage: Option<OutageView>,
}

struct OutageView {
    cause: Cause,
    misconfigured: bool,
    /// The time of the first failure, and that of the last one.
    failures: (Instant, Instant),
    share: Option<Bucket>,
}

impl View {
    /// Copies the waiters a chunk at a time, and all else with the last of them.
    pub(in crate::distributed) fn of(state: &Mutex<State>) -> Option<Self> {
        let (mut waiting, mut granted, mut view) = (Vec::new(), Vec::new(), None);
        let expected = lock(state).queue.len();
        copy_chunks(&mut waiting, expected, |entries, waiting| {
            granted.reserve(entries.len());
            let state = lock(state);
            granted.extend(state.queue.grants_in(entries.clone()));
            waiting.extend(state.queue.waiters_in(entries).map(|(turn, waiter)| {
                let meta = &waiter.meta;
                (turn, (waiter.permits, meta.mode, meta.record))
            }));
            view = Some(Self::without_waiters(&state));
            state.queue.entry_count()
        });
        waiting.sort_unstable_by_key(|(turn, _)| *turn);
        let waiting = waiting.into_iter().map(|(_, waiter)| waiter).collect();
        Some(Self { waiting, granted, ..view? })
    }

    fn without_waiters(state: &State) -> Self {
        let outage = state.outage.as_ref().map(|outage| OutageView {
            cause: Arc::clone(&outage.cause),
            misconfigured: outage.misconfigured,
            failures: outage.failures(),
            share: outage.local_share.clone(),
        });
        Self {
            rate: state.rate,
            quota: state.quota,
            policy: state.config.on_failure,
            closed: state.closed,
            calling: state.calling,
            leased: state.leased,
            empty: state.empty,
            waiting: Vec::new(),
            granted: Vec::new(),
            outage,
        }
    }

    fn share(&self) -> Option<&Bucket> {
        self.outage.as_ref()?.share.as_ref()
    }

    /// Returns the waiters, the first in the queue first.
    ///
    /// A local share alone has turns. In the store the permits may go to another process first.
    fn waiters(&self, now: Instant) -> Vec<WaiterEdge> {
        let granted = self.granted.iter().filter_map(|grant| Some(grant.record?.edge(grant.permits, now)));
        let mut edges: Vec<_> = granted.collect();
        edges.sort_unstable_by_key(|edge| (edge.until, edge.number));
        let mut ahead = 0;
        for &(permits, mode, record) in &self.waiting {
            let Some(mut edge) = record.map(|record| record.edge(permits, now)) else { continue };
            edge.until = self
                .share()
                .and_then(|share| share.now().checked_add(share.until(share.due(ahead, permits))));
            let label = match (edge.until, &self.outage) {
                (Some(_), _) => "its turn in the local share",
                (None, _) if self.calling || mode == Mode::Try => "the answer of the store",
                (None, Some(_)) => "the next call of the store",
                (None, None) => "permits of the store",
            };
            edge.label = Some(label.to_owned());
            ahead += u64::from(permits);
            edges.push(edge);
        }
        edges
    }

    /// Returns the permits that are in use, by the last answer of the store; those of the local share while there is one.
    fn in_use(&self, now: Instant) -> u32 {
        if let Some(share) = self.share() {
            let mut share = share.clone();
            if self.waiting.is_empty() {
                share.advance(now);
            }
            return share.burst().saturating_sub(share.available());
        }
        let Some((at, full_in)) = self.empty else { return 0 };
        let left = full_in.saturating_sub(now.saturating_duration_since(at));
        let missing = (left.as_micros() * u128::from(self.quota.speed)).div_ceil(self.quota.cost.into());
        let spent = u32::try_from(missing).unwrap_or(u32::MAX).min(self.quota.burst);
        spent.saturating_sub(self.leased)
    }

    fn tell_outage(&self, limit: &mut InspectedResource, now: Instant) {
        let Some(OutageView { cause, misconfigured, failures: (first, last), .. }) = &self.outage else {
            return;
        };
        let reason: String = error_chain(&**cause).chars().take(REASON).collect();
        let ago = now.saturating_duration_since(*last);
        if ago > STALE && !self.calling && limit.waiters.is_empty() {
            let ago = Duration::from_secs(ago.as_secs());
            limit.notes.push(format!("its store failed when it was last called, {ago:?} ago: {reason}"));
            return;
        }
        limit.outage = Some(Outage::new(now.saturating_duration_since(*first), reason));
        limit.notes.push(match self.policy {
            _ if *misconfigured => "requests are refused until its configuration is mended".to_owned(),
            OnFailure::Open => "requests are granted without its store".to_owned(),
            OnFailure::Closed => "requests are refused until its store answers".to_owned(),
            OnFailure::LocalShare(processes) => {
                format!("requests have a local share, 1/{processes} of the rate")
            }
        });
    }

    /// Describes the limit; `None` of one that has been closed.
    pub(in crate::distributed) fn describe(&self, title: Title, now: Instant) -> Option<InspectedResource> {
        let waiters = self.waiters(now);
        if self.closed && waiters.is_empty() {
            return None;
        }
        let capacity = self.share().map_or(self.quota.burst, Bucket::burst);
        let mut limit = title.resource("distributed rate limit", capacity);
        limit.in_use = self.in_use(now).into();
        limit.waiters = waiters;
        limit.notes.push(self.rate.to_string());
        if self.closed {
            limit.notes.push("closed".to_owned());
        }
        if self.calling {
            limit.notes.push("a call of its store is under way".to_owned());
        }
        self.tell_outage(&mut limit, now);
        Some(limit)
    }
}
