//! The handle of a database.

use std::any::TypeId;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Manager;
use evenkeel_pool::{BoxError, Closed, Deadpool, GetError, Holder, Pool, Snapshot};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Config, NoTls, Socket};

use crate::cancel::{cancel_over, cancel_without_tls};
use crate::connect::hosts::Hosts;
use crate::connect::link::{dial_over, dial_without_tls};
use crate::connect::progress::Attempts;
use crate::manager::{Connector, Source};
use crate::recycle::Cleaner;
use crate::session::Session;
use crate::session_pool::Calls;
use crate::{Builder, Error, FromRow, Params, TxOptions};

/// A PostgreSQL database, through a pool of connections. A handle: clones are the same pool.
///
/// Each call takes a connection for as long as it runs, first come first served. Statements are prepared, and each
/// connection keeps the 100 that it used last. The place of the call is kept for [`holders`](Self::holders), and for
/// the timeouts of others.
///
/// **A call that is dropped** before its end, by a timeout or a `select!`, is cancelled on the server, in the
/// background. Its connection is closed when the server is done with it, and counts as in use until then.
///
/// **What a call leaves in the session** is taken back before the next one gets the connection: an open transaction,
/// settings, the role, cursors, `LISTEN`, advisory locks, temporary tables. It costs a round trip in the background
/// after [`batch_execute`](Self::batch_execute), and after statements that do not begin with `SELECT`, `INSERT`,
/// `UPDATE`, `DELETE`, `MERGE`, `WITH`, `VALUES` or `TABLE`; after these nothing is asked of the server. So a function
/// that changes the session, called in one of them, is not noticed: `set_config(…, false)`, `pg_advisory_lock`.
///
/// Connections are not encrypted; for TLS see [`builder_with_tls`](Self::builder_with_tls).
///
/// # Panics
///
/// The futures of all methods, if they are polled outside of a tokio runtime with time enabled.
///
/// # Why not just use X?
///
/// tokio-postgres alone serves where one connection is enough. `deadpool_postgres::Pool` hands out connections that
/// are still busy with the dropped query of the last user, or in the middle of its transaction; its transactions are
/// not retried, and commit without a word what a failed statement has already undone.
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
    pool: Pool<Connector>,
    cleaner: Arc<Cleaner>,
    attempts: Arc<Attempts>,
    acquire_timeout: Duration,
}

impl Database {
    pub(crate) fn new(
        pool: Pool<Connector>,
        cleaner: Cleaner,
        attempts: Arc<Attempts>,
        acquire_timeout: Duration,
    ) -> Self {
        Self { pool, cleaner: Arc::new(cleaner), attempts, acquire_timeout }
    }

