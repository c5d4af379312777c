//! The database: the rows and the progress of the run, written in the same transactions.

mod backend;
mod chaos;
mod connect;
mod lease;
mod location;
#[cfg(feature = "postgres")]
mod postgres;
mod repeat;
#[cfg(feature = "queue")]
mod shared;
mod sql;
mod sqlite;

pub use connect::Connect;
pub(crate) use connect::Network;
pub(crate) use location::Choice;
pub use location::Location;
#[cfg(feature = "queue")]
pub(crate) use location::{quoted, without_secrets};
#[cfg(feature = "queue")]
pub(crate) use postgres::{Joined, OrderRow, UserRow};
pub(crate) use repeat::StoreError;

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

use backend::Backend;
use chaos::{Disturbances, Fault};
use evenkeel::{pool, task::Stop};
use repeat::{POLICY, repeat};
use serde::Serialize;

use crate::{
    api::Fetched,
    error::Fatal,
    model::{Call, User},
    queue::Job,
    stats::{Failure, Stats},
};

/// The rows of one transaction. Storing an entry again changes nothing, so a commit whose answer was lost can be repeated.
#[derive(Debug)]
pub(crate) enum Entry {
    Page(Page),
    /// Documents of users.
    Batch(Vec<Fetched>),
    /// There are no more pages, because of this failure; only if the page is the next one, where one is named.
    End {
        page: Option<String>,
        failure: Failure,
    },
}

/// A page that was read. Storing it makes its next page the cursor.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) this: String,
    pub(crate) users: Vec<User>,
    /// `None` on the last page.
    pub(crate) next: Option<String>,
    /// The invalid records on the page, and the reason why it is the last one although it has a link.
    pub(crate) failures: Vec<Failure>,
}

/// The point at which a pass is continued: its start, or the state after an earlier run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checkpoint {
    /// The page to be read next.
    pub(crate) next: Option<String>,
    /// The missing documents of users on earlier pages.
    pub(crate) calls: Vec<Call>,
    /// The rows that are stored.
    pub(crate) totals: Totals,
    pub(crate) failures: Vec<Failure>,
}

impl Checkpoint {
    fn start(first: &str) -> Self {
        Self { next: Some(first.to_owned()), ..Self::default() }
    }

    /// Returns the jobs that are left: the next page, and the missing documents.
    pub(crate) fn jobs(&self) -> Vec<Job> {
        let page = self.next.iter().cloned().map(Job::Page);
        page.chain(self.calls.iter().copied().map(Job::Document)).collect()
    }

    /// Returns the missing documents of a user.
    fn of_user(id: i64, orders_read: bool, prefs_read: bool) -> impl Iterator<Item = Call> {
        let calls = Call::both(id).into_iter().zip([orders_read, prefs_read]);
        calls.filter_map(|(call, is_read)| (!is_read).then_some(call))
    }
}

/// The result of a transaction.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) state: State,
    /// The users that it has completed.
    pub(crate) users: u64,
    /// The work that a page leads to, if it is to be published: the next page, and the missing documents of its users.
    pub(crate) jobs: Vec<Job>,
    /// The next page was read before: the pages run in a circle.
    pub(crate) is_circle: bool,
}

/// How far a pass has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) totals: Totals,
    /// All pages are read, and all users on them are complete.
    pub(crate) is_complete: bool,
}

/// The counts of a pass over all its runs, as the store has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Totals {
    pub(crate) pages: u64,
    /// Users on the pages.
    pub(crate) listed: u64,
    /// Users that the pass has stored.
    pub(crate) users: u64,
    /// Orders that the pass has stored. The store also keeps those of an earlier pass that could not be read this time.
    pub(crate) orders: u64,
}

impl Totals {
    fn new(columns: [i64; 4]) -> Self {
        let [pages, listed, users, orders] = columns.map(|count| count.max(0) as u64);
        Self { pages, listed, users, orders }
    }

    /// Returns the later of two counts of the same pass.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            pages: self.pages.max(other.pages),
            listed: self.listed.max(other.listed),
            users: self.users.max(other.users),
            orders: self.orders.max(other.orders),
        }
    }
}

/// The leases at the moment when most connections were leased or waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Leases {
    pub(crate) max: usize,
    pub(crate) waiting: usize,
    /// The places in the program where they were taken, and for how long.
    pub(crate) holders: Vec<String>,
}

impl Stats {
    /// Records that a connection was leased.
    fn leased(&self, pool: &pool::Snapshot, holders: &[pool::Holder]) {
        self.with(|counts| {
            let worst = &mut counts.leases;
            if pool.in_use + pool.waiting > worst.holders.len() + worst.waiting {
                let holders = holders.iter().map(|holder| {
                    format!("{}:{} for {:.0?}", holder.place.file(), holder.place.line(), holder.held_for)
                });
                *worst = Leases { max: pool.max, waiting: pool.waiting, holders: holders.collect() };
            }
        });
    }
}

