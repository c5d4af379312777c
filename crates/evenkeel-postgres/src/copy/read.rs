//! Bulk reads: `COPY … TO STDOUT`.

use std::{
    fmt,
    marker::PhantomData,
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use pin_project_lite::pin_project;
use tokio_postgres::{
    Column, CopyOutStream, Statement,
    binary_copy::{BinaryCopyOutRow, BinaryCopyOutStream},
    types::FromSqlOwned,
};

use crate::{
    BoxError, Database, Error, TxOptions,
    connection::{copy_end::CopyOutEnd, prepared::PreparedStatement},
    row::copied_value,
    session::Session,
    session_pool::CallRetry,
    sql::effect::SqlEffect,
    stream::{ResultsEnd, Running, StatementStream, StreamSession},
};

const OF_ROWS: ResultsEnd = ResultsEnd::OfCopy(CopyOutEnd::of_rows());
const OF_BYTES: ResultsEnd = ResultsEnd::OfCopy(CopyOutEnd::of_bytes());

/// A row that [`Database::copy_out`] reads: a tuple of up to sixteen types, in the order of the columns.
#[diagnostic::on_unimplemented(
    message = "`COPY` cannot read rows as `{Self}`",
    label = "not a tuple of types that are `FromSql`",
    note = "a single column is read as a tuple of one: `(T,)`"
)]
pub trait FromCopy: sealed::Decode {}

impl<R: sealed::Decode> FromCopy for R {}

mod sealed {
    use super::{BinaryCopyOutRow, BoxError, Column};

    pub trait Decode: Sized {
        /// The number of columns.
        const COLUMNS: usize;

        /// Reads a row.
        ///
        /// # Errors
        ///
        /// Which column is of another type.
        fn decode(row: &BinaryCopyOutRow, columns: &[Column]) -> Result<Self, BoxError>;
    }
}

macro_rules! tuples {
    () => {};
    ($first:ident $($name:ident)*) => {
        impl<$first: FromSqlOwned, $($name: FromSqlOwned),*> sealed::Decode for ($first, $($name,)*) {
            const COLUMNS: usize = [stringify!($first), $(stringify!($name)),*].len();

            fn decode(row: &BinaryCopyOutRow, columns: &[Column]) -> Result<Self, BoxError> {
                // The fields of a tuple are evaluated in their order.
                let mut indexes = 0..Self::COLUMNS;
                let mut next = || indexes.next().unwrap_or_default();
                Ok((
                    copied_value::<$first>(row, columns, next())?,
                    $(copied_value::<$name>(row, columns, next())?,)*
                ))
            }
        }

        tuples!($($name)*);
    };
}

tuples!(A B C D E F G H I J K L M N O P);

/// The rows of a query, read by `COPY`; made by [`Database::copy_out`] and [`Tx::copy_out`](crate::Tx::copy_out).
///
/// It ends after the first error. Dropping it before its end cancels the statement on the server, and frees the
/// connection.
#[must_use = "streams do nothing unless polled"]
pub struct CopyOut<'a, R> {
    rows: StatementStream<'a, CopiedRows>,
    row: PhantomData<fn() -> R>,
}

/// The bytes of a `COPY … TO STDOUT`; made by [`Database::copy_out_bytes`] and
/// [`Tx::copy_out_bytes`](crate::Tx::copy_out_bytes).
///
/// It ends after the first error. Dropping it before its end cancels the statement on the server, and frees the
/// connection.
#[must_use = "streams do nothing unless polled"]
pub struct CopyOutBytes<'a> {
    bytes: StatementStream<'a, CopyOutStream>,
}

impl Database {
    /// Reads the rows of a query by `COPY`, as a stream: for many rows the fastest way.
    ///
    /// The query has no parameters. The stream has a connection from its first poll to its end. A query that may write is a
    /// transaction, which is committed after the last row: its failure is the last item.
    ///
    /// # Errors
    ///
    /// The items are [`Error::Get`], [`Error::Statement`] and [`Error::Decode`]; the stream ends after the first one.
    ///
    /// # Cancel safety
    ///
    /// No row is lost if the future of a next item is dropped. Dropping the stream cancels the statement on the server.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::pin::pin;
    ///
    /// use futures::TryStreamExt as _;
    ///
    /// # async fn example(db: evenkeel_postgres::Database) -> Result<(), evenkeel_postgres::Error> {
    /// let mut users = pin!(db.copy_out::<(i64, String)>("select id, name from users"));
    /// while let Some((id, name)) = users.try_next().await? {
    ///     println!("{id} {name}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn copy_out<R: FromCopy>(&self, query: &str) -> CopyOut<'static, R> {
        let (pool, place, query) = (self.sessions.clone(), Location::caller(), Box::<str>::from(query));
        CopyOut::new(StatementStream::Starting(Box::pin(async move {
            let mut calls = CallRetry::at(&pool, place);
            let effect = SqlEffect::of(&query);
            loop {
                let session = session_for(&mut calls, effect).await?;
                let opened = session.copy_out(&query, R::COLUMNS).await;
                if !calls.should_repeat(&session, &opened) {
                    let (number, rows) = opened?;
                    return Ok(Running::new(
                        StreamSession::Owned(Box::new(session)),
                        rows,
                        number,
                        query,
                        OF_ROWS,
                    ));
                }
            }
        })))
    }

    /// Runs a `COPY … TO STDOUT` of your own, and returns its bytes as a stream, for example those of a CSV file.
    ///
    /// # Errors
    ///
    /// The items are [`Error::Get`] and [`Error::Statement`]; the stream ends after the first one.
    ///
    /// # Cancel safety
    ///
    /// No bytes are lost if the future of a next item is dropped. Dropping the stream cancels the statement on the server.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::pin::pin;
    ///
    /// use futures::TryStreamExt as _;
    ///
    /// # async fn example(db: evenkeel_postgres::Database) -> Result<(), evenkeel_postgres::Error> {
    /// let mut lines = pin!(db.copy_out_bytes("copy users to stdout (format csv, header)"));
    /// while let Some(bytes) = lines.try_next().await? {
    ///     print!("{}", String::from_utf8_lossy(&bytes));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn copy_out_bytes(&self, sql: &str) -> CopyOutBytes<'static> {
        let (pool, place, sql) = (self.sessions.clone(), Location::caller(), Box::<str>::from(sql));
        CopyOutBytes::new(StatementStream::Starting(Box::pin(async move {
            let mut calls = CallRetry::at(&pool, place);
            let effect = SqlEffect::of(&sql);
            loop {
                let session = session_for(&mut calls, effect).await?;
                let opened = session.copy_to(&sql, effect).await;
                if !calls.should_repeat(&session, &opened) {
                    let (number, bytes) = opened?;
                    return Ok(Running::new(
                        StreamSession::Owned(Box::new(session)),
                        bytes,
                        number,
                        sql,
                        OF_BYTES,
                    ));
                }
            }
        })))
    }
}