    /// Connects to the database at this address, with the defaults of [`Builder`].
    ///
    /// The address is a URL, or `key=value` pairs, as [`Config`] reads it.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for an address that cannot be read, [`Error::Get`] if there is no connection: a server that
    /// is not ready is waited for, a wrong password or name of a database is told at once.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use evenkeel_postgres::{Database, Error};
    /// # async fn example() -> Result<(), Error> {
    /// let db = Database::connect("postgres://app:secret@db.example.com:5432/app").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::builder(url.parse().map_err(Error::Config)?).connect().await
    }

    /// Begins to configure a database at this address, without TLS.
    pub fn builder(config: Config) -> Builder {
        let hosts = Box::new(Hosts::new(config, dial_without_tls()));
        Builder::new(Source::Hosts(hosts), cancel_without_tls())
    }

    /// Begins to configure a database at this address, with TLS as the configuration asks for it: `sslmode`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use evenkeel_postgres::tokio_postgres::{self, Socket, tls::{MakeTlsConnect, TlsConnect}};
    /// # use evenkeel_postgres::{Database, Error};
    /// # async fn example<T>(tls: T) -> Result<(), Error>
    /// # where
    /// #     T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    /// #     T::Stream: Send,
    /// #     T::TlsConnect: Send,
    /// #     <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    /// # {
    /// let config = "postgres://app@db1,db2/app?sslmode=require&target_session_attrs=read-write";
    /// let db = Database::builder_with_tls(config.parse().map_err(Error::Config)?, tls).connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder_with_tls<T>(config: Config, tls: T) -> Builder
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        // It says that it has no TLS to the client alone.
        if TypeId::of::<T>() == TypeId::of::<NoTls>() {
            return Self::builder(config);
        }
        let hosts = Box::new(Hosts::new(config, dial_over(tls.clone())));
        Builder::new(Source::Hosts(hosts), cancel_over(tls))
    }

    /// Begins to configure a database over a manager of connections, whose
    /// [`Connect`](deadpool_postgres::Connect) reaches the server in a way of its own.
    ///
    /// Its recycling method runs before each reuse, beside what a `Database` does by itself;
    /// [`RecyclingMethod::Fast`](deadpool_postgres::RecyclingMethod::Fast), the default, is enough. A way to cancel is
    /// given by [`Builder::cancel_with`]. Several hosts are tried as its `Connect` does; that of deadpool-postgres waits
    /// for each one in turn, for as long as the `connect_timeout` of its configuration says. The last word of the server
    /// on an idle connection (57P05, 25P03) is not always seen: then the error of the lost connection is told, and nothing
    /// is run again.
    pub fn over(manager: Manager) -> Builder {
        Builder::new(Source::Manager(Deadpool::new(manager)), cancel_without_tls())
    }

    pub(crate) async fn session_at(&self, place: &'static Location<'static>) -> Result<Session, Error> {
        match self.pool.get_at(place).await {
            Ok(lease) => Ok(Session::new(lease, Arc::clone(&self.cleaner))),
            Err(mut error) => {
                if let GetError::Timeout(why) = &mut error
                    && why.snapshot.creating > 0
                    && why.cause.is_none()
                    && let Some(text) = self.attempts.so_far()
                {
                    why.cause = Some(BoxError::from(text.as_str()).into());
                    why.last_failure = Some(text);
                }
                Err(Error::Get(error))
            }
        }
    }

    #[track_caller]
    pub(crate) fn session(&self) -> impl Future<Output = Result<Session, Error>> + Send {
        self.session_at(Location::caller())
    }

    pub(crate) const fn acquire_timeout(&self) -> Duration {
        self.acquire_timeout
    }

    /// Fetches the one row that the statement gives.
    ///
    /// # Errors
    ///
    /// [`Error::Get`], [`Error::Statement`] and [`Error::Decode`]; [`Error::RowCount`] if there is none, or more than
    /// one: it reads them all to tell.
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
        let mut calls = Calls::new(self);
        async move {
            loop {
                let session = calls.session().await?;
                let result = session.fetch_one(sql, &params).await;
                if !calls.again(&session, &result) {
                    return result;
                }
            }
        }
    }

    /// Fetches the one row that the statement gives, if it gives one.
    ///
    /// # Errors
    ///
    /// [`Error::Get`], [`Error::Statement`] and [`Error::Decode`]; [`Error::RowCount`] if there is more than one row:
    /// it reads them all to tell.
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
    #[track_caller]
    pub fn fetch_opt<R: FromRow>(
        &self,
        sql: &str,
        params: impl Params,
    ) -> impl Future<Output = Result<Option<R>, Error>> + Send {
        let mut calls = Calls::new(self);
        async move {
            loop {
                let session = calls.session().await?;
                let result = session.fetch_opt(sql, &params).await;
                if !calls.again(&session, &result) {
                    return result;
                }
            }
        }
    }

    /// Fetches all rows that the statement gives, into memory.
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
        let mut calls = Calls::new(self);
        async move {
            loop {
                let session = calls.session().await?;
                let result = session.fetch_all(sql, &params).await;
                if !calls.again(&session, &result) {
                    return result;
                }
            }
        }
    }

    /// Runs a statement, and gives the number of rows that it concerned.
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
        let mut calls = Calls::new(self);
        async move {
            loop {
                let session = calls.session().await?;
                let result = session.execute(sql, &params).await;
                if !calls.again(&session, &result) {
                    return result;
                }
            }
        }
    }

    /// Runs a statement once for each row of parameters, all or none, and gives the number of rows that it concerned
    /// in all.
    ///
    /// It is one transaction, in which up to 256 rows are on their way at a time, so that it waits for the server and
    /// not for each answer.
    ///
    /// # Errors
    ///
    /// [`Error::Row`] names the first row that failed; else as [`transaction`](Self::transaction). It is not tried
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
        let mut calls = Calls::new(self);
        async move {
            let begin = TxOptions::new().begin();
            let (mut session, begun) = loop {
                let mut session = calls.session().await?;
                let begun = session.begin_with(&begin, sql).await;
                if !calls.again(&session, &begun) {
                    break (session, begun);
                }
            };
            let many = match begun {
                Ok(()) => session.execute_many(sql, rows).await,
                Err(error) => Err(error),
            };
            match many {
                Ok(count) => session.commit(&mut false).await.map(|()| count),
                Err(error) => {
                    session.roll_back().await;
                    Err(error)
                }
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
    /// Dropping the future cancels the statement that the server is at; they may have taken effect.
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
    #[track_caller]
    pub fn batch_execute(&self, sql: &str) -> impl Future<Output = Result<(), Error>> + Send {
        let mut calls = Calls::new(self);
        async move {
            loop {
                let session = calls.session().await?;
                let result = session.batch_execute(sql).await;
                if !calls.again(&session, &result) {
                    return result;
                }
            }
        }
    }

    /// The pool in numbers. A connection that is being cleaned counts as in use.
    #[must_use]
    pub fn stats(&self) -> Snapshot {
        self.pool.snapshot()
    }

    /// Which calls have a connection, the longest first.
    #[must_use]
    pub fn holders(&self) -> Vec<Holder> {
        self.pool.holders()
    }

    /// Closes the database, and waits until all connections are closed, for at most so long.
    ///
    /// From its first poll on every new call fails at once, also those that wait for a connection; those that have one
    /// run on, and are listed if they are late. It can be called again, to wait once more.
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
        self.pool.close(within).await
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
