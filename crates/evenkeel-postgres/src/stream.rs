//! Statements whose results are read as they come: rows, and what `COPY … TO STDOUT` sends.
//!
//! # How it works
//!
//! A stream begins at its first poll: it takes a connection, prepares and sends the statement. The server sends results as
//! fast as they are read, and no faster: the client keeps a few blocks of them, and then the network holds the server back.
//! A portal that is read in batches would cost a round trip for each, and bound the memory no better.
//!
//! The stream owns its session, or borrows that of a transaction. If it is dropped before the end of its results, it marks
//! the connection as abandoned, by which the statement is cancelled on the server.

use std::{
    fmt,
    marker::PhantomData,
    ops::Deref,
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;

use crate::{
    Database, Error, FromRow, Params,
    connection::{
        Condition, TxState,
        copy_end::{AfterEnd, CopyOutEnd},
        prepared::StatementFailure,
    },
    row::by_name::Columns,
    session::{Session, end_call},
    session_pool::{CallRetry, SessionPool},
    sqlstate::is_wrong_type,
};

/// The session of a stream.
pub(crate) enum StreamSession<'a> {
    Owned(Box<Session>),
    Tx(&'a Session),
}

impl Deref for StreamSession<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        match self {
            Self::Owned(session) => session,
            Self::Tx(session) => session,
        }
    }
}

type CommitFuture<'a> = Pin<Box<dyn Future<Output = Result<u64, Error>> + Send + 'a>>;
type StartFuture<'a, S> = Pin<Box<dyn Future<Output = Result<Running<'a, S>, Error>> + Send + 'a>>;

/// A statement whose results are a stream.
pub(crate) enum StatementStream<'a, S> {
    Starting(StartFuture<'a, S>),
    Running(Running<'a, S>),
    Committing(CommitFuture<'a>),
    Ended,
}

/// A statement that the server is running. Dropping it abandons the statement.
pub(crate) struct Running<'a, S> {
    // `None` after the end.
    session: Option<StreamSession<'a>>,
    results: Pin<Box<S>>,
    number: u64,
    sql: Box<str>,
    end: ResultsEnd,
}

/// The messages that are left to read behind the results of a statement.
#[derive(Clone, Copy)]
pub(crate) enum ResultsEnd {
    /// None: the client reads to the end of the statement.
    Nothing,
    /// The last messages of a `COPY`, after the results.
    OfCopy(CopyOutEnd),
    /// The results are over, and these are being read.
    Reading(CopyOutEnd),
}

impl<'a, S> Running<'a, S> {
    pub(crate) fn new(
        session: StreamSession<'a>,
        results: S,
        number: u64,
        sql: Box<str>,
        end: ResultsEnd,
    ) -> Self {
        Self { session: Some(session), results: Box::pin(results), number, sql, end }
    }

    /// Ends after the last result. Returns the session if the stream has begun a transaction, which is to be committed.
    fn end(mut self, failure: Option<tokio_postgres::Error>) -> Result<Option<Box<Session>>, Error> {
        let Some(session) = self.session.take() else { return Ok(None) };
        match failure {
            None => session.record_end(self.number, None, false),
            Some(error) => {
                let failure =
                    StatementFailure { error, number: self.number, has_begun: true, has_rows: true };
                return Err(session.record_failure(failure, &self.sql, true).0.into());
            }
        }
        match session {
            StreamSession::Owned(session) if session.tx_state == TxState::Open => Ok(Some(session)),
            _ => Ok(None),
        }
    }
}

impl<S, T> Running<'_, S>
where
    S: Stream<Item = Result<T, tokio_postgres::Error>>,
{
    /// Polls the next result; `None` when the server has ended the statement.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, tokio_postgres::Error>>> {
        loop {
            let result = ready!(self.results.as_mut().poll_next(cx));
            match (&mut self.end, result, &self.session) {
                (ResultsEnd::OfCopy(end), None, _) => self.end = ResultsEnd::Reading(*end),
                (ResultsEnd::Reading(end), result, Some(session)) => match end.next(result, session.client())
                {
                    AfterEnd::ReadOn => {}
                    AfterEnd::Over => return Poll::Ready(None),
                    AfterEnd::Failed(error) => return Poll::Ready(Some(Err(error))),
                },
                (_, result, _) => return Poll::Ready(result),
            }
        }
    }
}

impl<S> Drop for Running<'_, S> {
    fn drop(&mut self) {
        if let Some(session) = &self.session {
            session.worsen(Condition::Abandoned);
        }
    }
}

