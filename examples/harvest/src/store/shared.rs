//! A store that several processes share, which is in PostgreSQL.

use std::{ops::RangeInclusive, time::Duration};

use evenkeel::pipeline::PgQueue;

use super::{
    Store, StoreError,
    backend::Backend,
    postgres::{Joined, Postgres, Rows},
    repeat::repeat,
};
use crate::{board::Board, error::Fatal};

impl Store {
    fn postgres(&self) -> Result<&Postgres, Fatal> {
        match &self.backend {
            Backend::Postgres(postgres) => Ok(postgres),
            Backend::Sqlite(_) => {
                Err(Fatal::Input("several processes share a store in PostgreSQL alone".into()))
            }
        }
    }

    /// Returns a queue in the database of the store, in which the jobs that a page leads to are enqueued with it.
    pub(crate) async fn queue(&self, lease: Duration) -> Result<PgQueue, Fatal> {
        let queue = self.postgres()?.queue(lease).await;
        queue.map_err(|error| Fatal::Input(format!("cannot use the queue in {}: {error}", self.location)))
    }

    /// Returns the board beside the store, which is there once a worker has joined.
    pub(crate) fn board(&self) -> Result<Board, Fatal> {
        self.postgres().map(Postgres::board)
    }

    /// Reads the rows of the users with ids in this range.
    pub(crate) async fn rows(&self, ids: RangeInclusive<i64>) -> Result<Rows, Fatal> {
        Ok(self.postgres()?.rows(ids).await?)
    }

    /// Counts the users with ids outside of this range.
    pub(crate) async fn users_outside(&self, ids: RangeInclusive<i64>) -> Result<u64, Fatal> {
        Ok(self.postgres()?.users_outside(ids).await?)
    }

    /// Begins a harvest that several processes share, or joins the one that is not finished.
    pub(crate) async fn join(&self, source: &str, first: &str, queue: &str) -> Result<Joined, Fatal> {
        let postgres = self.postgres()?;
        let joined = repeat(&self.stats, || postgres.join(source, first, queue)).await;
        joined.map_err(|error| self.unusable(&error))
    }

    /// Returns whether no other process is at the shared harvest.
    pub(crate) async fn is_alone(&self) -> Result<bool, StoreError> {
        match &self.backend {
            Backend::Sqlite(_) => Ok(true),
            Backend::Postgres(postgres) => postgres.is_alone().await,
        }
    }
}
