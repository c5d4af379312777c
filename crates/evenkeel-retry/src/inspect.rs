//! The retries of a policy that wait, in the dumps of evenkeel-inspect.
//!
//! # How it works
//!
//! A policy can be a `const` or a `static`, which the registry cannot refer to, and the feature must not change that. So a
//! policy has a [`Title`] only, and those with the same title and budget share a [`WaitList`] in each runtime. It is in [`LISTS`]
//! while a call waits, and the registry has a weak reference to it. A call enters the list when a delay begins, which it has
//! decided on and set a timer for by then, and leaves it when the delay ends or the call is dropped. A call that succeeds at
//! once meets nothing of this.
//!
//! Of an error the list has the name of its type, and never its text, which may hold a secret.

use std::{
    collections::HashMap,
    fmt,
    panic::Location,
    sync::{Arc, LazyLock, Mutex, Weak},
};

use evenkeel_base::{Slab, lock};
use evenkeel_inspect::{
    Inspect, Inspected, InspectedResource, Registration, TaskId, WaiterEdge, copy_chunks, register,
};
use tokio::{
    runtime::{self, Handle},
    time::Instant,
};

use crate::Budget;

/// The lists on which calls wait.
static LISTS: LazyLock<Mutex<HashMap<ListKey, Weak<WaitList>>>> = LazyLock::new(Mutex::default);

/// The title of a policy in dumps.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Title {
    name: Option<&'static str>,
    /// `None` for a policy that was read from a configuration.
    place: Option<&'static Location<'static>>,
}

/// The identity of a list; the budget's is its address, which lives as long as the list.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct ListKey {
    title: Title,
    budget: Option<usize>,
    runtime: Option<runtime::Id>,
}

/// The waits of the policies with a title.
struct WaitList {
    key: ListKey,
    budget: Option<Budget>,
    waits: Mutex<NumberedWaits>,
    _registration: Registration,
}

#[derive(Default)]
struct NumberedWaits {
    waits: Slab<Wait>,
    numbers: u64,
}

/// A call that waits for its next attempt.
#[derive(Clone, Copy)]
pub(crate) struct Wait {
    number: u64,
    task: TaskId,
    place: &'static Location<'static>,
    since: Instant,
    until: Instant,
    /// The attempt that failed.
    attempt: u32,
    /// The name of the type of its error; `None` for an attempt that was cut off by its time limit.
    failure: Option<&'static str>,
}

/// Keeps a wait on the list.
pub(crate) struct ListedWait {
    list: Arc<WaitList>,
    key: usize,
    task: TaskId,
}

impl Wait {
    pub(crate) fn new(
        place: &'static Location<'static>,
        until: Instant,
        attempt: u32,
        failure: Option<&'static str>,
    ) -> Self {
        Self { number: 0, task: TaskId::current(), place, since: Instant::now(), until, attempt, failure }
    }

    fn edge(&self, now: Instant) -> WaiterEdge {
        let waited = now.saturating_duration_since(self.since);
        let mut edge = WaiterEdge::new(self.number, self.task, self.place, waited);
        edge.until = Some(self.until);
        let next = self.attempt.saturating_add(1);
        edge.label = Some(match self.failure {
            Some(error) => format!("attempt {next}, after {error}"),
            None => format!("attempt {next}, after a time-out"),
        });
        edge
    }
}

impl Title {
    pub(crate) const fn new(place: &'static Location<'static>) -> Self {
        Self { name: None, place: Some(place) }
    }

    pub(crate) const fn set_name(&mut self, name: &'static str) {
        self.name = Some(name);
    }

    #[cfg(feature = "serde")]
    pub(crate) const fn forget_place(&mut self) {
        self.place = None;
    }

    /// Adds a wait to the list.
    pub(crate) fn add(self, budget: Option<&Budget>, wait: Wait) -> ListedWait {
        let (list, task) = (WaitList::of(self, budget), wait.task);
        let key = lock(&list.waits).add(wait);
        ListedWait { list, key, task }
    }
}

impl WaitList {
    fn of(title: Title, budget: Option<&Budget>) -> Arc<Self> {
        let runtime = Handle::try_current().ok().map(|runtime| runtime.id());
        let key = ListKey { title, budget: budget.map(Budget::address), runtime };
        let mut lists = lock(&LISTS);
        if let Some(list) = lists.get(&key).and_then(Weak::upgrade) {
            return list;
        }
        let list = Arc::new_cyclic(|list| Self {
            key,
            budget: budget.cloned(),
            waits: Mutex::default(),
            _registration: register(Weak::clone(list)),
        });
        lists.insert(key, Arc::downgrade(&list));
        list
    }
}

impl Drop for WaitList {
    fn drop(&mut self) {
        let mut lists = lock(&LISTS);
        // There may be another one by now.
        if lists.get(&self.key).is_some_and(|list| list.strong_count() == 0) {
            lists.remove(&self.key);
        }
    }
}

impl NumberedWaits {
    fn add(&mut self, wait: Wait) -> usize {
        self.numbers += 1;
        self.waits.insert(Wait { number: self.numbers, ..wait })
    }
}

impl ListedWait {
    pub(crate) fn polled_here(&mut self) {
        let task = TaskId::current();
        if self.task != task {
            self.task = task;
            if let Some(wait) = lock(&self.list.waits).waits.get_mut(self.key) {
                wait.task = task;
            }
        }
    }
}

impl Drop for ListedWait {
    fn drop(&mut self) {
        lock(&self.list.waits).waits.discard(self.key);
    }
}

impl Inspect for WaitList {
    /// Nothing is to be said of a policy while no call waits.
    fn inspect(&self, now: Instant) -> Option<Inspected> {
        let mut waits = Vec::<Wait>::new();
        let expected = lock(&self.waits).waits.len();
        copy_chunks(&mut waits, expected, |entries, waits| {
            let listed = lock(&self.waits);
            waits.extend(listed.waits.values_in(entries).copied());
            listed.waits.entry_count()
        });
        if waits.is_empty() {
            return None;
        }
        waits.sort_unstable_by_key(|wait| (wait.until, wait.number));
        let mut retry = InspectedResource::new("retry", 0);
        (retry.name, retry.place) = (self.key.title.name.map(Into::into), self.key.title.place);
        retry.waiters = waits.iter().map(|wait| wait.edge(now)).collect();
        if let Some(budget) = &self.budget {
            let snapshot = budget.snapshot();
            let (left, refused) = (snapshot.available, snapshot.refused);
            retry.notes.push(format!("{left} retries left in its budget, which has refused {refused}"));
        }
        Some(Inspected::Resource(retry))
    }
}

// Policies from different places with the same settings look the same.
impl fmt::Debug for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Title").field(&self.name).finish()
    }
}

impl fmt::Debug for ListedWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ListedWait").field(&self.key).finish()
    }
}
