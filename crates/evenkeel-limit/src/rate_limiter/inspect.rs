//! Rate limiters in the dumps of evenkeel-inspect.
//!
//! # How it works
//!
//! The core of a limiter is in an `Arc` of its own from the first use on, and the registry has a weak reference to it. A look
//! copies the waiters, a chunk at a time, and the algorithm under the lock of the state, and works out the turns without it. It serves nobody, since
//! that wakes others, and moves no clock: a turn that has come and was not served, as no thread was free for it, shows as one
//! that is late. So does a grant that no poll has seen yet.
//!
//! The limiters of the keys of a [`Keyed`](crate::Keyed) are members of a [`Family`], which is one object of the registry. A
//! look takes the lock of its list for one page of members at a time.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, OnceLock, Weak},
    time::Duration,
};

use evenkeel_base::lock;
use evenkeel_inspect::{Inspect, Inspected, Registration, WaiterEdge, copy_chunks, register};
use tokio::time::Instant;

use super::core::Core;
use crate::{
    algorithm::Algorithm,
    sync::edges::{GrantRecord, Title, WaitRecord},
};

/// The members of a family that a look takes at a time.
const PAGE: usize = 128;

/// The queues that the note of a family names.
const NAMED_QUEUES: usize = 5;

/// The most characters of the text of a key.
const LABEL: usize = 64;

/// Keeps a limiter in the registry, or on the list of its family.
#[derive(Debug)]
pub(crate) enum Listing {
    Registered { _registration: Registration },
    Member { family: Arc<Family>, number: u64, member: Arc<Member> },
}

impl Listing {
    pub(crate) fn new(core: &Arc<Core>, family: Option<Arc<Family>>) -> Self {
        let core = Arc::downgrade(core);
        let Some(family) = family else { return Self::Registered { _registration: register(core) } };
        let member = Arc::new(Member { core, label: OnceLock::new() });
        let number = lock(&family.members).add(Arc::clone(&member));
        Self::Member { family, number, member }
    }

    /// Sets the text that stands for the key of a member, if it has none.
    pub(crate) fn set_label(&self, label: impl FnOnce() -> String) {
        let Self::Member { member, .. } = self else { return };
        if member.label.get().is_none() {
            let printable = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
            // Another thread may have set the same.
            let _ = member.label.set(label().chars().take(LABEL).map(printable).collect());
        }
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        if let Self::Member { family, number, .. } = self {
            let removed = lock(&family.members).by_number.remove(number);
            drop(removed);
        }
    }
}

/// The limiters of the keys of one limit.
pub(crate) struct Family {
    title: Title,
    burst: u32,
    members: Mutex<Members>,
    _registration: Registration,
}

#[derive(Default)]
struct Members {
    by_number: BTreeMap<u64, Arc<Member>>,
    numbers: u64,
}

#[derive(Debug)]
pub(crate) struct Member {
    core: Weak<Core>,
    label: OnceLock<String>,
}

impl Members {
    fn add(&mut self, member: Arc<Member>) -> u64 {
        self.numbers += 1;
        self.by_number.insert(self.numbers, member);
        self.numbers
    }

    fn page(&self, from: u64) -> Vec<(u64, Arc<Member>)> {
        let members = self.by_number.range(from..).take(PAGE);
        members.map(|(number, member)| (*number, Arc::clone(member))).collect()
    }
}

impl Family {
    pub(crate) fn new(title: Title, burst: u32) -> Arc<Self> {
        Arc::new_cyclic(|family: &Weak<Self>| Self {
            title,
            burst,
            members: Mutex::default(),
            _registration: register(family.clone()),
        })
    }
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family").field("title", &self.title).finish_non_exhaustive()
    }
}

/// A copy of that which a dump tells of a limiter.
struct View {
    title: Title,
    closed: bool,
    algorithm: Option<Algorithm>,
    waiting: Vec<(u32, WaitRecord)>,
    granted: Vec<(u32, GrantRecord)>,
}

