//! A database in the dumps of evenkeel-inspect: what its calls wait for, and the locks that they may wait for.
//!
//! # How it works
//!
//! The server does not tell who has the lock that a statement waits for, unless it is asked, which a dump does not do. It is
//! guessed from the pool's side: a statement that may lock and is answered far later than usual may wait for a transaction of
//! the same pool that took locks before, and has had no answer since. If there is one, both are edges of a resource of their
//! own, so that a circle over the pool and the locks is found; a transaction that goes on is none. Such a statement is told
//! there alone: a wait for the server, of which nobody knows when it ends, would be a way out of the circle.

use std::{
    borrow::Cow,
    collections::HashSet,
    sync::{Arc, Weak},
    time::Duration,
};

use evenkeel_inspect::{
    Backlog, HolderEdge, Inspect, Inspected, InspectedResource, Outage, Registration, WaiterEdge, register,
};
use tokio::time::Instant;

use super::recorded::{DatabaseEdges, OpenTx, Records, Wait};

/// The shortest wait for an answer that is taken for a wait for a lock, and how many times as long as usual it has to be.
const LONG: Duration = Duration::from_secs(1);
const TIMES: u32 = 20;

/// The time after which a failure to connect says nothing of now, if there was no other attempt.
const STALE: Duration = Duration::from_secs(60);

/// The number of guesses that are told.
const SHOWN: usize = 10;

/// The objects of a database in the registry.
pub(crate) type Objects = Arc<[Arc<DatabaseObject>]>;

/// Registers the resources of a database.
pub(crate) fn objects(edges: &DatabaseEdges, name: Option<&Cow<'static, str>>, max: usize) -> Objects {
    let object = |part| {
        Arc::new_cyclic(|object: &Weak<DatabaseObject>| DatabaseObject {
            edges: edges.clone(),
            name: name.cloned(),
            max,
            part,
            _registration: register(object.clone()),
        })
    };
    [Part::Server, Part::Locks].map(object).into()
}

/// A database in the registry, as one of its two resources.
#[derive(Debug)]
pub(crate) struct DatabaseObject {
    edges: DatabaseEdges,
    name: Option<Cow<'static, str>>,
    max: usize,
    part: Part,
    _registration: Registration,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    /// The calls that wait for the server.
    Server,
    /// The locks that calls may wait for.
    Locks,
}

impl Inspect for DatabaseObject {
    fn inspect(&self, now: Instant) -> Option<Inspected> {
        let described = match self.part {
            Part::Server => self.edges.look(|records| server(records, now)),
            Part::Locks => self.edges.look(|records| locks(records, now)),
        };
        let mut resource = described?;
        (resource.name, resource.place) = (self.name.clone(), Some(self.edges.place()));
        if matches!(self.part, Part::Server) {
            resource.capacity = self.max as u64;
        }
        Some(Inspected::Resource(resource))
    }
}

fn waiter(wait: &Wait, now: Instant) -> WaiterEdge {
    let waited = now.saturating_duration_since(wait.since);
    let mut edge = WaiterEdge::new(wait.number, wait.task, wait.place, waited);
    (edge.until, edge.label) = (wait.until, Some(wait.label.to_string()));
    edge
}

/// Returns the waits, the oldest first, of each session one.
fn waits(records: &Records) -> Vec<&Wait> {
    let mut waits: Vec<_> = records.waits.iter().collect();
    waits.sort_unstable_by_key(|wait| wait.number);
    let mut seen = HashSet::new();
    waits.retain(|wait| wait.statement.is_none_or(|statement| seen.insert(statement.session)));
    waits
}

fn server(records: &Records, now: Instant) -> Option<InspectedResource> {
    let mut waits = waits(records);
    waits.retain(|wait| blockers(records, wait, now).next().is_none());
    let outage = outage(records, now);
    if waits.is_empty() && outage.is_none() {
        return None;
    }
    let mut resource = InspectedResource::new("database", 0);
    resource.in_use = waits.iter().filter(|wait| wait.statement.is_some()).count() as u64;
    resource.waiters = waits.into_iter().map(|wait| waiter(wait, now)).collect();
    resource.outage = outage;
    if let Some(usual) = records.usual() {
        resource.notes.push(format!("a statement is usually answered within {usual:?}"));
    }
    Some(resource)
}

/// Describes the outage. A pool connects on demand, so that failures of long ago say nothing.
fn outage(records: &Records, now: Instant) -> Option<Outage> {
    let failures = &records.failures;
    let (since, (last_at, reason)) = (failures.since?, failures.last.as_ref()?);
    let is_connecting = records.waits.iter().any(|wait| wait.statement.is_none() && wait.until.is_some());
    let is_known = is_connecting || now.saturating_duration_since(*last_at) < STALE;
    (failures.number > 1 && is_known)
        .then(|| Outage::new(now.saturating_duration_since(since), reason.clone()))
}

/// Returns the transactions for whose locks a statement may wait; none of a wait that is not late.
fn blockers<'a>(records: &'a Records, wait: &'a Wait, now: Instant) -> impl Iterator<Item = &'a OpenTx> {
    let long = LONG.max(records.usual().unwrap_or_default().saturating_mul(TIMES));
    let is_late = now.saturating_duration_since(wait.since) >= long;
    let by = wait.statement.filter(|statement| statement.may_lock && is_late);
    let sessions =
        by.map(|by| records.sessions.iter_keyed().filter(move |(session, _)| *session != by.session));
    sessions
        .into_iter()
        .flatten()
        .filter_map(|(_, session)| session.tx.as_ref())
        .filter(|tx| tx.has_locks && tx.answered_at <= wait.since)
}

fn locks(records: &Records, now: Instant) -> Option<InspectedResource> {
    let mut resource = InspectedResource::new("locks of database", 0);
    let mut blocking: Vec<&OpenTx> = Vec::new();
    for wait in waits(records) {
        let before = blocking.len();
        for tx in blockers(records, wait, now) {
            if resource.notes.len() < SHOWN {
                resource.notes.push(guess(wait, tx, now));
            }
            blocking.push(tx);
        }
        if blocking.len() > before {
            resource.waiters.push(waiter(wait, now));
        }
    }
    let oldest = resource.waiters.iter().map(|waiter| waiter.waited).max()?;
    let mut backlog = Backlog::new(resource.waiters.len() as u64, oldest);
    backlog.usual = records.usual();
    resource.backlog = Some(backlog);
    blocking.sort_unstable_by_key(|tx| tx.number);
    blocking.dedup_by_key(|tx| tx.number);
    resource.holders = blocking
        .into_iter()
        .map(|tx| HolderEdge::new(tx.number, tx.task, tx.place, now.saturating_duration_since(tx.since)))
        .collect();
    // A lock has room for one.
    resource.in_use = resource.holders.len() as u64;
    resource.capacity = resource.in_use;
    Some(resource)
}

fn guess(wait: &Wait, tx: &OpenTx, now: Instant) -> String {
    let (waited, age) = (now.saturating_duration_since(wait.since), now.saturating_duration_since(tx.since));
    let (task, place) = (wait.task, wait.place);
    let other = match tx.task {
        Some(other) => format!("the transaction of {other}"),
        None => "a transaction that is being rolled back".to_owned(),
    };
    format!(
        "{task} has waited for {waited:?} at {place}, maybe for {other}, begun {age:?} ago at {}, without an answer since",
        tx.place
    )
}
