//! Runs a transaction: begins, runs the body, commits or rolls back, and repeats it after a conflict.
//!
//! # How it works
//!
//! The body gets the session as a [`Tx`] and must drop it before it ends, which puts the session into a
//! [`ReturnSlot`](tx::ReturnSlot): so nothing can use the connection beside the commit. A `Tx` that is dropped later finds
//! no slot, and its session rolls back in the background. The body may hide a failure; therefore the record of the
//! connection decides how an attempt ends, not the body's error.
//!
//! Two loops repeat a body: the inner one once, at once, when a prepared statement was stale; the outer one after a
//! conflict, by the policy. A commit with an unknown outcome ends both: nothing is repeated after it.

mod options;
mod tx;

use std::mem;

use evenkeel_base::lock;
use tokio::time::Instant;
use tokio_postgres::error::DbError;

pub use self::{options::TxOptions, tx::Tx};
use crate::{
    Database, Error,
    session::Session,
    session_pool::CallRetry,
    sqlstate::{is_repeatable, is_transaction_timeout},
};

impl Database {
    /// Runs `body` in a transaction, which is committed when it returns `Ok`, and rolled back in any other case.
    ///
    /// When the transaction loses against another one, by a serialization failure or as the victim of a deadlock, it
    /// is rolled back and `body` runs again from the start, as the [`TxOptions`] say. This does not depend on how `body`
    /// handles the failure, unless it goes back to a savepoint: then the transaction goes on. `body` also runs again when
    /// the server ends the connection because of its idleness (`idle_in_transaction_session_timeout`). The connection is
    /// free for others between the attempts. When a prepared statement is stale, because a table or a type was altered,
    /// `body` runs again once. Nothing else is repeated: when the connection is lost during the commit, the outcome is
    /// unknown, and the error says so.
    ///
    /// The [`Tx`] must be dropped when `body` ends. Its error is an [`Error`], so that a `?` behind a call of the `Tx` and
    /// `Ok(…)` need no annotation; for another one there is [`transaction_with_error`](Self::transaction_with_error).
    ///
    /// # Errors
    ///
    /// The error of `body`, or one of these:
    ///
    /// - [`Error::Get`], [`Error::Statement`]: it could not begin, or the server refused to commit.
    /// - [`Error::Aborted`], [`Error::Abandoned`], [`Error::Ended`], [`Error::TxStillBorrowed`]: `body` returned `Ok`, but
    ///   the transaction could not be committed.
    /// - [`Error::GaveUp`]: each attempt met a conflict, until the policy ended them.
    /// - [`Error::CommitUnknown`]: it may have been committed, or not.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before the commit was sent rolls the transaction back, also when `body` panics: the server
    /// is told in the background, and a statement in flight is cancelled. If it is dropped later, the commit still
    /// succeeds or fails on the server.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use evenkeel_postgres::{Database, Error, TxOptions};
    ///
    /// async fn rename(db: &Database, id: i64, name: &str) -> Result<bool, Error> {
    ///     let renamed = db.transaction(TxOptions::serializable(), async |tx| {
    ///         let taken: i64 = tx.fetch_scalar("select count(*) from users where name = $1", (name,)).await?;
    ///         if taken == 0 {
    ///             tx.execute("update users set name = $2 where id = $1", (id, name)).await?;
    ///         }
    ///         Ok(taken == 0)
    ///     });
    ///     Ok(renamed.await?)
    /// }
    /// ```
    #[track_caller]
    pub fn transaction<T, F, Fut>(
        &self,
        options: TxOptions,
        body: F,
    ) -> impl Future<Output = Result<T, Error>>
    where
        F: FnMut(Tx) -> Fut,
        Fut: Future<Output = Result<T, Error>>, // another error: `transaction_with_error`
    {
        self.transaction_with_error(options, body)
    }

