//! One start of a pipeline: the promises that its calls have to keep, seen from outside.
//!
//! # How it works
//!
//! The pipeline sees its broker through a [`link`](super::link), and the world through stage functions and sinks
//! ([`work`](super::work)). Both tell the incarnation of each call before it has an effect. So the incarnation has an account
//! of its own: deliveries with their leases, as far as the pipeline was told of them; the work under way; the answers to
//! decisions. It never asks the pipeline for its numbers but to compare.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_pipeline::{DrainReport, PipelineSnapshot, Settle, SettleOutcome};
use tokio::time::Instant;

use super::{Shared, link::Link, plan::ms};
use crate::{Process, checks::lock, note};

/// The stages of the longest path, with its sink.
pub(super) const STAGES: usize = 3;

#[derive(Debug)]
pub(super) struct Incarnation {
    pub(super) shared: Arc<Shared>,
    pub(super) process: Process,
    pub(super) link: Arc<Link>,
    /// Its number among all, for the trace.
    pub(super) number: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    deliveries: BTreeMap<u64, Delivered>,
    counts: DrainCounts,
    active: [u64; STAGES],
    limits: [Limit; STAGES],
    keys: BTreeMap<u64, KeyQueue>,
    paused_since: Option<Instant>,
    ended_at: Option<Instant>,
    most_in_hand: u64,
    most_bytes: u64,
}

#[derive(Debug)]
struct Delivered {
    item: u64,
    attempt: u32,
    /// As far as the pipeline was told.
    lease_ends: Instant,
    is_lost: bool,
    has_begun: bool,
    active: u64,
    decision: Option<Settle>,
}

/// The order that a stage has to keep.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    None,
    /// One item of this key at a time.
    Any(u64),
    /// In the order of the deliveries: the first stage of the key.
    First(u64),
    /// A stage behind it, before the next item of the key.
    Later(u64),
}

