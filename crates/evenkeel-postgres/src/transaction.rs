//! The way of a transaction: begin, the body, commit or roll back, and again after a conflict.

mod options;
mod tx;

use std::mem;

use tokio::time::Instant;
use tokio_postgres::error::DbError;

use crate::error::is_undone;
use crate::session::Session;
use crate::session_pool::Calls;
use crate::{Database, Error};

pub use options::TxOptions;
pub use tx::Tx;

impl Database {
    /// Runs `body` in a transaction, which is committed when it gives `Ok`, and rolled back in any other case.
    ///
    /// When the transaction loses against another one, by a serialization failure or as the victim of a deadlock, it
    /// is rolled back and `body` is run again from the start, as the [`TxOptions`] say; what `body` made of the
    /// failure does not matter, unless it went back to a savepoint: then the transaction goes on. The same is done when
    /// the server ends the connection for its idleness (`idle_in_transaction_session_timeout`). The connection is free
    /// for others during the wait. When what was prepared before has become out of date, because a table or a type was
    /// altered, `body` is run again once. Nothing else is repeated: when the connection is lost during the commit,
    /// nobody knows whether it came about, and the error says so.
    ///
    /// The [`Tx`] must be dropped when `body` ends. `E` is any error type that an [`Error`] converts into. Where Rust
    /// cannot see it, as with a `?` behind the call, end the body with `Ok::<_, Error>(…)`.
    ///
    /// # Errors
    ///
    /// The error of `body`, or one of these as `E`:
    ///
    /// - [`Error::Get`], [`Error::Statement`]: it could not begin, or the server refused to commit.
    /// - [`Error::Aborted`], [`Error::Abandoned`], [`Error::Ended`], [`Error::Kept`]: `body` gave `Ok`, and the transaction could not be
    ///   committed all the same.
    /// - [`Error::GaveUp`]: one conflict after another, until the policy ended it.
    /// - [`Error::CommitUnknown`]: it may have been committed, or not.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before the commit was sent rolls the transaction back, also when `body` panics: the server
    /// is told in the background, and a statement in flight is cancelled. Dropped later, it leaves the commit to come
    /// to its end, one way or the other.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use evenkeel_postgres::{Database, Error, TxOptions};
    ///
    /// #[derive(Debug)]
    /// enum BankError {
    ///     TooPoor,
    ///     Database(Error),
    /// }
    ///
    /// impl From<Error> for BankError {
    ///     fn from(error: Error) -> Self {
    ///         Self::Database(error)
    ///     }
    /// }
    ///
    /// async fn withdraw(db: &Database, account: i64, cents: i64) -> Result<i64, BankError> {
    ///     let change = "update accounts set cents = cents - $2 where id = $1 returning cents";
    ///     db.transaction(TxOptions::serializable(), async |tx| {
    ///         let (left,): (i64,) = tx.fetch_one(change, (account, cents)).await?;
    ///         if left < 0 { Err(BankError::TooPoor) } else { Ok(left) }
    ///     })
    ///     .await
    /// }
    /// ```
    #[track_caller]
    pub fn transaction<T, E, F, Fut>(
        &self,
        options: TxOptions,
        mut body: F,
    ) -> impl Future<Output = Result<T, E>>
    where
        E: From<Error>,
        F: FnMut(Tx) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let mut calls = Calls::new(self);
        async move {
            let (start, begin) = (Instant::now(), options.begin());
            let mut tries = options.retry.start();
            let mut has_repeated = false;
            loop {
                let mut committing = false;
                let attempt = async {
                    loop {
                        match attempt(calls.begin(&begin).await, &mut body, &mut committing).await {
                            End::Done(output) => break Ok(output),
                            End::Conflict(conflict) => break Err(conflict),
                            // All has been forgotten that was prepared: once is enough.
                            End::OutOfDate(error) if mem::replace(&mut has_repeated, true) => {
                                break Ok(Err(error));
                            }
                            End::OutOfDate(_) => {}
                        }
                    }
                };
                match tries.attempt(attempt).await {
                    Ok(output) => break output,
                    Err(failed) if committing && failed.is_timeout() => {
                        break Err(Error::CommitUnknown(None).into());
                    }
                    Err(failed) => {
                        tries.backoff(failed).await.map_err(|error| Error::GaveUp(error.began_at(start)))?;
                    }
                }
            }
        }
    }
}

/// How an attempt ends.
enum End<T, E> {
    Done(Result<T, E>),
    /// Another one has won.
    Conflict(Box<DbError>),
    /// A statement that was prepared before did not fit any more.
    OutOfDate(E),
}

/// One attempt.
async fn attempt<T, E, Fut>(
    begun: Result<Session, Error>,
    body: &mut impl FnMut(Tx) -> Fut,
    committing: &mut bool,
) -> End<T, E>
where
    E: From<Error>,
    Fut: Future<Output = Result<T, E>>,
{
    let (tx, home) = match begun {
        Ok(session) => Tx::lend(session),
        Err(error) => return End::Done(Err(Error::into(error))),
    };
    let output = body(tx).await;
    let Some(mut session) = home.take() else {
        return End::Done(output.and_then(|_| Err(Error::Kept.into())));
    };
    // One that was cured by a return to a savepoint has ended nothing.
    let failure = session.failure().filter(|failure| !failure.is_cured);
    let is_out_of_date = failure.as_ref().is_some_and(|failure| failure.is_out_of_date);
    match output {
        Ok(value) => match session.commit(committing).await {
            Ok(()) => End::Done(Ok(value)),
            Err(error) => {
                let unbegun = match &error {
                    Error::Statement(error) => session.unbegun(error),
                    _ => None,
                };
                match (error.db(), unbegun) {
                    (Some(conflict), _) if error.is_conflict() => End::Conflict(Box::new(conflict.clone())),
                    (_, Some(unbegun)) => End::Conflict(unbegun),
                    (Some(_), None) if is_out_of_date => End::OutOfDate(error.into()),
                    _ => End::Done(Err(error.into())),
                }
            }
        },
        Err(error) => {
            let idle_end = session.idle_end();
            session.roll_back().await;
            match (failure, idle_end) {
                (Some(failure), _) if is_undone(&failure.error) => End::Conflict(failure.error),
                (Some(_), _) if is_out_of_date => End::OutOfDate(error),
                (_, Some(idle_end)) => End::Conflict(idle_end),
                _ => End::Done(Err(error)),
            }
        }
    }
}