/// The open database. A handle: clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    backend: Backend,
    location: Location,
    stats: Arc<Stats>,
    chaos: Option<u64>,
    entries: Arc<AtomicU64>,
    has_jobs: bool,
}

impl Store {
    /// Opens or creates the database. With a `chaos` seed it misbehaves.
    pub(crate) async fn open(
        location: &Location,
        connect: Arc<dyn Connect>,
        stats: Arc<Stats>,
        chaos: Option<u64>,
    ) -> Result<Self, Fatal> {
        let backend = Backend::open(location, connect, stats.clone()).await;
        let backend =
            backend.map_err(|error| Fatal::Input(format!("cannot use the store {location}: {error}")))?;
        Ok(Self {
            backend,
            location: location.clone(),
            stats,
            chaos,
            entries: Arc::default(),
            has_jobs: false,
        })
    }

    /// Returns the number of connections that are leased.
    pub(crate) fn connections(&self) -> usize {
        self.backend.connections()
    }

    /// Locks the store for this run, and begins a pass over this source or continues the unfinished one.
    pub(crate) async fn begin(&self, source: &str, first: &str) -> Result<Checkpoint, Fatal> {
        let begun = repeat(&self.stats, || self.backend.begin(source, first));
        begun.await.map_err(|error| self.unusable(&error))
    }

    fn unusable(&self, error: &StoreError) -> Fatal {
        Fatal::Input(format!("cannot use the store {}: {error}", self.location))
    }

    /// Notes that the first jobs of a shared harvest are published.
    pub(crate) async fn published(&self) -> Result<(), StoreError> {
        self.backend.published().await
    }

    /// Publishes the work that pages lead to: the writes of pages return it.
    pub(crate) fn with_jobs(mut self) -> Self {
        self.has_jobs = true;
        self
    }

    /// Stores an entry, and drops it with its guards.
    pub(crate) async fn write(&self, entry: Entry) -> Result<Written, StoreError> {
        let what = match &entry {
            Entry::Page(_) | Entry::End { .. } => "a page",
            Entry::Batch(_) => "a batch",
        };
        let documents = match &entry {
            Entry::Page(_) => 1,
            Entry::Batch(fetched) => fetched.len() as u64,
            Entry::End { .. } => 0,
        };
        let entry = Arc::new(entry);
        let storing = self.stats.storing(documents);
        let number = self.entries.fetch_add(1, Relaxed);
        let attempts = AtomicU32::new(0);
        let written =
            repeat(&self.stats, || self.attempt(entry.clone(), number, attempts.fetch_add(1, Relaxed) + 1));
        match written.await {
            Ok(written) => {
                self.stats.stored(written.state);
                storing.done();
                Ok(written)
            }
            Err(StoreError { reason, is_transient }) => {
                Err(StoreError { reason: format!("cannot store {what}: {reason}"), is_transient })
            }
        }
    }

    async fn attempt(&self, entry: Arc<Entry>, number: u64, attempt: u32) -> Result<Written, StoreError> {
        let fault = self.chaos.and_then(|seed| chaos::fault(seed, number, attempt));
        if let Some(Fault::Refused) = fault {
            return Err(Fault::Refused.error());
        }
        let written = self.backend.write(entry, self.has_jobs).await?;
        fault.map_or(Ok(written), |fault| Err(fault.error()))
    }

    /// Reads how far the pass has come.
    pub(crate) async fn state(&self) -> Result<State, StoreError> {
        let state = self.backend.state().await?;
        self.stats.stored(state);
        Ok(state)
    }

    /// Reads how far the pass has come; for the workers of a harvest it also sees to the lock, and to whether the store is
    /// still theirs.
    pub(crate) async fn look(&self) -> Result<State, StoreError> {
        self.backend.keep().await?;
        self.state().await
    }

    /// Reads the counts from the store, after a run that was cut off.
    pub(crate) async fn recount(&self) {
        let state = POLICY.run(|| async {
            self.backend.settle().await?;
            self.state().await
        });
        // A broken store was reported before. Then the report has the last known counts.
        let _ = state.when(|error| error.is_transient).await;
    }

    /// Returns those of the documents of these users that are missing.
    pub(crate) async fn missing(&self, users: Vec<i64>) -> Result<Vec<Call>, StoreError> {
        self.backend.missing(users).await
    }

    /// Reads the jobs that are left: the next page, and the missing documents.
    pub(crate) async fn jobs(&self) -> Result<Vec<Job>, StoreError> {
        self.backend.jobs().await
    }

    /// Reads the failures of the pass.
    pub(crate) async fn failures(&self) -> Result<Vec<Failure>, StoreError> {
        self.backend.failures().await
    }

    /// Disturbs the run until it ends, by a plan from the seed.
    pub(crate) async fn disturb(self, end: Stop) -> Result<(), Fatal> {
        let Some(seed) = self.chaos else { return Ok(()) };
        let disturbances = Disturbances::new(seed);
        let ended = self.backend.disturb(disturbances, &end).await;
        ended.map_err(|error| Fatal::Broken(format!("cannot disturb the store: {error}")))
    }
}
