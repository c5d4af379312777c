//! The way of a transaction: begin, the body, commit or roll back, and again after a conflict.

use tokio_postgres::error::DbError;

use crate::session::Session;
use crate::{Database, Error, Tx, TxOptions};

impl Database {
    /// Runs `body` in a transaction, which is committed when it gives `Ok`, and rolled back in any other case.
    ///
    /// When the transaction loses against another one, by a serialization failure or as the victim of a deadlock, it
    /// is rolled back and `body` is run again from the start, as the [`TxOptions`] say; what `body` made of the
    /// failure does not matter. The connection is free for others during the wait. Nothing else is repeated: when the
    /// connection is lost during the commit, nobody knows whether it came about, and the error says so.
    ///
    /// The [`Tx`] must be dropped when `body` ends. `E` is any error type that an [`Error`] converts into. Where Rust
    /// cannot see it, as with a `?` behind the call, end the body with `Ok::<_, Error>(…)`.
    ///
    /// # Errors
    ///
    /// The error of `body`, or one of these as `E`:
    ///
    /// - [`Error::Get`], [`Error::Statement`]: it could not begin, or the server refused to commit.
    /// - [`Error::Aborted`], [`Error::Abandoned`], [`Error::Kept`]: `body` gave `Ok`, and the transaction could not be
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
        let first = self.session();
        async move {
            let begin = options.begin();
            let mut tries = options.retry.start();
            let mut session = Some(first);
            loop {
                let mut committing = false;
                let attempt = async {
                    let session = match session.take() {
                        Some(first) => first.await,
                        None => self.session().await,
                    };
                    attempt(session, &begin, &mut body, &mut committing).await
                };
                match tries.attempt(attempt).await {
                    Ok(output) => break output,
                    Err(failed) if committing && failed.is_timeout() => {
                        break Err(Error::CommitUnknown(None).into());
                    }
                    Err(failed) => tries.backoff(failed).await.map_err(Error::GaveUp)?,
                }
            }
        }
    }
}

/// One attempt: the outcome, or the conflict for which another one is worth it.
async fn attempt<T, E, Fut>(
    session: Result<Session, Error>,
    begin: &str,
    body: &mut impl FnMut(Tx) -> Fut,
    committing: &mut bool,
) -> Result<Result<T, E>, Box<DbError>>
where
    E: From<Error>,
    Fut: Future<Output = Result<T, E>>,
{
    let begun = async {
        let mut session = session?;
        session.begin(begin).await?;
        Ok(session)
    };
    let (tx, home) = match begun.await {
        Ok(session) => Tx::lend(session),
        Err(error) => return Ok(Err(Error::into(error))),
    };
    let output = body(tx).await;
    match (output, home.take()) {
        (Ok(value), Some(session)) => match session.commit(committing).await {
            Ok(()) => Ok(Ok(value)),
            Err(error) => match error.db() {
                Some(conflict) if error.is_conflict() => Err(Box::new(conflict.clone())),
                _ => Ok(Err(error.into())),
            },
        },
        (Ok(_), None) => Ok(Err(Error::Kept.into())),
        (Err(error), None) => Ok(Err(error)),
        (Err(error), Some(session)) => {
            let conflict = session.failure().filter(|failure| crate::error::is_conflict(failure));
            session.roll_back().await;
            conflict.map_or(Ok(Err(error)), Err)
        }
    }
}
