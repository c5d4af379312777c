//! Bulk writes and reads: `COPY` in both directions, and inserts of arrays.
//!
//! # How it works
//!
//! The target of a write is a table and its columns, as in SQL. The server tells the types of the columns, by a statement
//! that is prepared and never run; from then on the values are encoded by the static types of the tuple, without a check for
//! each. All rows are one transaction, so all are stored or none.
//!
//! Also a single `COPY` is a transaction with a `COMMIT`. Without it the server commits when the statement has ended, and says
//! that it has ended before: a constraint that is checked late, or the end of the connection, can still undo all rows. The
//! client returns at that first answer.

mod arrays;
mod chunks;
mod read;
mod rows;
mod send;
mod target;
mod write;

use bytes::Bytes;
use futures_core::Stream;

use self::target::{Target, column_types};
pub use self::{
    read::{CopyOut, CopyOutBytes, FromCopy},
    rows::CopyRow,
};
use crate::{BoxError, Database, Error, session::end_call, session_pool::CallRetry};

impl Database {
    /// Stores a stream of rows by `COPY`, all or none, and returns their number: the fastest way to store many rows.
    ///
    /// `target` is a table and its columns, as in SQL. The rows are tuples of these columns, or `Result`s with one. They are
    /// sent in chunks of 64 KiB as they come, and never held in memory all together. The time that the source may be silent is
    /// bounded by [`Builder::source_timeout`](crate::Builder::source_timeout), because the `statement_timeout` of the server
    /// does not run meanwhile.
    ///
    /// # Errors
    ///
    /// - [`Error::Target`]: the target is not a table with columns in parentheses.
    /// - [`Error::Encode`]: a value does not fit its column, or cannot be encoded.
    /// - [`Error::Source`], [`Error::SourceIdle`]: the source failed, or was silent for too long.
    /// - [`Error::CommitUnknown`]: the rows may have been stored, or not.
    /// - [`Error::Get`], [`Error::Statement`]. The server tells about a row that it refuses at the end alone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the statement on the server; all rows are stored, or none.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(db: evenkeel_postgres::Database) -> Result<(), evenkeel_postgres::Error> {
    /// let users = (1..=1_000_000_i64).map(|id| (id, format!("user {id}")));
    /// let stored = db.copy_in("users (id, name)", futures::stream::iter(users)).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn copy_in<S>(&self, target: &str, rows: S) -> impl Future<Output = Result<u64, Error>> + Send
    where
        S: Stream<Item: CopyRow> + Send,
    {
        let mut calls = CallRetry::new(&self.sessions);
        async move {
            let target = Target::parse(target)?;
            let (session, selected) = calls.begin_with(&target.select()).await?;
            let copied = session.copy_rows(&target, column_types(&selected), rows).await;
            end_call(session, copied).await
        }
    }

    /// Runs a `COPY … FROM STDIN` of your own with the bytes of a stream, for example of a CSV file, and returns the number of
    /// rows stored.
    ///
    /// # Errors
    ///
    /// [`Error::Source`], [`Error::SourceIdle`], [`Error::CommitUnknown`], [`Error::Get`] and [`Error::Statement`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the statement on the server; all rows are stored, or none.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(db: evenkeel_postgres::Database) -> Result<(), evenkeel_postgres::Error> {
    /// let lines = ["1,Ada\n", "2,Grace\n"].map(|line| Ok::<_, std::io::Error>(line.into()));
    /// db.copy_in_bytes("copy users (id, name) from stdin (format csv)", futures::stream::iter(lines)).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn copy_in_bytes<S, E>(&self, sql: &str, bytes: S) -> impl Future<Output = Result<u64, Error>> + Send
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<BoxError>,
    {
        let mut calls = CallRetry::new(&self.sessions);
        async move {
            let (session, prepared) = calls.begin_with(sql).await?;
            let copied = session.copy_bytes(sql, &prepared, bytes).await;
            end_call(session, copied).await
        }
    }

    /// Stores a stream of rows by `COPY` into a temporary table, and from there by an `INSERT` that may meet rows that exist;
    /// all in one transaction. Returns the number of rows inserted or updated.
    ///
    /// `on_conflict` is the end of the `INSERT`: `on conflict …`.
    ///
    /// # Errors
    ///
    /// As [`copy_in`](Self::copy_in) and [`transaction`](Self::transaction). It is not repeated after a conflict between
    /// transactions.
    ///
    /// # Cancel safety
    ///
    /// As [`transaction`](Self::transaction).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(db: evenkeel_postgres::Database) -> Result<(), evenkeel_postgres::Error> {
    /// let users = futures::stream::iter([(1_i64, "Ada"), (2, "Grace")]);
    /// let update = "on conflict (id) do update set name = excluded.name";
    /// db.copy_upsert("users (id, name)", update, users).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn copy_upsert<S>(
        &self,
        target: &str,
        on_conflict: &str,
        rows: S,
    ) -> impl Future<Output = Result<u64, Error>> + Send
    where
        S: Stream<Item: CopyRow> + Send,
    {
        let mut calls = CallRetry::new(&self.sessions);
        async move {
            let (session, _) = calls.begin_with(&Target::parse(target)?.select()).await?;
            let upserted = session.copy_upsert(target, on_conflict, rows).await;
            end_call(session, upserted).await
        }
    }

    /// Inserts rows as arrays, 5,000 with each statement, all or none, and returns their number.
    ///
    /// It takes a few times as long as [`copy_in`](Self::copy_in), and is an `INSERT` with all that belongs to it: rules, and the
    /// clause after the values, in `on_conflict`, which may be empty. Columns that are arrays themselves need `copy_in`.
    ///
    /// # Errors
    ///
    /// [`Error::Target`] and [`Error::Encode`] as [`copy_in`](Self::copy_in), and otherwise as
    /// [`transaction`](Self::transaction). It is not repeated after a conflict between transactions.
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
    /// let inserted = db.insert_many("users (id, name)", "on conflict do nothing", users).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn insert_many<I>(
        &self,
        target: &str,
        on_conflict: &str,
        rows: I,
    ) -> impl Future<Output = Result<u64, Error>> + Send
    where
        I: IntoIterator<Item: CopyRow, IntoIter: Send> + Send,
    {
        let mut calls = CallRetry::new(&self.sessions);
        async move {
            let target = Target::parse(target)?;
            let (session, selected) = calls.begin_with(&target.select()).await?;
            let inserted = session.insert_rows(&target, column_types(&selected), on_conflict, rows).await;
            end_call(session, inserted).await
        }
    }
}
