//! The handle of a database and its calls.

use std::{fmt, time::Duration};

use evenkeel_pool::{Closed, Holder, Snapshot};
use tokio::time::{Instant, timeout};
use tokio_postgres::{
    Row,
    types::{FromSqlOwned, ToSql},
};

use crate::{
    Error, FromRow, Params, SqlBatch, SqlBatchResult,
    session::end_call,
    session_pool::{CallRetry, SessionPool},
};

/// A PostgreSQL database, through a pool of connections. A handle: clones are the same pool.
///
/// Each call takes a connection while it runs, first come, first served. Statements are prepared, and each connection
/// keeps the 100 that it used last. The place of the call is kept for [`holders`](Self::holders), and for the timeouts
/// of others.
///
/// **A call that is dropped** before its end, by a timeout or a `select!`, is cancelled on the server, in the
/// background. Its connection is closed when the server has ended the statement, and counts as in use until then.
///
/// **The session is reset** before the next call gets the connection, where a call may have left something in it: an
/// open transaction, settings, the role, cursors, `LISTEN`, advisory locks, temporary tables. It costs a round trip in
/// the background after [`batch_execute`](Self::batch_execute), and after statements that do more than work on tables and
/// call PostgreSQL's own functions, as far as their text tells. It costs none after the others. Changes by triggers and
/// the like cannot be seen in a text: see [`Builder::reset_always`](crate::Builder::reset_always).
///
/// Connections have TLS with the feature `rustls`, as `sslmode` of the address asks for it: see
/// [`builder_from_url`](Self::builder_from_url).
///
/// # Panics
///
/// The futures of all methods, if they are polled outside of a tokio runtime with time enabled.
///
/// # Why not just use X?
///
/// tokio-postgres alone serves where one connection is enough. `deadpool_postgres::Pool` hands out connections that
/// are still busy with the dropped query of the last user, or in the middle of its transaction; its transactions are
/// not retried, and their commit succeeds although a failed statement has already undone everything.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), evenkeel_postgres::Error> {
/// use evenkeel_postgres::Database;
///
/// let db = Database::connect("postgres://app@localhost/app").await?;
/// db.execute("insert into users (id, name) values ($1, $2)", (7_i64, "Ada")).await?;
/// let (name,): (String,) = db.fetch_one("select name from users where id = $1", (7_i64,)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Database {
    pub(crate) sessions: SessionPool,
}