impl View {
    fn of(core: &Core) -> Option<Self> {
        let (mut waiting, mut granted, mut rest) = (Vec::new(), Vec::new(), None);
        let expected = core.view(|state, _| state.queue.len());
        copy_chunks(&mut waiting, expected, |entries, waiting| {
            granted.reserve(entries.len());
            core.view(|state, fast_path| {
                granted.extend(state.queue.grants_in(entries.clone()));
                let waiters = state.queue.waiters_in(entries);
                waiting.extend(waiters.map(|(turn, waiter)| (turn, waiter.permits, waiter.meta.record)));
                rest = Some((state.config.title, state.closed, state.settled_algorithm(fast_path)));
                state.queue.entry_count()
            })
        });
        waiting.sort_unstable_by_key(|(turn, ..)| *turn);
        let (title, closed, algorithm) = rest?;
        let waiting = waiting.into_iter().map(|(_, permits, record)| (permits, record)).collect();
        let granted = granted.into_iter().map(|grant| (grant.permits, grant.record)).collect();
        Some(Self { title, closed, algorithm, waiting, granted })
    }

    /// Returns the waiters, the first in the queue first.
    fn waiters(&self, now: Instant) -> Vec<WaiterEdge> {
        let mut edges: Vec<_> =
            self.granted.iter().map(|(permits, record)| record.edge(*permits, now)).collect();
        edges.sort_unstable_by_key(|edge| (edge.until, edge.number));
        let Some(algorithm) = &self.algorithm else { return edges };
        let turns = algorithm.turns(self.waiting.iter().map(|(permits, _)| *permits));
        edges.extend(self.waiting.iter().zip(turns).map(|((permits, record), turn)| {
            let mut edge = record.edge(*permits, now);
            edge.until = algorithm.now().checked_add(turn);
            edge
        }));
        edges
    }

    /// Returns the permits that are there, by the last look at the clock; if nobody waits, now.
    fn available(&self, now: Instant) -> u32 {
        let Some(algorithm) = &self.algorithm else { return u32::MAX };
        if !self.waiting.is_empty() {
            return algorithm.available();
        }
        let mut algorithm = algorithm.clone();
        algorithm.advance(now);
        algorithm.available()
    }
}

impl Inspect for Core {
    /// Nobody can wait for a limiter that has no limit, or has been closed.
    fn inspect(&self, now: Instant) -> Option<Inspected> {
        let view = View::of(self)?;
        let waiters = view.waiters(now);
        let algorithm = view.algorithm.as_ref().filter(|_| !view.closed || !waiters.is_empty())?;
        let burst = algorithm.burst();
        let mut limiter = view.title.resource("rate limit", burst);
        limiter.in_use = burst.saturating_sub(view.available(now)).into();
        limiter.notes.push(algorithm.rate().to_string());
        if view.closed {
            limiter.notes.push("closed".to_owned());
        }
        let pause_ends = algorithm.now().checked_add(algorithm.paused_for());
        let paused_for = pause_ends.map_or(Duration::MAX, |end| end.saturating_duration_since(now));
        if !paused_for.is_zero() {
            limiter.notes.push(format!(
                "paused for another {:?}",
                Duration::from_millis(paused_for.as_millis() as u64)
            ));
        }
        limiter.waiters = waiters;
        Some(Inspected::Resource(limiter))
    }
}

impl Inspect for Family {
    fn inspect(&self, now: Instant) -> Option<Inspected> {
        let mut limiter = self.title.resource("keyed rate limit", self.burst);
        let mut queues = Vec::new();
        let mut page = lock(&self.members).page(0);
        while let Some(&(last, _)) = page.last() {
            for (number, member) in page {
                let Some(view) = member.core.upgrade().and_then(|core| View::of(&core)) else { continue };
                let mut waiters = view.waiters(now);
                if waiters.is_empty() {
                    continue;
                }
                let key = member.label.get().cloned().unwrap_or_else(|| format!("key #{number}"));
                for waiter in &mut waiters {
                    waiter.label = Some(match &waiter.label {
                        Some(label) => format!("{key}, {label}"),
                        None => key.clone(),
                    });
                }
                queues.push((waiters.len(), key));
                limiter.waiters.append(&mut waiters);
                let in_use = self.burst.saturating_sub(view.available(now)).into();
                limiter.in_use = limiter.in_use.max(in_use);
            }
            page = lock(&self.members).page(last + 1);
        }
        limiter.waiters.sort_by_key(|waiter| (waiter.until.is_none(), waiter.until, waiter.number));
        queues.sort_by_key(|(waiting, _)| Reverse(*waiting));
        if !queues.is_empty() {
            let shown: Vec<_> = queues
                .iter()
                .take(NAMED_QUEUES)
                .map(|(waiting, key)| format!("{waiting} for {key}"))
                .collect();
            let keys = queues.len();
            limiter
                .notes
                .push(format!("waiting in {keys} queues, of which the longest: {}", shown.join(", ")));
        }
        Some(Inspected::Resource(limiter))
    }
}
