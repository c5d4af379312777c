//! The store in a SQLite file.

mod statements;

use std::{path::Path, sync::Arc};

use deadpool_sqlite::{Config, Manager, Runtime};
use evenkeel::pool::{Deadpool, GetError, Pool};
use rusqlite::{Connection, ErrorCode};

use super::{Batch, Record, Statement, StoreError, Value};

/// A handle: clones are the same database.
#[derive(Clone, Debug)]
pub(super) struct Sqlite {
    pool: Pool<Deadpool<Manager>>,
}

impl Sqlite {
    /// Opens or creates the database, and locks it until the process ends.
    pub(super) async fn open(path: &Path) -> Result<Self, StoreError> {
        let manager = Manager::from_config(&Config::new(path), Runtime::Tokio1);
        // SQLite has one writer at a time. The connection holds the lock of the run, so it is never replaced.
        let pool = Pool::builder(Deadpool::new(manager)).max(1).named("store").build();
        let store = Self { pool: pool.map_err(|error| StoreError::permanent(error.to_string()))? };
        store.with(statements::prepare).await.map_err(|error| {
            let hint = if error.is_transient { "; is it in use by another run?" } else { "" };
            StoreError::permanent(error.reason + hint)
        })?;
        Ok(store)
    }

    pub(super) async fn fetch<R: Record>(
        &self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<R>, StoreError> {
        self.with(move |connection| statements::fetch(connection, sql, &values)).await
    }

    pub(super) async fn transaction(&self, all: Arc<Vec<Statement>>) -> Result<(), StoreError> {
        self.with(move |connection| statements::transaction(connection, &all)).await
    }

    pub(super) async fn write(&self, batch: Arc<Batch>) -> Result<i64, StoreError> {
        self.with(move |connection| statements::write(connection, &batch)).await
    }

    /// Runs `work` on a thread for blocking work.
    async fn with<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let lease = self.pool.get().await.map_err(|error| match error {
            GetError::Create(error) => StoreError::from(error),
            other => StoreError::permanent(other.to_string()),
        })?;
        match lease.interact(work).await {
            Ok(done) => Ok(done?),
            Err(error) => Err(StoreError::permanent(error.to_string())),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let is_transient =
            matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked));
        Self { reason: error.to_string(), is_transient }
    }
}