impl Database {
    /// Fetches the one row that the statement returns.
    ///
    /// # Errors
    ///
    /// [`Error::Get`], [`Error::Statement`] and [`Error::Decode`]; [`Error::RowCount`] if there is none, or more than
    /// one: then all of them are read and counted.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the statement on the server; it may have taken effect.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(db: evenkeel_postgres::Database) -> Result<(), evenkeel_postgres::Error> {
    /// let (name, age): (String, Option<i32>) =
    ///     db.fetch_one("select name, age from users where id = $1", (7_i64,)).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn fetch_one<R: FromRow>(
        &self,
        sql: &str,
        params: impl Params,
    ) -> impl Future<Output = Result<R, Error>> + Send {
        let rows = self.fetch(sql, params, Some(1));
        async move { rows.await?.pop().ok_or(Error::RowCount(0)) }
    }

    /// Fetches the one value that the statement returns, in one row of one column.
    ///
    /// # Errors
    ///
    /// As [`fetch_one`](Self::fetch_one). A null is an [`Error::Decode`] unless `T` is an `Option`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the statement on the server; it may have taken effect.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(db: evenkeel_postgres::Database) -> Result<(), evenkeel_postgres::Error> {
    /// let users: i64 = db.fetch_scalar("select count(*) from users", ()).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias("query_scalar", "query_one_scalar"))]
    #[track_caller]
    pub fn fetch_scalar<T: FromSqlOwned>(
        &self,
        sql: &str,
        params: impl Params,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        let row = self.fetch_one::<(T,)>(sql, params);
        async move { row.await.map(|(value,)| value) }
    }

    /// Fetches the one row that the statement returns, or `None` if it returns none.
    ///
    /// # Errors
    ///
    /// [`Error::Get`], [`Error::Statement`] and [`Error::Decode`]; [`Error::RowCount`] if there is more than one row:
    /// then all of them are read and counted.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the statement on the server; it may have taken effect.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(db: evenkeel_postgres::Database) -> Result<(), evenkeel_postgres::Error> {
    /// let name: Option<(String,)> = db.fetch_opt("select name from users where id = $1", (7_i64,)).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "fetch_optional")]
    #[track_caller]
    pub fn fetch_opt<R: FromRow>(
        &self,
        sql: &str,
        params: impl Params,
    ) -> impl Future<Output = Result<Option<R>, Error>> + Send {
        let rows = self.fetch(sql, params, Some(1));
        async move { Ok(rows.await?.pop()) }
    }

    /// Fetches all rows that the statement returns, into memory.
    ///
    /// # Errors
    ///
    /// [`Error::Get`], [`Error::Statement`] and [`Error::Decode`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the statement on the server; it may have taken effect.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(db: evenkeel_postgres::Database) -> Result<(), evenkeel_postgres::Error> {
    /// let users: Vec<(i64, String)> = db.fetch_all("select id, name from users order by id", ()).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn fetch_all<R: FromRow>(
        &self,
        sql: &str,
        params: impl Params,
    ) -> impl Future<Output = Result<Vec<R>, Error>> + Send {
        self.fetch(sql, params, None)
    }

    /// Fetches all rows; more than `max` are an error.
    /// Fetches all rows, as tokio-postgres does; [`fetch_all`](Self::fetch_all) reads them as types.
    ///
    /// # Errors
    ///
    /// As [`fetch_all`](Self::fetch_all).
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_all`](Self::fetch_all).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(db: evenkeel_postgres::Database) -> Result<(), evenkeel_postgres::Error> {
    /// let (name, age) = ("Ada", 36);
    /// for row in db.query("select id from users where name = $1 and age = $2", &[&name, &age]).await? {
    ///     let id: i64 = row.try_get("id")?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn query(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> impl Future<Output = Result<Vec<Row>, Error>> + Send {
        self.fetch_all(sql, params)
    }

    /// Fetches the one row, as tokio-postgres does; [`fetch_one`](Self::fetch_one) reads it as a type.
    ///
    /// # Errors
    ///
    /// As [`fetch_one`](Self::fetch_one).
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_one`](Self::fetch_one).
    #[track_caller]
    pub fn query_one(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> impl Future<Output = Result<Row, Error>> + Send {
        self.fetch_one(sql, params)
    }

    /// Fetches the one row or `None`, as tokio-postgres does; [`fetch_opt`](Self::fetch_opt) reads it as a type.
    ///
    /// # Errors
    ///
    /// As [`fetch_opt`](Self::fetch_opt).
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_opt`](Self::fetch_opt).
    #[track_caller]
    pub fn query_opt(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> impl Future<Output = Result<Option<Row>, Error>> + Send {
        self.fetch_opt(sql, params)
    }

    #[track_caller]
    fn fetch<R: FromRow>(
        &self,
        sql: &str,
        params: impl Params,
        max: Option<usize>,
    ) -> impl Future<Output = Result<Vec<R>, Error>> + Send {
        let mut calls = CallRetry::new(&self.sessions);
        async move {
            loop {
                let session = calls.session().await?;
                let result = session.fetch(sql, &params, max).await;
                if !calls.should_repeat(&session, &result) {
                    return result;
                }
            }
        }
    }

    /// Runs a statement, and returns the number of rows affected.
    ///
    /// # Errors
    ///
    /// [`Error::Get`] and [`Error::Statement`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the statement on the server; it may have taken effect.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(db: evenkeel_postgres::Database) -> Result<(), evenkeel_postgres::Error> {
    /// let deleted = db.execute("delete from users where id = $1", (7_i64,)).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn execute(&self, sql: &str, params: impl Params) -> impl Future<Output = Result<u64, Error>> + Send {
        let mut calls = CallRetry::new(&self.sessions);
        async move {
            loop {
                let session = calls.session().await?;
                let result = session.execute(sql, &params).await;
                if !calls.should_repeat(&session, &result) {
                    return result;
                }
            }
        }
    }

    /// Runs a statement once for each row of parameters, all or none, and returns the number of rows affected in all.
    ///
    /// It is one transaction, and up to 256 rows are in flight at a time, so that it does not wait for each answer.
    ///
    /// # Errors
    ///
    /// [`Error::Row`] names the first row that failed; otherwise as [`transaction`](Self::transaction). It is not tried
    /// again after a conflict.
    ///
    /// # Cancel safety
    ///
    /// As [`transaction`](Self::transaction).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(db: evenkeel_postgres::Database) -> Result<(), evenkeel_postgres::Error> {
    /// let users = (1..=10_000_i64).map(|id| (id, format!("user {id}")));
    /// db.execute_many("insert into users (id, name) values ($1, $2)", users).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn execute_many<I>(&self, sql: &str, rows: I) -> impl Future<Output = Result<u64, Error>> + Send
    where
        I: IntoIterator<Item: Params, IntoIter: Send> + Send,
    {
        let mut calls = CallRetry::new(&self.sessions);
        async move {
            let (session, _) = calls.begin_with(sql).await?;
            let many = session.execute_many(sql, rows).await;
            end_call(session, many).await
        }
    }

    /// Runs the statements of a batch in a transaction of their own, all or none, and returns a result for each.
    ///
    /// The statements run in their order, and a later one sees what an earlier one has done. None waits for the answer to
    /// another: the transaction begins in one round trip, in which statements that are new to the connection are prepared,
    /// and all the rest takes another one, with the commit. Up to 256 statements are in flight at a time. All results are
    /// kept in memory.
    ///
    /// # Errors
    ///
    /// - [`Error::Batch`] names the first statement that failed. Nothing is stored then, and none after it has run.
    /// - [`Error::Ended`]: a statement would have ended the transaction.
    /// - [`Error::CommitUnknown`]: the connection was lost after the statements were sent.
    /// - [`Error::Get`], and [`Error::Statement`] if the transaction could not begin, or the server refused to commit.
    ///
    /// It is not repeated after a conflict with another transaction; [`Tx::batch`](crate::Tx::batch) in a
    /// [`transaction`](Self::transaction) is.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the statements on the server; all of them have taken effect, or none.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use evenkeel_postgres::{Error, SqlBatch};
    ///
    /// # async fn example(db: evenkeel_postgres::Database) -> Result<(), Error> {
    /// let mut batch = SqlBatch::new();
    /// for (id, cents) in [(1_i64, -500_i64), (2, 500)] {
    ///     batch.push("update accounts set cents = cents + $2 where id = $1", (id, cents));
    /// }
    /// match db.batch(batch).await {
    ///     Err(Error::Batch { index, sql, .. }) => println!("statement {index} failed: {sql}"),
    ///     other => assert!(other?.iter().all(|result| result.affected() == 1)),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn batch(
        &self,
        batch: SqlBatch<'_>,
    ) -> impl Future<Output = Result<Vec<SqlBatchResult>, Error>> + Send {
        let mut calls = CallRetry::new(&self.sessions);
        async move {
            let mut has_been_stale = false;
            loop {
                let (mut session, begun) = loop {
                    let mut session = calls.session().await?;
                    let begun = session.begin_batch(&batch).await;
                    if !calls.should_repeat(&session, &begun) {
                        break (session, begun);
                    }
                };
                let result = match begun {
                    Ok(statements) => session.commit_batch(&batch, statements).await,
                    Err(error) => {
                        session.roll_back().await;
                        Err(error)
                    }
                };
                // Nothing is stored then, and the statements are prepared again.
                let is_stale = matches!(result, Err(Error::Batch { .. }))
                    && session.tx().failure.as_ref().is_some_and(|failure| failure.is_stale);
                if !is_stale || has_been_stale {
                    return result;
                }
                has_been_stale = true;
            }
        }
    }

    /// Runs statements separated by semicolons, without parameters: for schemas and scripts.
    ///
    /// Unless the text says otherwise, they are one transaction. The session is reset afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::Get`], and [`Error::Statement`] for the first statement that failed; those after it do not run.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the statement that the server is running; it and those before it may have taken
    /// effect.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(db: evenkeel_postgres::Database) -> Result<(), evenkeel_postgres::Error> {
    /// db.batch_execute(
    ///     "create table if not exists users (id bigint primary key, name text not null);
    ///      create index if not exists users_by_name on users (name);",
    /// )
    /// .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "simple_query")]
    #[track_caller]
    pub fn batch_execute(&self, sql: &str) -> impl Future<Output = Result<(), Error>> + Send {
        let mut calls = CallRetry::new(&self.sessions);
        async move {
            loop {
                let session = calls.session().await?;
                let result = session.run_batch(sql).await;
                if !calls.should_repeat(&session, &result) {
                    return result;
                }
            }
        }
    }

    /// Returns the numbers of the pool. A connection that is being recycled counts as in use.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.sessions.pool.snapshot()
    }

    /// Returns the calls that have a connection, the longest first.
    #[must_use]
    pub fn holders(&self) -> Vec<Holder> {
        self.sessions.pool.holders()
    }

    /// Replaces all connections: idle ones are closed now, those in use after their call.
    ///
    /// It is for a failover that the application learns of, and for new credentials. After a write that was refused as read only
    /// it happens by itself.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(db: evenkeel_postgres::Database) {
    /// // The name of the server leads to another address now.
    /// db.retire_all();
    /// # }
    /// ```
    pub fn retire_all(&self) {
        self.sessions.pool.retire_all();
    }

    /// Closes the database, and waits until all connections are closed, at most for the time `within`.
    ///
    /// It waits for requests to cancel that are on their way, too: a pooler may not pass one on whose link is cut by the end
    /// of the program.
    ///
    /// From the first poll on, every new call fails at once, and so does every call that waits for a connection. A call
    /// that has a connection runs on, and is listed if it is late. The method can be called again, to wait once more.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future after its first poll only ends the wait: the database stays closed.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(db: evenkeel_postgres::Database) {
    /// let closed = db.close(std::time::Duration::from_secs(10)).await;
    /// assert!(closed.stragglers.is_empty());
    /// # }
    /// ```
    pub async fn close(&self, within: Duration) -> Closed {
        let start = Instant::now();
        let closed = self.sessions.pool.close(within).await;
        let left = within.saturating_sub(start.elapsed());
        // The connection of a request to cancel may be closed already, and a pooler still pass the request on.
        let _ = timeout(left, self.sessions.recycler.finished()).await;
        closed
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("pool", &self.sessions.pool.snapshot()).finish_non_exhaustive()
    }
}
