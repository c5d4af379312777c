//! The inside of a transaction.

use std::fmt;
use std::sync::{Arc, Mutex, Weak};

use crate::connection::{Condition, lock};
use crate::session::Session;
use crate::{Error, FromRow, Params};

/// A transaction under way, as [`Database::transaction`](crate::Database::transaction) hands it to its closure.
///
/// Its methods are those of [`Database`](crate::Database), and run on the one connection of the transaction, which it
/// hands back when it is dropped: that must be so when the closure ends, or the transaction cannot be committed.
/// Statements that are polled together, in a `tokio::try_join!`, do not wait for each other's answers; the server runs
/// them one after the other, in the order in which they come.
///
/// A statement that fails ends the transaction; then only a return to a savepoint, by
/// [`batch_execute`](Self::batch_execute), saves what was done before. A statement whose future is dropped before its
/// end, by a timeout for example, ends it in any case: it is cancelled on the server, those after it fail with
/// [`Error::Abandoned`]. Ending the transaction is up to its closure: a statement that would do it, `COMMIT` or
/// `ROLLBACK`, is refused with [`Error::Ended`], as is every one after it.
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
    // None once it was handed back.
    session: Option<Session>,
    home: Weak<Mutex<Option<Session>>>,
}

/// Where the session comes back to.
pub(crate) struct Home {
    session: Arc<Mutex<Option<Session>>>,
}

impl Home {
    /// The session, if it is back.
    pub(crate) fn take(self) -> Option<Session> {
        lock(&self.session).take()
    }
}

impl Tx {
    pub(crate) fn lend(session: Session) -> (Self, Home) {
        let home = Arc::new(Mutex::new(None));
        (Self { session: Some(session), home: Arc::downgrade(&home) }, Home { session: home })
    }

    /// As [`Database::fetch_one`](crate::Database::fetch_one).
    ///
    /// # Errors
    ///
    /// As there, [`Error::Abandoned`] and [`Error::Ended`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before its end ends the transaction, without effect.
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
        self.session()?.fetch_one(sql, params).await
    }

    /// As [`Database::fetch_opt`](crate::Database::fetch_opt).
    ///
    /// # Errors
    ///
    /// As there, [`Error::Abandoned`] and [`Error::Ended`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before its end ends the transaction, without effect.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(tx: evenkeel_postgres::Tx) -> Result<(), evenkeel_postgres::Error> {
    /// let name: Option<(String,)> = tx.fetch_opt("select name from users where id = $1", (7_i64,)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn fetch_opt<R: FromRow>(&self, sql: &str, params: impl Params) -> Result<Option<R>, Error> {
        self.session()?.fetch_opt(sql, params).await
    }

    /// As [`Database::fetch_all`](crate::Database::fetch_all).
    ///
    /// # Errors
    ///
    /// As there, [`Error::Abandoned`] and [`Error::Ended`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before its end ends the transaction, without effect.
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
        self.session()?.fetch_all(sql, params).await
    }

    /// As [`Database::execute`](crate::Database::execute).
    ///
    /// # Errors
    ///
    /// As there, [`Error::Abandoned`] and [`Error::Ended`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before its end ends the transaction, without effect.
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

    /// As [`Database::execute_many`](crate::Database::execute_many), in this transaction.
    ///
    /// # Errors
    ///
    /// As there, [`Error::Abandoned`] and [`Error::Ended`]. A row that the server refuses ends the transaction; one whose parameters do
    /// not fit does not, and those before it are in.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before its end ends the transaction, without effect.
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

    /// As [`Database::batch_execute`](crate::Database::batch_execute): the place for `SAVEPOINT`.
    ///
    /// # Errors
    ///
    /// As there, [`Error::Abandoned`] and [`Error::Ended`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before its end ends the transaction, without effect.
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
    pub async fn batch_execute(&self, sql: &str) -> Result<(), Error> {
        self.session()?.batch_execute(sql).await
    }

    fn session(&self) -> Result<&Session, Error> {
        let session = self.session.as_ref().expect("a transaction has its session until it is dropped");
        if session.condition() == Condition::Abandoned {
            Err(Error::Abandoned)
        } else if session.has_ended() {
            Err(Error::Ended)
        } else {
            Ok(session)
        }
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        // If nobody waits for it any more, the session ends the transaction when it is dropped.
        if let Some(home) = self.home.upgrade() {
            *lock(&home) = self.session.take();
        }
    }
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").finish_non_exhaustive()
    }
}