    /// Runs `body` in a transaction, like [`transaction`](Self::transaction), with an error type of your own, into which an
    /// [`Error`] converts.
    ///
    /// Where Rust cannot see the type, as with a `?` after the call, the closure names it: `async |tx| -> Result<_, MyError> { … }`.
    ///
    /// # Errors
    ///
    /// As [`transaction`](Self::transaction), converted into `E`.
    ///
    /// # Cancel safety
    ///
    /// As [`transaction`](Self::transaction).
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
    ///     db.transaction_with_error(TxOptions::serializable(), async |tx| {
    ///         let (left,): (i64,) = tx.fetch_one(change, (account, cents)).await?;
    ///         if left < 0 { Err(BankError::TooPoor) } else { Ok(left) }
    ///     })
    ///     .await
    /// }
    /// ```
    #[track_caller]
    pub fn transaction_with_error<T, E, F, Fut>(
        &self,
        options: TxOptions,
        mut body: F,
    ) -> impl Future<Output = Result<T, E>>
    where
        E: From<Error>,
        F: FnMut(Tx) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let mut calls = CallRetry::new(&self.sessions);
        async move {
            let (start, begin) = (Instant::now(), options.begin());
            let mut attempts = options.retry.start();
            let mut has_been_stale = false;
            loop {
                let mut committing = false;
                let attempt = async {
                    loop {
                        match attempt(calls.begin(&begin).await, &mut body, &mut committing).await {
                            AttemptEnd::Done(output) => break Ok(output),
                            AttemptEnd::Conflict(conflict) => break Err(conflict),
                            // All prepared statements were dropped, so a second repetition would not help.
                            AttemptEnd::Stale(error) if mem::replace(&mut has_been_stale, true) => {
                                break Ok(Err(error));
                            }
                            AttemptEnd::Stale(_) => {}
                        }
                    }
                };
                match attempts.attempt(attempt).await {
                    Ok(output) => break output,
                    Err(failed) if committing && failed.is_timeout() => {
                        break Err(Error::CommitUnknown(None).into());
                    }
                    Err(failed) => {
                        attempts
                            .backoff(failed)
                            .await
                            .map_err(|error| Error::GaveUp(error.began_at(start)))?;
                    }
                }
            }
        }
    }
}

/// The end of an attempt.
enum AttemptEnd<T, E> {
    Done(Result<T, E>),
    /// The transaction lost a conflict, or its connection was idle for too long.
    Conflict(Box<DbError>),
    /// A prepared statement was stale.
    Stale(E),
}

/// Makes one attempt, in a session in which the transaction has begun.
async fn attempt<T, E, Fut>(
    begun: Result<Session, Error>,
    body: &mut impl FnMut(Tx) -> Fut,
    committing: &mut bool,
) -> AttemptEnd<T, E>
where
    E: From<Error>,
    Fut: Future<Output = Result<T, E>>,
{
    let (tx, return_slot) = match begun {
        Ok(session) => Tx::new(session),
        Err(error) => return AttemptEnd::Done(Err(Error::into(error))),
    };
    let output = body(tx).await;
    let Some(mut session) = lock(&return_slot).take() else {
        return AttemptEnd::Done(output.and_then(|_| Err(Error::TxStillBorrowed.into())));
    };
    // After a return to a savepoint the failure has ended nothing.
    let failure = session.tx().failure.clone().filter(|failure| !failure.is_recovered);
    let is_stale = failure.as_ref().is_some_and(|failure| failure.is_stale);
    match output {
        Ok(value) => match session.commit(committing).await {
            Ok(()) => AttemptEnd::Done(Ok(value)),
            Err(error) => {
                let never_began = match &error {
                    Error::Statement(error) => session.never_began(error),
                    _ => None,
                };
                match (error.db(), never_began) {
                    (Some(conflict), _) if error.is_conflict() => {
                        AttemptEnd::Conflict(Box::new(conflict.clone()))
                    }
                    (_, Some(never_began)) if !is_transaction_timeout(never_began.code()) => {
                        AttemptEnd::Conflict(never_began)
                    }
                    (Some(_), _) if is_stale => AttemptEnd::Stale(error.into()),
                    _ => AttemptEnd::Done(Err(error.into())),
                }
            }
        },
        Err(error) => {
            let idle_timeout = session.idle_timeout();
            session.roll_back().await;
            match (failure, idle_timeout) {
                (Some(failure), _) if is_repeatable(&failure.error) => AttemptEnd::Conflict(failure.error),
                (Some(_), _) if is_stale => AttemptEnd::Stale(error),
                (_, Some(idle_timeout)) => AttemptEnd::Conflict(idle_timeout),
                _ => AttemptEnd::Done(Err(error)),
            }
        }
    }
}
