//! The database: the rows and the progress of the run, written in the same transactions.

mod chaos;
mod lease;
mod location;
mod postgres;
mod sql;
mod sqlite;

pub(crate) use location::{Choice, Location};

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use chaos::{Disturbances, Fault};
use evenkeel::{
    pool,
    retry::{GaveUp, Policy, RetryError},
    task::Stop,
};
use postgres::Postgres;
use serde::Serialize;
use sqlite::Sqlite;

use crate::{
    api::Fetched,
    error::Fatal,
    model::{Call, User},
    stats::{Failure, Stats},
};

/// The retry policy of an entry, for conflicts with other programs and lost connections.
static POLICY: Policy = Policy::exponential(Duration::from_millis(50), Duration::from_secs(1))
    .max_attempts(6)
    .attempt_timeout(Duration::from_secs(10));

/// The rows of one transaction. Storing an entry again changes nothing, so a commit whose answer was lost can be repeated.
#[derive(Debug)]
pub(crate) enum Entry {
    Page(Page),
    /// Documents of users.
    Batch(Vec<Fetched>),
    /// There are no more pages, because of this failure.
    End(Failure),
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

    /// Returns the missing documents of a user.
    fn of_user(id: i64, orders_read: bool, prefs_read: bool) -> impl Iterator<Item = Call> {
        let calls = Call::both(id).into_iter().zip([orders_read, prefs_read]);
        calls.filter_map(|(call, is_read)| (!is_read).then_some(call))
    }
}

/// The counts of a pass over all its runs, as the store has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) pages: u64,
    /// Users on the pages.
    pub(crate) listed: u64,
    /// Users in the store.
    pub(crate) users: u64,
    /// Orders in the store.
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

/// The error of an attempt to store an entry.
#[derive(Clone, Debug)]
struct StoreError {
    reason: String,
    /// Whether another attempt may succeed.
    is_transient: bool,
}

impl StoreError {
    fn permanent(reason: String) -> Self {
        Self { reason, is_transient: false }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for StoreError {}

/// The open database. A handle: clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    backend: Backend,
    location: Location,
    stats: Arc<Stats>,
    chaos: Option<u64>,
    entries: Arc<AtomicU64>,
}

#[derive(Clone, Debug)]
enum Backend {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Store {
    /// Opens or creates the database. With a `chaos` seed it misbehaves.
    pub(crate) async fn open(
        location: &Location,
        stats: Arc<Stats>,
        chaos: Option<u64>,
    ) -> Result<Self, Fatal> {
        let backend = match location {
            Location::Sqlite(path) => Sqlite::open(path, stats.clone()).await.map(Backend::Sqlite),
            Location::Postgres { config, .. } => {
                Postgres::open(config, stats.clone()).await.map(Backend::Postgres)
            }
        };
        let backend =
            backend.map_err(|error| Fatal::Input(format!("cannot use the store {location}: {error}")))?;
        Ok(Self { backend, location: location.clone(), stats, chaos, entries: Arc::default() })
    }

    /// Locks the store for this run, and begins a pass over this source or continues the unfinished one.
    pub(crate) async fn begin(&self, source: &str, first: &str) -> Result<Checkpoint, Fatal> {
        let begun = POLICY.run(async || match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.begin(source.to_owned(), first.to_owned()).await,
            Backend::Postgres(postgres) => postgres.begin(source, first).await,
        });
        let begun = begun.when(|error| error.is_transient).await;
        begun.map_err(|gave_up| {
            Fatal::Input(format!("cannot use the store {}: {}", self.location, reason(&gave_up)))
        })
    }

    /// Stores an entry, and drops it with its guards.
    pub(crate) async fn write(&self, entry: Entry) -> Result<(), Fatal> {
        let what = match &entry {
            Entry::Page(_) | Entry::End(_) => "a page",
            Entry::Batch(_) => "a batch",
        };
        let entry = Arc::new(entry);
        let number = self.entries.fetch_add(1, Relaxed);
        let attempts = AtomicU32::new(0);
        let written = POLICY
            .run(|| self.attempt(entry.clone(), number, attempts.fetch_add(1, Relaxed) + 1))
            .when(|error| error.is_transient)
            .observe(|_| self.stats.with(|counts| counts.store_retries += 1));
        match written.await {
            Ok(totals) => {
                self.stats.stored(totals);
                Ok(())
            }
            Err(gave_up) => Err(Fatal::Broken(format!("cannot store {what}: {}", reason(&gave_up)))),
        }
    }

    async fn attempt(&self, entry: Arc<Entry>, number: u64, attempt: u32) -> Result<Totals, StoreError> {
        let fault = self.chaos.and_then(|seed| chaos::fault(seed, number, attempt));
        if let Some(Fault::Refused) = fault {
            return Err(Fault::Refused.error());
        }
        let totals = match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.write(entry).await?,
            Backend::Postgres(postgres) => postgres.write(entry).await?,
        };
        fault.map_or(Ok(totals), |fault| Err(fault.error()))
    }

    /// Reads the counts from the store, after a run that was cut off.
    pub(crate) async fn recount(&self) {
        let totals = POLICY.run(|| async {
            match &self.backend {
                Backend::Sqlite(sqlite) => sqlite.totals().await,
                Backend::Postgres(postgres) => postgres.totals().await,
            }
        });
        // A broken store was reported before. Then the report has the last known counts.
        if let Ok(totals) = totals.when(|error| error.is_transient).await {
            self.stats.stored(totals);
        }
    }

    /// Disturbs the run until it ends, by a plan from the seed.
    pub(crate) async fn disturb(self, end: Stop) -> Result<(), Fatal> {
        let Some(seed) = self.chaos else { return Ok(()) };
        let disturbances = Disturbances::new(seed);
        let ended = match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.disturb(disturbances, &end).await,
            Backend::Postgres(postgres) => postgres.disturb(disturbances, &end).await,
        };
        ended.map_err(|error| Fatal::Broken(format!("cannot disturb the store: {error}")))
    }
}

fn reason(gave_up: &RetryError<StoreError>) -> String {
    let last = gave_up.last.as_ref().map_or("it took too long".into(), StoreError::to_string);
    match gave_up.reason {
        GaveUp::Permanent => last,
        _ => format!("{last}, at attempt {}", gave_up.attempts),
    }
}
