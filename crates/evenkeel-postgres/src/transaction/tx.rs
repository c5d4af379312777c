//! The handle of an open transaction, and the slot to which its session returns.

use std::{
    fmt,
    sync::{Arc, Mutex, Weak},
};

use bytes::Bytes;
use evenkeel_base::lock;
use futures_core::Stream;
use tokio_postgres::{
    Row,
    types::{FromSqlOwned, ToSql},
};

use crate::{
    BoxError, CopyOut, CopyOutBytes, CopyRow, Error, FromCopy, FromRow, Params, RowStream, SqlBatch,
    SqlBatchResult, connection::Condition, session::Session,
};

/// An open transaction, which [`Database::transaction`](crate::Database::transaction) passes to its closure.
///
/// Its methods are those of [`Database`](crate::Database), and run on the one connection of the transaction. The
/// connection returns when the `Tx` is dropped; this must happen before the closure ends, or the transaction cannot be
/// committed. Statements that are polled together, in a `tokio::try_join!`, do not wait for each other's answers; the
/// server runs them one after the other, in the order in which it receives them.
///
/// A statement that fails ends the transaction; then only a return to a savepoint, by
/// [`batch_execute`](Self::batch_execute), saves the work before it. A statement whose future is dropped before its
/// end, by a timeout for example, ends the transaction in any case: it is cancelled on the server, and all later ones fail
/// with [`Error::Abandoned`]. Only the end of the closure ends a transaction: a statement that would do so, `COMMIT` or
/// `ROLLBACK`, is refused with [`Error::Ended`], as is every later one.
///
/// # Examples
///
/// ```no_run
/// use evenkeel_postgres::{Database, Error, Tx, TxOptions};
///
/// async fn move_money(tx: &Tx, from: i64, to: i64, cents: i64) -> Result<(), Error> {
///     tx.execute("update accounts set cents = cents - $2 where id = $1", (from, cents)).await?;
///     tx.execute("update accounts set cents = cents + $2 where id = $1", (to, cents)).await?;
///     Ok(())
/// }
///
/// # async fn example(db: Database) -> Result<(), Error> {
/// db.transaction(TxOptions::serializable(), async |tx| move_money(&tx, 1, 2, 500).await).await?;
/// # Ok(())
/// # }
/// ```
pub struct Tx {
    // `None` after its return.
    session: Option<Session>,
    return_slot: Weak<Mutex<Option<Session>>>,
}

/// The slot to which a [`Tx`] returns its session when it is dropped.
pub(crate) type ReturnSlot = Arc<Mutex<Option<Session>>>;

impl Tx {
    pub(crate) fn new(session: Session) -> (Self, ReturnSlot) {
        let slot = ReturnSlot::default();
        (Self { session: Some(session), return_slot: Arc::downgrade(&slot) }, slot)
    }

