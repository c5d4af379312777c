//! The store in a SQLite file.

mod statements;

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use deadpool_sqlite::{Config, Manager, Runtime};
use evenkeel::{
    pool::{Deadpool, GetError, Pool},
    task::Stop,
};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _};
use tokio::time::{Instant, sleep};

use super::{
    Checkpoint, Disturbances, Entry, State, StoreError, Written,
    lease::{self, Run},
    repeat, sql,
};
use crate::{
    model::Call,
    process,
    queue::Job,
    stats::{Failure, Stats},
};

/// How long a statement waits for another program that writes, before it is retried.
const BUSY: Duration = Duration::from_secs(1);

/// The clock of the machine, in seconds.
const NOW: &str = "CAST(strftime('%s', 'now') AS INTEGER)";

/// A handle: clones are the same database.
#[derive(Clone, Debug)]
pub(super) struct Sqlite {
    path: PathBuf,
    pool: Pool<Deadpool<Manager>>,
    stats: Arc<Stats>,
    run: Run,
    /// The file that this run has locked.
    lock: Arc<OnceLock<File>>,
}

impl Sqlite {
    /// Opens or creates the database.
    pub(super) async fn open(path: &Path, stats: Arc<Stats>) -> Result<Self, StoreError> {
        let manager = Manager::from_config(&Config::new(path), Runtime::Tokio1);
        // SQLite has one writer at a time. The others wait in the queue of the pool.
        let pool = Pool::builder(Deadpool::new(manager)).max(1).named("store").build();
        let store = Self {
            path: path.into(),
            pool: pool.map_err(|error| StoreError::permanent(error.to_string()))?,
            stats,
            run: Run::this(),
            lock: Arc::default(),
        };
        // Another run may be creating it at this moment, or another program may lock it for a second.
        let prepared = repeat(&store.stats, || store.with(statements::prepare)).await;
        prepared.map_err(|error| StoreError::permanent(error.reason))?;
        Ok(store)
    }

    pub(super) fn connections(&self) -> usize {
        self.pool.snapshot().in_use
    }

    pub(super) async fn begin(&self, source: String, first: String) -> Result<Checkpoint, StoreError> {
        self.lock().await?;
        let run = self.run.clone();
        self.with(move |connection| statements::begin(connection, &run, &source, &first)).await
    }

    /// Takes the lock, until the process ends.
    async fn lock(&self) -> Result<(), StoreError> {
        if self.lock.get().is_some() {
            return Ok(());
        }
        // The path as SQLite has resolved it; empty for a database in memory.
        let path = self.with(|connection| Ok(connection.path().map(|path| format!("{path}-lease")))).await?;
        let Some(path) = path.filter(|path| path != "-lease") else { return Ok(()) };
        let deadline = Instant::now() + lease::LOCK_TIMEOUT;
        loop {
            if let Some(file) = lease::lock(path.as_ref())? {
                let _ = self.lock.set(file);
                return Ok(());
            }
            if Instant::now() >= deadline {
                let holder = self.with(|connection| {
                    let sql = lease::with_clock(sql::HOLDER, NOW);
                    connection.query_row(&sql, [], |row| row.try_into()).optional()
                });
                return Err(lease::in_use(holder.await?));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stores an entry in one transaction.
    pub(super) async fn write(&self, entry: Arc<Entry>, has_jobs: bool) -> Result<Written, StoreError> {
        let token = self.run.token.clone();
        let write =
            move |connection: &mut Connection| statements::write(connection, &token, &entry, has_jobs);
        self.with(write).await?.map_err(|holder| lease::taken(&holder))
    }

    pub(super) async fn state(&self) -> Result<State, StoreError> {
        self.with(|connection| statements::state(connection)).await
    }

    pub(super) async fn missing(&self, users: Vec<i64>) -> Result<Vec<Call>, StoreError> {
        self.with(move |connection| statements::missing(connection, users)).await
    }

    pub(super) async fn jobs(&self) -> Result<Vec<Job>, StoreError> {
        Ok(self.with(|connection| statements::checkpoint(connection)).await?.jobs())
    }

    pub(super) async fn failures(&self) -> Result<Vec<Failure>, StoreError> {
        self.with(|connection| statements::failures(connection)).await
    }

    /// Sometimes locks the database, as another program might.
    pub(super) async fn disturb(&self, mut disturbances: Disturbances, end: &Stop) -> Result<(), StoreError> {
        let other = Self::open(&self.path, Arc::default()).await?;
        while disturbances.pause(end).await {
            // If the lock is taken, the run is being disturbed already.
            if other.with(|connection| connection.execute_batch("BEGIN IMMEDIATE")).await.is_ok() {
                sleep(disturbances.hold()).await;
                other.with(|connection| connection.execute_batch("ROLLBACK")).await?;
            }
        }
        Ok(())
    }

    /// Runs `work` on a thread for blocking work. The lease has the place of the caller.
    #[track_caller]
    fn with<T, F>(&self, work: F) -> impl Future<Output = Result<T, StoreError>> + Send
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let lease = self.pool.get();
        async {
            let lease = lease.await.map_err(|error| match error {
                GetError::Create(error) => unopened(error, &self.path),
                other => StoreError::permanent(other.to_string()),
            })?;
            self.stats.leased(&self.pool.snapshot(), &self.pool.holders());
            match lease.interact(work).await {
                Ok(done) => Ok(done?),
                Err(error) => Err(StoreError::permanent(error.to_string())),
            }
        }
    }
}

/// Adds the reason of the operating system to an error of SQLite, which does not say why it cannot open a file.
fn unopened(error: rusqlite::Error, path: &Path) -> StoreError {
    let mut told = StoreError::from(error);
    if let Err(reason) = File::options().read(true).write(true).create(true).truncate(false).open(path) {
        told.reason += &format!(": {reason}");
    }
    told
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let is_transient =
            matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked));
        let mut reason = error.to_string();
        // `prepare` has checked the file itself.
        if error.sqlite_error_code() == Some(ErrorCode::ReadOnly) && reason != statements::READ_ONLY {
            reason += "; its directory and the files beside it have to be writable, too";
        }
        if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure)
            && let Some(bytes) = process::file_size_limit()
        {
            reason += &format!("; no file of this process may have more than {bytes} bytes (ulimit -f)");
        }
        Self { reason, is_transient }
    }
}