/// Returns a session for a `COPY … TO STDOUT` of this effect, with a transaction if it may write.
///
/// Without one the server commits after the last row, and the client reads no further than that.
async fn session_for(calls: &mut CallRetry<'_>, effect: SqlEffect) -> Result<Session, Error> {
    if effect.writes || effect.taints_session {
        calls.begin(&TxOptions::new().begin()).await
    } else {
        calls.session().await
    }
}

impl Session {
    /// Begins to copy the rows of a query, which must have as many columns.
    async fn copy_out(&self, query: &str, columns: usize) -> Result<(u64, CopiedRows), Error> {
        // Prepared at each call: the types of the columns may have changed.
        let PreparedStatement { statement, effect, .. } = self.prepare(query, SqlEffect::of(query)).await?;
        if statement.columns().len() != columns {
            let found = statement.columns().len();
            return Err(Error::Decode(
                format!("the row has {found} columns, and the tuple {columns}").into(),
            ));
        }
        let types: Vec<_> = statement.columns().iter().map(Column::type_).cloned().collect();
        // A comment at its end would hide the parenthesis.
        let copy = format!("copy ({query}\n) to stdout (format binary)");
        let (number, bytes) = self.copy_to(&copy, effect).await?;
        Ok((number, CopiedRows { rows: BinaryCopyOutStream::new(bytes, &types), statement }))
    }

    /// Begins a `COPY … TO STDOUT`.
    async fn copy_to(&self, sql: &str, effect: SqlEffect) -> Result<(u64, CopyOutStream), Error> {
        self.refuse_session_use(sql, effect)?;
        let prepared = self.prepare(sql, effect).await?;
        self.refuse_tx_end(effect.ends_tx)?;
        let guard = self.begin_statement(effect, sql);
        let number = self.next_number();
        let result = self.client().copy_out(&prepared.statement).await;
        if let Err(error) = &result {
            self.record_end(number, Some(error), false);
        }
        guard.finished();
        Ok((number, result.map_err(|error| self.explained(error))?))
    }
}

pin_project! {
    /// The rows of a query, and the statement that describes them.
    struct CopiedRows {
        #[pin]
        rows: BinaryCopyOutStream,
        statement: Statement,
    }
}

impl Stream for CopiedRows {
    type Item = Result<BinaryCopyOutRow, tokio_postgres::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.project().rows.poll_next(cx)
    }
}

impl<'a, R> CopyOut<'a, R> {
    fn new(rows: StatementStream<'a, CopiedRows>) -> Self {
        Self { rows, row: PhantomData }
    }
}

impl<'a, R: FromCopy> CopyOut<'a, R> {
    /// The rows of a query in a transaction.
    pub(crate) fn in_tx(session: Result<&'a Session, Error>, query: &str) -> Self {
        let query = Box::<str>::from(query);
        Self::new(StatementStream::Starting(Box::pin(async move {
            let session = session?;
            let (number, rows) = session.copy_out(&query, R::COLUMNS).await?;
            Ok(Running::new(StreamSession::Tx(session), rows, number, query, OF_ROWS))
        })))
    }
}

impl<'a> CopyOutBytes<'a> {
    fn new(bytes: StatementStream<'a, CopyOutStream>) -> Self {
        Self { bytes }
    }

    /// The bytes of a `COPY` in a transaction.
    pub(crate) fn in_tx(session: Result<&'a Session, Error>, sql: &str) -> Self {
        let sql = Box::<str>::from(sql);
        Self::new(StatementStream::Starting(Box::pin(async move {
            let session = session?;
            let (number, bytes) = session.copy_to(&sql, SqlEffect::of(&sql)).await?;
            Ok(Running::new(StreamSession::Tx(session), bytes, number, sql, OF_BYTES))
        })))
    }
}

impl<R: FromCopy> Stream for CopyOut<'_, R> {
    type Item = Result<R, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(row) = ready!(self.rows.poll_next(cx)?) else { return Poll::Ready(None) };
        let columns = self.rows.results().map_or(&[][..], |rows| rows.statement.columns());
        let row = R::decode(&row, columns).map_err(Error::Decode);
        if let Err(error) = &row {
            self.rows.abandon(error);
        }
        Poll::Ready(Some(row))
    }
}

impl Stream for CopyOutBytes<'_> {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.bytes.poll_next(cx)
    }
}

impl<R> fmt::Debug for CopyOut<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyOut").field("state", &self.rows.state()).finish()
    }
}

impl fmt::Debug for CopyOutBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyOutBytes").field("state", &self.bytes.state()).finish()
    }
}
