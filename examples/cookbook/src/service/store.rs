//! Prices that are known, in a SQLite file.

use std::{path::PathBuf, time::Duration};

use evenkeel::{
    pool::{Manager, Pool},
    task::{BoxError, blocking},
};
use rusqlite::Connection;

const TABLE: &str = "create table if not exists prices (item text primary key, price integer not null)";
const SAVE: &str =
    "insert into prices values (?1, ?2) on conflict (item) do update set price = excluded.price";

/// Opens the connections of the pool.
struct Sqlite(PathBuf);

impl Manager for Sqlite {
    type Object = Connection;
    type Error = rusqlite::Error;

    async fn create(&self) -> rusqlite::Result<Connection> {
        let path = self.0.clone();
        // SQLite blocks its thread, so it runs on one of its own.
        blocking(move |_stop| {
            let connection = Connection::open(path)?;
            connection.busy_timeout(Duration::from_secs(5))?;
            connection.execute_batch(TABLE)?;
            Ok(connection)
        })
        .await
    }
}

#[derive(Clone)]
pub(crate) struct Store(Pool<Sqlite>);

impl Store {
    pub(crate) fn open(path: impl Into<PathBuf>) -> Result<Self, BoxError> {
        Ok(Self(Pool::builder(Sqlite(path.into())).max(2).build()?))
    }

    pub(crate) async fn save(&self, item: String, price: u32) -> Result<(), BoxError> {
        let connection = self.0.get().await?;
        // The connection goes back to the pool at the end of the closure, also if nobody waits for it any more.
        blocking(move |_stop| connection.execute(SAVE, (item, price))).await?;
        Ok(())
    }

    pub(crate) async fn known(&self) -> Result<Vec<(String, u32)>, BoxError> {
        let connection = self.0.get().await?;
        let rows = blocking(move |_stop| {
            let mut select = connection.prepare("select item, price from prices order by item")?;
            let rows = select.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        });
        Ok(rows.await?)
    }

    /// Waits until all connections have come back, and closes them.
    pub(crate) async fn close(&self) -> Result<(), BoxError> {
        match self.0.close(Duration::from_secs(2)).await.stragglers.len() {
            0 => Ok(()),
            late => Err(format!("{late} connections are still in use").into()),
        }
    }
}
