//! The database: its rows, and the memory of what was read, written together.

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

use evenkeel::{
    pool,
    retry::{GaveUp, Policy, RetryError},
    task::Stop,
};
use serde::Serialize;

use crate::{
    api::Fetched,
    error::Fatal,
    model::{Call, User},
    stats::{Failure, Stats},
};
use chaos::{Fault, Trouble};
use postgres::Postgres;
use sqlite::Sqlite;

/// How an entry is stored again when somebody is in the way, or the connection is lost.
static POLICY: Policy = Policy::exponential(Duration::from_millis(50), Duration::from_secs(1))
    .max_attempts(6)
    .attempt_timeout(Duration::from_secs(10));

/// What is stored at once, all or nothing. To store an entry again changes nothing, so that a commit whose answer was
/// lost does no harm.
#[derive(Debug)]
pub(crate) enum Entry {
    Page(Page),
    /// Documents of users.
    Batch(Vec<Fetched>),
    /// There are no more pages, because of this.
    End(Failure),
}

/// A page that was read: it is the next one no more.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) this: String,
    pub(crate) users: Vec<User>,
    /// None if it is the last.
    pub(crate) next: Option<String>,
    /// What on it is no user, and why it is the last although it names another.
    pub(crate) failures: Vec<Failure>,
}

/// What of a pass is still to be done: all, or what an earlier run has left.
#[derive(Clone, Debug, Default)]
pub(crate) struct Left {
    /// The page to be read next.
    pub(crate) next: Option<String>,
    /// Documents of users on the pages before.
    pub(crate) calls: Vec<Call>,
    /// What is done.
    pub(crate) totals: Totals,
    pub(crate) failures: Vec<Failure>,
}

impl Left {
    fn all(first: &str) -> Self {
        Self { next: Some(first.to_owned()), ..Self::default() }
    }

    /// The calls that are left for a user.
    fn of_user(id: i64, orders_read: bool, prefs_read: bool) -> impl Iterator<Item = Call> {
        let calls = Call::both(id).into_iter().zip([orders_read, prefs_read]);
        calls.filter_map(|(call, is_read)| (!is_read).then_some(call))
    }
}

/// What a pass has come to: the counts of all its runs, by the store's own account.
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

    /// The later of two counts of the same pass.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            pages: self.pages.max(other.pages),
            listed: self.listed.max(other.listed),
            users: self.users.max(other.users),
            orders: self.orders.max(other.orders),
        }
    }
}

/// The moment at which most connections were leased or waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Leases {
    pub(crate) max: usize,
    pub(crate) waiting: usize,
    /// Where in the program they were taken, and how long ago.
    pub(crate) holders: Vec<String>,
}

impl Stats {
    /// A connection was leased.
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

/// Why something could not be stored.
#[derive(Clone, Debug)]
struct StoreError {
    reason: String,
    /// Whether it may be otherwise in a moment.
    passes: bool,
}

impl StoreError {
    fn lasting(reason: String) -> Self {
        Self { reason, passes: false }
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
    /// Opens the database, or makes it; with a seed it does not always do what it should.
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

    /// Takes the store for this run, and begins a pass over this source or goes on with the one that was not finished.
    pub(crate) async fn begin(&self, source: &str, first: &str) -> Result<Left, Fatal> {
        let begun = POLICY.run(async || match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.begin(source.to_owned(), first.to_owned()).await,
            Backend::Postgres(postgres) => postgres.begin(source, first).await,
        });
        let begun = begun.when(|error| error.passes).await;
        begun.map_err(|gave_up| {
            Fatal::Input(format!("cannot use the store {}: {}", self.location, reason(&gave_up)))
        })
    }

    /// Stores an entry, and drops it then.
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
            .when(|error| error.passes)
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

    /// Asks the store what it has: the last word on a run that was cut off.
    pub(crate) async fn recount(&self) {
        let totals = POLICY.run(|| async {
            match &self.backend {
                Backend::Sqlite(sqlite) => sqlite.totals().await,
                Backend::Postgres(postgres) => postgres.totals().await,
            }
        });
        // A store that is broken has said so before; then the report has what is known.
        if let Ok(totals) = totals.when(|error| error.passes).await {
            self.stats.stored(totals);
        }
    }

    /// Gets in the way of the run until it ends, by the seed's plan.
    pub(crate) async fn disturb(self, end: Stop) -> Result<(), Fatal> {
        let Some(seed) = self.chaos else { return Ok(()) };
        let trouble = Trouble::new(seed);
        let ended = match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.disturb(trouble, &end).await,
            Backend::Postgres(postgres) => postgres.disturb(trouble, &end).await,
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