    /// As [`Database::fetch_one`](crate::Database::fetch_one).
    ///
    /// # Errors
    ///
    /// As there, [`Error::Abandoned`] and [`Error::Ended`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before its end ends the transaction, and rolls it back.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(tx: evenkeel_postgres::Tx) -> Result<(), evenkeel_postgres::Error> {
    /// let (count,): (i64,) = tx.fetch_one("select count(*) from users", ()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn fetch_one<R: FromRow>(&self, sql: &str, params: impl Params) -> Result<R, Error> {
        self.session()?.fetch(sql, params, Some(1)).await?.pop().ok_or(Error::RowCount(0))
    }

    /// As [`Database::fetch_opt`](crate::Database::fetch_opt).
    ///
    /// # Errors
    ///
    /// As there, [`Error::Abandoned`] and [`Error::Ended`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before its end ends the transaction, and rolls it back.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(tx: evenkeel_postgres::Tx) -> Result<(), evenkeel_postgres::Error> {
    /// let name: Option<(String,)> = tx.fetch_opt("select name from users where id = $1", (7_i64,)).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "fetch_optional")]
    pub async fn fetch_opt<R: FromRow>(&self, sql: &str, params: impl Params) -> Result<Option<R>, Error> {
        Ok(self.session()?.fetch(sql, params, Some(1)).await?.pop())
    }

    /// As [`Database::fetch_all`](crate::Database::fetch_all).
    ///
    /// # Errors
    ///
    /// As there, [`Error::Abandoned`] and [`Error::Ended`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before its end ends the transaction, and rolls it back.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(tx: evenkeel_postgres::Tx) -> Result<(), evenkeel_postgres::Error> {
    /// let users: Vec<(i64, String)> = tx.fetch_all("select id, name from users for update", ()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn fetch_all<R: FromRow>(&self, sql: &str, params: impl Params) -> Result<Vec<R>, Error> {
        self.session()?.fetch(sql, params, None).await
    }

    /// Fetches all rows, as tokio-postgres does: [`Database::query`](crate::Database::query).
    ///
    /// # Errors
    ///
    /// As [`fetch_all`](Self::fetch_all).
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_all`](Self::fetch_all).
    pub async fn query(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        self.fetch_all(sql, params).await
    }

    /// Fetches the one row, as tokio-postgres does: [`Database::query_one`](crate::Database::query_one).
    ///
    /// # Errors
    ///
    /// As [`fetch_one`](Self::fetch_one).
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_one`](Self::fetch_one).
    pub async fn query_one(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Row, Error> {
        self.fetch_one(sql, params).await
    }

    /// Fetches the one row or `None`, as tokio-postgres does: [`Database::query_opt`](crate::Database::query_opt).
    ///
    /// # Errors
    ///
    /// As [`fetch_opt`](Self::fetch_opt).
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_opt`](Self::fetch_opt).
    pub async fn query_opt(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Option<Row>, Error> {
        self.fetch_opt(sql, params).await
    }

    /// As [`Database::fetch_scalar`](crate::Database::fetch_scalar).
    ///
    /// # Errors
    ///
    /// As there, [`Error::Abandoned`] and [`Error::Ended`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before its end ends the transaction, and rolls it back.
    #[doc(alias("query_scalar", "query_one_scalar"))]
    pub async fn fetch_scalar<T: FromSqlOwned>(&self, sql: &str, params: impl Params) -> Result<T, Error> {
        self.fetch_one::<(T,)>(sql, params).await.map(|(value,)| value)
    }

    /// As [`Database::execute`](crate::Database::execute).
    ///
    /// # Errors
    ///
    /// As there, [`Error::Abandoned`] and [`Error::Ended`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before its end ends the transaction, and rolls it back.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(tx: evenkeel_postgres::Tx) -> Result<(), evenkeel_postgres::Error> {
    /// let deleted = tx.execute("delete from users where id = $1", (7_i64,)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn execute(&self, sql: &str, params: impl Params) -> Result<u64, Error> {
        self.session()?.execute(sql, params).await
    }

    /// As [`Database::stream`](crate::Database::stream), in this transaction.
    ///
    /// # Errors
    ///
    /// As there, [`Error::Abandoned`] and [`Error::Ended`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the stream before its end ends the transaction, and rolls it back.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::pin::pin;
    ///
    /// use futures::TryStreamExt as _;
    ///
    /// # async fn example(tx: evenkeel_postgres::Tx) -> Result<(), evenkeel_postgres::Error> {
    /// let mut users = pin!(tx.stream::<(i64,)>("select id from users for update", ()));
    /// while let Some((id,)) = users.try_next().await? {
    ///     println!("{id}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream<'a, R: FromRow>(&'a self, sql: &str, params: impl Params + 'a) -> RowStream<'a, R> {
        RowStream::in_tx(self.session(), sql, params)
    }

    /// As [`Database::copy_in`](crate::Database::copy_in), in this transaction.
    ///
    /// # Errors
    ///
    /// As there, [`Error::Abandoned`] and [`Error::Ended`]. A source that fails ends the transaction.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before its end ends the transaction, and rolls it back.
    pub async fn copy_in<S>(&self, target: &str, rows: S) -> Result<u64, Error>
    where
        S: Stream<Item: CopyRow> + Send,
    {
        self.session()?.copy_in(target, rows).await
    }

    /// As [`Database::copy_in_bytes`](crate::Database::copy_in_bytes), in this transaction.
    ///
    /// # Errors
    ///
    /// As there, [`Error::Abandoned`] and [`Error::Ended`]. A source that fails ends the transaction.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before its end ends the transaction, and rolls it back.
    pub async fn copy_in_bytes<S, E>(&self, sql: &str, bytes: S) -> Result<u64, Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<BoxError>,
    {
        self.session()?.copy_in_bytes(sql, bytes).await
    }

    /// As [`Database::copy_upsert`](crate::Database::copy_upsert), in this transaction.
    ///
    /// # Errors
    ///
    /// As there, [`Error::Abandoned`] and [`Error::Ended`]. A source that fails ends the transaction.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before its end ends the transaction, and rolls it back.
    pub async fn copy_upsert<S>(&self, target: &str, on_conflict: &str, rows: S) -> Result<u64, Error>
    where
        S: Stream<Item: CopyRow> + Send,
    {
        self.session()?.copy_upsert(target, on_conflict, rows).await
    }

    /// As [`Database::copy_out`](crate::Database::copy_out), in this transaction.
    ///
    /// # Errors
    ///
    /// As there, [`Error::Abandoned`] and [`Error::Ended`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the stream before its end ends the transaction, and rolls it back.
    pub fn copy_out<R: FromCopy>(&self, query: &str) -> CopyOut<'_, R> {
        CopyOut::in_tx(self.session(), query)
    }

    /// As [`Database::copy_out_bytes`](crate::Database::copy_out_bytes), in this transaction.
    ///
    /// # Errors
    ///
    /// As there, [`Error::Abandoned`] and [`Error::Ended`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the stream before its end ends the transaction, and rolls it back.
    pub fn copy_out_bytes(&self, sql: &str) -> CopyOutBytes<'_> {
        CopyOutBytes::in_tx(self.session(), sql)
    }

    /// As [`Database::insert_many`](crate::Database::insert_many), in this transaction.
    ///
    /// # Errors
    ///
    /// As there, [`Error::Abandoned`] and [`Error::Ended`]. A row that the server refuses ends the transaction. A row that
    /// cannot be encoded does not, and the rows of the statements before it are stored.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before its end ends the transaction, and rolls it back.
    pub async fn insert_many<I>(&self, target: &str, on_conflict: &str, rows: I) -> Result<u64, Error>
    where
        I: IntoIterator<Item: CopyRow, IntoIter: Send> + Send,
    {
        self.session()?.insert_many(target, on_conflict, rows).await
    }

    /// As [`Database::execute_many`](crate::Database::execute_many), in this transaction.
    ///
    /// # Errors
    ///
    /// As there, [`Error::Abandoned`] and [`Error::Ended`]. A row that the server refuses ends the transaction. A row
    /// whose parameters do not fit does not, and the rows before it are stored.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before its end ends the transaction, and rolls it back.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(tx: evenkeel_postgres::Tx) -> Result<(), evenkeel_postgres::Error> {
    /// let users = vec![(1_i64, "Ada"), (2, "Grace")];
    /// tx.execute_many("insert into users (id, name) values ($1, $2)", &users).await?;
    /// tx.execute("update progress set users = $1", (users.len() as i64,)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn execute_many<I>(&self, sql: &str, rows: I) -> Result<u64, Error>
    where
        I: IntoIterator<Item: Params, IntoIter: Send> + Send,
    {
        self.session()?.execute_many(sql, rows).await
    }

    /// Runs the statements of a batch, and returns a result for each.
    ///
    /// None waits for the answer to another: all take one round trip, and one more if some of them are new to the connection
    /// and have to be prepared. Up to 256 are in flight at a time.
    ///
    /// # Errors
    ///
    /// [`Error::Batch`] names the first statement that failed; none after it has run, and the transaction has ended.
    /// Otherwise [`Error::Abandoned`] and [`Error::Ended`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before its end ends the transaction, and rolls it back.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use evenkeel_postgres::SqlBatch;
    ///
    /// # async fn example(tx: evenkeel_postgres::Tx) -> Result<(), evenkeel_postgres::Error> {
    /// let mut batch = SqlBatch::new();
    /// batch.push("insert into users (id, name) values ($1, $2)", (7_i64, "Ada"));
    /// batch.push("update progress set users = users + 1", ());
    /// let results = tx.batch(batch).await?;
    /// assert_eq!(results[0].affected(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn batch(&self, batch: SqlBatch<'_>) -> Result<Vec<SqlBatchResult>, Error> {
        self.session()?.batch(&batch).await
    }

    /// As [`Database::batch_execute`](crate::Database::batch_execute); used for `SAVEPOINT`.
    ///
    /// # Errors
    ///
    /// As there, [`Error::Abandoned`] and [`Error::Ended`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before its end ends the transaction, and rolls it back.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(tx: evenkeel_postgres::Tx) -> Result<(), evenkeel_postgres::Error> {
    /// tx.batch_execute("savepoint before").await?;
    /// if tx.execute("insert into users (id) values ($1)", (7_i64,)).await.is_err() {
    ///     tx.batch_execute("rollback to savepoint before").await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "simple_query")]
    pub async fn batch_execute(&self, sql: &str) -> Result<(), Error> {
        self.session()?.run_batch(sql).await
    }

    fn session(&self) -> Result<&Session, Error> {
        let session = self.session.as_ref().expect("a transaction has its session until it is dropped");
        if session.condition() == Condition::Abandoned {
            Err(Error::Abandoned)
        } else if session.tx().has_ended {
            Err(Error::Ended)
        } else {
            Ok(session)
        }
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        // If nobody waits for it any more, the session rolls the transaction back when it is dropped.
        if let Some(slot) = self.return_slot.upgrade() {
            *lock(&slot) = self.session.take();
        }
    }
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").finish_non_exhaustive()
    }
}