impl<S, T> StatementStream<'_, S>
where
    S: Stream<Item = Result<T, tokio_postgres::Error>>,
{
    /// Polls the next result. An error is the last one.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Error>>> {
        loop {
            match self {
                Self::Starting(start) => {
                    let started = ready!(start.as_mut().poll(cx));
                    *self = Self::Ended;
                    match started {
                        Ok(running) => *self = Self::Running(running),
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    }
                }
                Self::Running(running) => {
                    let failure = match ready!(running.poll_next(cx)) {
                        Some(Ok(result)) => return Poll::Ready(Some(Ok(result))),
                        Some(Err(error)) => Some(error),
                        None => None,
                    };
                    let Self::Running(running) = std::mem::replace(self, Self::Ended) else { continue };
                    match running.end(failure) {
                        Ok(None) => return Poll::Ready(None),
                        Ok(Some(session)) => {
                            *self = Self::Committing(Box::pin(end_call(*session, Ok(0))));
                        }
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    }
                }
                Self::Committing(commit) => {
                    let committed = ready!(commit.as_mut().poll(cx));
                    *self = Self::Ended;
                    return Poll::Ready(committed.err().map(Err));
                }
                Self::Ended => return Poll::Ready(None),
            }
        }
    }

    /// The results of the statement, while it runs.
    pub(crate) fn results(&self) -> Option<&S> {
        match self {
            Self::Running(running) => Some(&running.results),
            Self::Starting(_) | Self::Committing(_) | Self::Ended => None,
        }
    }

    /// Ends the stream early, after a result that cannot be read.
    pub(crate) fn abandon(&mut self, error: &Error) {
        if let (Self::Running(running), Error::Decode(error)) = (&*self, error)
            && is_wrong_type(&**error)
            && let Some(session) = &running.session
        {
            // The types that the client knows may be stale: the next call asks for them.
            session.forget(&running.sql);
        }
        *self = Self::Ended;
    }
}

/// The rows of a statement, read as they come; made by [`Database::stream`] and [`Tx::stream`](crate::Tx::stream).
///
/// It ends after the first error. Dropping it before its end cancels the statement on the server, and frees the
/// connection; a transaction whose stream was dropped is rolled back.
#[must_use = "streams do nothing unless polled"]
pub struct RowStream<'a, R> {
    rows: StatementStream<'a, tokio_postgres::RowStream>,
    columns: Columns,
    row: PhantomData<fn() -> R>,
}

impl Database {
    /// Returns the rows of a statement as a stream, which reads them as the server finds them, and keeps few in memory.
    ///
    /// The stream has a connection from its first poll to its end, and the server keeps the state of its snapshot so long.
    ///
    /// # Errors
    ///
    /// The items are [`Error::Get`], [`Error::Statement`] and [`Error::Decode`]; the stream ends after the first one.
    ///
    /// # Cancel safety
    ///
    /// No row is lost if the future of a next item is dropped. Dropping the stream cancels the statement on the server; it
    /// may have taken effect.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::pin::pin;
    ///
    /// use futures::TryStreamExt as _;
    ///
    /// # async fn example(db: evenkeel_postgres::Database) -> Result<(), evenkeel_postgres::Error> {
    /// let mut users = pin!(db.stream::<(i64, String)>("select id, name from users order by id", ()));
    /// while let Some((id, name)) = users.try_next().await? {
    ///     println!("{id} {name}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn stream<'a, R: FromRow>(&self, sql: &str, params: impl Params + 'a) -> RowStream<'a, R> {
        let (pool, place) = (self.sessions.clone(), Location::caller());
        RowStream::new(StatementStream::Starting(Box::pin(start(pool, place, sql.into(), params))))
    }
}

async fn start<'a>(
    pool: SessionPool,
    place: &'static Location<'static>,
    sql: Box<str>,
    params: impl Params,
) -> Result<Running<'a, tokio_postgres::RowStream>, Error> {
    let mut calls = CallRetry::at(&pool, place);
    loop {
        let session = calls.session().await?;
        let opened = session.open(&sql, &params.refs()).await;
        if !calls.should_repeat(&session, &opened) {
            let (number, rows) = opened?;
            return Ok(Running::new(
                StreamSession::Owned(Box::new(session)),
                rows,
                number,
                sql,
                ResultsEnd::Nothing,
            ));
        }
    }
}

impl<'a, R> RowStream<'a, R> {
    fn new(rows: StatementStream<'a, tokio_postgres::RowStream>) -> Self {
        Self { rows, columns: Columns::default(), row: PhantomData }
    }

    /// The rows of a statement in a transaction.
    pub(crate) fn in_tx(session: Result<&'a Session, Error>, sql: &str, params: impl Params + 'a) -> Self {
        let sql = Box::<str>::from(sql);
        Self::new(StatementStream::Starting(Box::pin(async move {
            let session = session?;
            let (number, rows) = session.open(&sql, &params.refs()).await?;
            Ok(Running::new(StreamSession::Tx(session), rows, number, sql, ResultsEnd::Nothing))
        })))
    }
}

impl<R: FromRow> Stream for RowStream<'_, R> {
    type Item = Result<R, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(row) = ready!(self.rows.poll_next(cx)?) else { return Poll::Ready(None) };
        let row = R::from_row_of(row, &mut self.columns).map_err(Error::Decode);
        if let Err(error) = &row {
            self.rows.abandon(error);
        }
        Poll::Ready(Some(row))
    }
}

impl<R> fmt::Debug for RowStream<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowStream").field("state", &self.rows.state()).finish()
    }
}

impl<S> StatementStream<'_, S> {
    /// The state, for `Debug`.
    pub(crate) fn state(&self) -> &'static str {
        match self {
            Self::Starting(_) => "starting",
            Self::Running(_) => "running",
            Self::Committing(_) => "committing",
            Self::Ended => "ended",
        }
    }
}