impl Order {
    const fn key(self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Any(key) | Self::First(key) | Self::Later(key) => Some(key),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct KeyQueue {
    active: u64,
    /// The last delivery that has begun.
    last: Option<u64>,
}

/// The answers that the pipeline has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct DrainCounts {
    accepted: u64,
    acked: u64,
    nacked: u64,
    dead: u64,
    released: u64,
    superseded: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Limit {
    now: u64,
    /// The highest of the instant at which it was changed, as work may have been let in before.
    before: u64,
    changed: Option<Instant>,
}

impl Incarnation {
    pub(super) fn new(shared: Arc<Shared>, number: u64, killed_at: Option<u64>) -> Arc<Self> {
        let (process, link) = (Process::new(killed_at), Arc::new(Link::default()));
        let limit = Limit { now: shared.plan.limit, before: 0, changed: None };
        let state = Mutex::new(State { limits: [limit; STAGES], ..State::default() });
        Arc::new(Self { shared, process, link, number, state })
    }

    fn check(&self, holds: bool, promise: impl FnOnce() -> String) {
        self.shared.checks.that(holds, || format!("process {}: {}", self.number, promise()));
    }

    /// The pipeline pulls.
    pub(super) fn pulls(&self, items: usize) {
        let window = self.shared.plan.window;
        self.check(items as u64 <= window, || format!("a pull of {items} items with a window of {window}"));
        self.check(items > 0, || "a pull of no items".to_owned());
    }

    /// A delivery reaches the pipeline; returns its number.
    pub(super) fn delivers(&self, item: u64, attempt: u32, leased_at: Instant) -> u64 {
        let Shared { plan, outside, .. } = &*self.shared;
        let again = outside.has_ended(item) && !plan.forgets;
        self.check(!again, || format!("item {item} is delivered, and its end was confirmed before"));
        let delivery = self.shared.next_delivery();
        let mut state = lock(&self.state);
        state.counts.accepted += 1;
        let delivered = Delivered {
            item,
            attempt,
            lease_ends: leased_at + plan.ack_wait,
            is_lost: false,
            has_begun: false,
            active: 0,
            decision: None,
        };
        state.deliveries.insert(delivery, delivered);
        delivery
    }

    /// All deliveries of a pull have reached the pipeline.
    pub(super) fn pulled(&self, asked: usize, got: usize) {
        self.check(got <= asked, || format!("{got} deliveries for a pull of {asked}"));
        let now = Instant::now();
        let plan = &self.shared.plan;
        let mut state = lock(&self.state);
        let is_paused = state.paused_since.is_some_and(|since| since < now);
        // Work under way, and items that wait for their first stage; others may have been decided meanwhile.
        let is_run = |attempt| plan.attempts == 0 || attempt <= plan.attempts;
        let in_hand: Vec<u64> = state
            .deliveries
            .values()
            .filter(|delivered| {
                delivered.decision.is_none() && !delivered.is_lost && is_run(delivered.attempt)
            })
            .filter(|delivered| delivered.active > 0 || !delivered.has_begun)
            .map(|delivered| delivered.item)
            .collect();
        state.most_in_hand = state.most_in_hand.max(in_hand.len() as u64);
        let bytes = in_hand.iter().map(|item| plan.size(*item)).sum();
        state.most_bytes = state.most_bytes.max(bytes);
        drop(state);
        self.check(!is_paused || got == 0, || "items are pulled during a pause".to_owned());
    }

    /// The work of a stage begins, for an item or a batch.
    pub(super) fn begins(&self, stage: usize, deliveries: &[u64], order: Order) {
        let now = Instant::now();
        let most_attempts = self.shared.plan.attempts;
        let mut broken = None;
        let mut state = lock(&self.state);
        let limit = state.limits[stage];
        let most = if limit.changed == Some(now) { limit.now.max(limit.before) } else { limit.now };
        state.active[stage] += 1;
        if state.active[stage] > most {
            broken =
                Some(format!("{} in flight in stage {stage}, whose limit is {most}", state.active[stage]));
        }
        for delivery in deliveries {
            let Some(delivered) = state.deliveries.get_mut(delivery) else { continue };
            delivered.has_begun = true;
            delivered.active += 1;
            let (item, attempt) = (delivered.item, delivered.attempt);
            if most_attempts > 0 && attempt > most_attempts {
                broken = Some(format!("item {item} runs as attempt {attempt} of {most_attempts}"));
            }
            if let Some(decision) = delivered.decision {
                broken = Some(format!("item {item} is worked on behind its {decision:?}"));
            }
        }
        if let Some((key, delivery)) = order.key().zip(deliveries.first()) {
            let queue = state.keys.entry(key).or_default();
            queue.active += 1;
            if queue.active > 1 {
                broken = Some(format!("{} items of key {key} run at the same time", queue.active));
            }
            let is_next = match order {
                Order::First(_) => queue.last.is_none_or(|last| last < *delivery),
                Order::Later(_) => queue.last == Some(*delivery),
                Order::None | Order::Any(_) => true,
            };
            if !is_next {
                broken = Some(format!("delivery {delivery} of key {key} runs behind {:?}", queue.last));
            }
            queue.last = Some(*delivery);
        }
        drop(state);
        self.check(broken.is_none(), || broken.unwrap_or_default());
    }

    /// The work of a stage ends, or is dropped.
    pub(super) fn ends(&self, stage: usize, deliveries: &[u64], order: Order) {
        let mut state = lock(&self.state);
        state.active[stage] -= 1;
        for delivery in deliveries {
            if let Some(delivered) = state.deliveries.get_mut(delivery) {
                delivered.active -= 1;
            }
        }
        if let Some(queue) = order.key().and_then(|key| state.keys.get_mut(&key)) {
            queue.active -= 1;
        }
    }

    /// Work goes on; returns without one of the leases it needs.
    pub(super) fn goes_on(&self, deliveries: &[u64]) {
        let now = Instant::now();
        let state = lock(&self.state);
        let holds = |delivery| {
            let delivered = state.deliveries.get(delivery);
            // A timer rounds up to the next millisecond.
            delivered.is_none_or(|delivered| now <= delivered.lease_ends + ms(1))
        };
        let any = deliveries.iter().any(holds);
        drop(state);
        self.check(any, || format!("work goes on though the lease is lost: deliveries {deliveries:?}"));
    }

    /// The pipeline tells decisions to the broker.
    pub(super) fn settles(&self, decisions: &[(u64, Settle)]) {
        let now = Instant::now();
        let mut broken = None;
        let mut state = lock(&self.state);
        if state.ended_at.is_some_and(|ended| ended < now) {
            broken = Some("something is settled behind the end".to_owned());
        }
        for (delivery, decision) in decisions {
            let Some(delivered) = state.deliveries.get_mut(delivery) else {
                broken = Some(format!("delivery {delivery} is settled, and is not known"));
                continue;
            };
            let item = delivered.item;
            let before = *delivered.decision.get_or_insert(*decision);
            if before != *decision {
                broken = Some(format!("item {item}: {before:?}, and then {decision:?}"));
            }
            if delivered.active > 0 {
                broken = Some(format!("item {item}: {decision:?} while its work is under way"));
            }
            let Shared { plan, outside, .. } = &*self.shared;
            let is_lost = delivered.is_lost || delivered.lease_ends <= now;
            match decision {
                Settle::Ack if !outside.is_done(plan, item) => {
                    broken = Some(format!("item {item} is acked before its effects"));
                }
                Settle::Term if !outside.has_letter(item) => {
                    broken = Some(format!("item {item} is ended without a dead letter"));
                }
                Settle::Retry { .. } | Settle::Release | Settle::Term if is_lost => {
                    broken = Some(format!("item {item}: {decision:?} though its lease is lost"));
                }
                _ => {}
            }
        }
        drop(state);
        self.check(broken.is_none(), || broken.unwrap_or_default());
    }

    /// The answer to decisions reaches the pipeline.
    pub(super) fn settled(&self, decisions: &[(u64, Settle)], outcomes: &[SettleOutcome]) {
        let mut state = lock(&self.state);
        for ((delivery, decision), outcome) in decisions.iter().zip(outcomes) {
            let is_final = matches!(decision, Settle::Ack | Settle::Term);
            let count = match (outcome, decision) {
                (SettleOutcome::Superseded, _) => &mut state.counts.superseded,
                (_, Settle::Ack) => &mut state.counts.acked,
                (_, Settle::Retry { .. }) => &mut state.counts.nacked,
                (_, Settle::Term) => &mut state.counts.dead,
                (_, _) => &mut state.counts.released,
            };
            *count += 1;
            if let Some(delivered) = state.deliveries.remove(delivery)
                && is_final
                && *outcome == SettleOutcome::Confirmed
            {
                self.shared.outside.note_end(delivered.item);
            }
        }
    }

    /// The answer to an extension that was asked for at an instant reaches the pipeline.
    pub(super) fn extended(&self, deliveries: &[u64], lost: &[usize], at: Instant) {
        let distinct: BTreeSet<&u64> = deliveries.iter().collect();
        self.check(distinct.len() == deliveries.len(), || "a lease is extended twice in one call".to_owned());
        let now = Instant::now();
        let mut state = lock(&self.state);
        for (index, delivery) in deliveries.iter().enumerate() {
            let Some(delivered) = state.deliveries.get_mut(delivery) else { continue };
            if lost.contains(&index) {
                delivered.is_lost = true;
                delivered.lease_ends = delivered.lease_ends.min(now);
            } else if !delivered.is_lost {
                delivered.lease_ends = delivered.lease_ends.max(at + self.shared.plan.ack_wait);
            }
        }
    }

    pub(super) fn set_paused(&self, is_paused: bool) {
        lock(&self.state).paused_since = is_paused.then(Instant::now);
    }

    pub(super) fn set_limit(&self, stage: usize, new: u64) {
        let now = Instant::now();
        let limit = &mut lock(&self.state).limits[stage];
        let before = if limit.changed == Some(now) { limit.before.max(limit.now) } else { limit.now };
        *limit = Limit { now: new, before, changed: Some(now) };
    }

    /// The handle is gone, or the pipeline has ended: nothing is told to the broker any more.
    pub(super) fn has_ended(&self) {
        lock(&self.state).ended_at = Some(Instant::now());
    }

    /// Compares the numbers of the pipeline with the account. The answer to a call may be on its way if it was killed.
    pub(super) fn compare(&self, report: &DrainReport, was_killed: bool) {
        let DrainReport { accepted, acked, nacked, dead, released, superseded, .. } = *report;
        let sum = acked + nacked + dead + report.left();
        self.check(accepted == sum, || format!("the report does not add up: {report}"));
        let state = lock(&self.state);
        let counts = state.counts;
        let (most_in_hand, most_bytes) = (state.most_in_hand, state.most_bytes);
        drop(state);
        let told = DrainCounts { accepted, acked, nacked, dead, released, superseded };
        // A lease that is lost ends without an answer.
        let agrees = DrainCounts { superseded: counts.superseded, ..told } == counts
            && superseded >= counts.superseded;
        self.check(agrees || was_killed, || {
            format!("the report is {told:?}, the broker's answers were {counts:?}")
        });
        let plan = &self.shared.plan;
        if superseded == 0 {
            self.check(most_in_hand <= plan.window, || {
                format!("{most_in_hand} items in hand with a window of {}", plan.window)
            });
            let largest = (0..plan.items).map(|item| plan.size(item)).max().unwrap_or_default();
            self.check(plan.budget == 0 || most_bytes <= plan.budget + plan.brokers * largest, || {
                format!("{most_bytes} bytes in hand with a budget of {}", plan.budget)
            });
        }
        self.check(superseded == 0 || !plan.is_calm, || {
            format!("{superseded} leases were lost, though nothing was slow or broken")
        });
        let trace = &self.shared.trace;
        note!(trace, "process {}: {report}", self.number);
        trace.reached_times("acked", acked);
        trace.reached_times("failed attempts", nacked);
        trace.reached_times("dead letters", dead);
        trace.reached_times("handed back", released);
        trace.reached_times("leases lost", superseded);
    }

    /// Nothing is in flight or waits when a pipeline has ended by itself.
    pub(super) fn is_idle(&self, snapshot: &PipelineSnapshot) {
        let busy = snapshot.stages.iter().find(|stage| stage.in_flight > 0 || stage.queued > 0);
        self.check(busy.is_none(), || format!("a permit or a waiter is left: {busy:?}"));
        self.check(snapshot.in_hand + snapshot.unsettled == 0, || format!("items are left: {snapshot:?}"));
        self.check(snapshot.bytes == 0, || format!("{} bytes are left", snapshot.bytes));
        let active: u64 = lock(&self.state).active.iter().sum();
        self.check(active == 0, || format!("{active} functions are left"));
    }

    /// The end of a drain, which may take the budget, and five seconds for handing back.
    pub(super) fn drained(&self, within: Duration, took: Duration) {
        let most = within + Duration::from_secs(5) + ms(2);
        self.check(took <= most, || format!("a drain within {within:?} took {took:?}"));
    }
}
