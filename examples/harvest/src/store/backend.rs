//! The database behind the store: a file of SQLite, or PostgreSQL where that is built in.

use std::sync::Arc;

use evenkeel::task::Stop;

#[cfg(feature = "postgres")]
use super::postgres::Postgres;
use super::{Checkpoint, Connect, Disturbances, Entry, Location, State, StoreError, Written, sqlite::Sqlite};
use crate::{
    model::Call,
    queue::Job,
    stats::{Failure, Stats},
};

#[derive(Clone, Debug)]
pub(super) enum Backend {
    Sqlite(Sqlite),
    #[cfg(feature = "postgres")]
    Postgres(Postgres),
}

impl Backend {
    pub(super) async fn open(
        location: &Location,
        connect: Arc<dyn Connect>,
        stats: Arc<Stats>,
    ) -> Result<Self, StoreError> {
        #[cfg(not(feature = "postgres"))]
        let _ = connect;
        match location {
            Location::Sqlite(path) => Sqlite::open(path, stats).await.map(Self::Sqlite),
            #[cfg(feature = "postgres")]
            Location::Postgres { config, .. } => {
                Postgres::open(config, connect, stats).await.map(Self::Postgres)
            }
        }
    }

    pub(super) fn connections(&self) -> usize {
        match self {
            Self::Sqlite(sqlite) => sqlite.connections(),
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.connections(),
        }
    }

    pub(super) async fn begin(&self, source: &str, first: &str) -> Result<Checkpoint, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.begin(source.to_owned(), first.to_owned()).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.begin(source, first).await,
        }
    }

    /// Only a database that processes share has to know.
    pub(super) async fn published(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            #[cfg(feature = "queue")]
            Self::Postgres(postgres) => postgres.published().await,
            #[cfg(all(feature = "postgres", not(feature = "queue")))]
            Self::Postgres(_) => Ok(()),
        }
    }

    pub(super) async fn write(&self, entry: Arc<Entry>, has_jobs: bool) -> Result<Written, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.write(entry, has_jobs).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.write(entry, has_jobs).await,
        }
    }

    pub(super) async fn state(&self) -> Result<State, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.state().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.state().await,
        }
    }

    /// Keeps the lock of a harvest that processes share.
    pub(super) async fn keep(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            #[cfg(feature = "queue")]
            Self::Postgres(postgres) => postgres.keep().await,
            #[cfg(all(feature = "postgres", not(feature = "queue")))]
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Waits for what a run that was cut off has left at the server.
    pub(super) async fn settle(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.settle().await,
        }
    }

    pub(super) async fn missing(&self, users: Vec<i64>) -> Result<Vec<Call>, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.missing(users).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.missing(users).await,
        }
    }

    pub(super) async fn jobs(&self) -> Result<Vec<Job>, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.jobs().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.jobs().await,
        }
    }

    pub(super) async fn failures(&self) -> Result<Vec<Failure>, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.failures().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.failures().await,
        }
    }

    pub(super) async fn disturb(&self, disturbances: Disturbances, end: &Stop) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.disturb(disturbances, end).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.disturb(disturbances, end).await,
        }
    }
}
