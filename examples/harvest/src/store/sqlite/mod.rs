//! The store in a file.

mod rows;

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
    Entry, Left, POLICY, StoreError, Totals, Trouble,
    lease::{self, Run},
    reason, sql,
};
use crate::{process, stats::Stats};

/// How long a statement waits for another program that writes; after that it is tried again.
const BUSY: Duration = Duration::from_secs(1);

/// The time by the clock of the machine, in seconds.
const NOW: &str = "CAST(strftime('%s', 'now') AS INTEGER)";

/// A handle: clones are the same database.
#[derive(Clone, Debug)]
pub(super) struct Sqlite {
    path: PathBuf,
    pool: Pool<Deadpool<Manager>>,
    stats: Arc<Stats>,
    run: Run,
    /// The file whose lock is this run's.
    lock: Arc<OnceLock<File>>,
}

impl Sqlite {
    /// Opens the database, or makes it.
    pub(super) async fn open(path: &Path, stats: Arc<Stats>) -> Result<Self, StoreError> {
        let manager = Manager::from_config(&Config::new(path), Runtime::Tokio1);
        // SQLite has one writer at a time: the pool is where the others wait in line.
        let pool = Pool::builder(Deadpool::new(manager)).max(1).build();
        let store = Self {
            path: path.into(),
            pool: pool.map_err(|error| StoreError::lasting(error.to_string()))?,
            stats,
            run: Run::this(),
            lock: Arc::default(),
        };
        // Another run may be making it at this moment, or a program that looks at it may keep it for a second.
        let prepared = POLICY.run(|| store.with(rows::prepare)).when(|error| error.passes).await;
        prepared.map_err(|gave_up| StoreError::lasting(reason(&gave_up)))?;
        Ok(store)
    }

    pub(super) async fn begin(&self, source: String, first: String) -> Result<Left, StoreError> {
        self.lock().await?;
        let run = self.run.clone();
        self.with(move |connection| rows::begin(connection, &run, &source, &first)).await
    }

    /// Takes the lock, for as long as this process lives.
    async fn lock(&self) -> Result<(), StoreError> {
        if self.lock.get().is_some() {
            return Ok(());
        }
        // Through links and whatever else a path may be; none of a database in memory.
        let path = self.with(|connection| Ok(connection.path().map(|path| format!("{path}-lease")))).await?;
        let Some(path) = path.filter(|path| path != "-lease") else { return Ok(()) };
        let deadline = Instant::now() + lease::PATIENCE;
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

    /// Stores an entry, all or nothing.
    pub(super) async fn write(&self, entry: Arc<Entry>) -> Result<Totals, StoreError> {
        let token = self.run.token.clone();
        let written = self.with(move |connection| rows::write(connection, &token, &entry)).await?;
        written.map_err(|holder| lease::taken(&holder))
    }

    pub(super) async fn totals(&self) -> Result<Totals, StoreError> {
        self.with(|connection| rows::totals(connection)).await
    }

    /// Locks the database now and then, as another program might.
    pub(super) async fn disturb(&self, mut trouble: Trouble, end: &Stop) -> Result<(), StoreError> {
        let other = Self::open(&self.path, Arc::default()).await?;
        while trouble.pause(end).await {
            // Where the lock cannot be had, there is trouble enough.
            if other.with(|connection| connection.execute_batch("BEGIN IMMEDIATE")).await.is_ok() {
                sleep(trouble.hold()).await;
                other.with(|connection| connection.execute_batch("ROLLBACK")).await?;
            }
        }
        Ok(())
    }

    /// Runs `work` on a thread for blocking work. The lease is told to be that of the caller.
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
                other => StoreError::lasting(other.to_string()),
            })?;
            self.stats.leased(&self.pool.snapshot(), &self.pool.holders());
            match lease.interact(work).await {
                Ok(done) => Ok(done?),
                Err(error) => Err(StoreError::lasting(error.to_string())),
            }
        }
    }
}

/// SQLite does not say why it cannot open a file; the system does.
fn unopened(error: rusqlite::Error, path: &Path) -> StoreError {
    let mut told = StoreError::from(error);
    if let Err(reason) = File::options().read(true).write(true).create(true).truncate(false).open(path) {
        told.reason += &format!(": {reason}");
    }
    told
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let passes =
            matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked));
        let mut reason = error.to_string();
        // The file itself was looked at before.
        if error.sqlite_error_code() == Some(ErrorCode::ReadOnly) && reason != rows::READ_ONLY {
            reason += "; its directory and the files beside it have to be writable, too";
        }
        if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure)
            && let Some(bytes) = process::file_size_limit()
        {
            reason += &format!("; no file of this process may have more than {bytes} bytes (ulimit -f)");
        }
        Self { reason, passes }
    }
}
