//! The configuration of a database.

use std::sync::Arc;
use std::time::Duration;

use evenkeel_pool::{BuildError, Pool};
use tokio_postgres::CancelToken;

use crate::cancel::{Cancel, cancel_with};
use crate::connect::progress::Attempts;
use crate::connection::prepared::Generation;
use crate::manager::{Connector, Source};
use crate::recycle::Cleaner;
use crate::{Database, Error};

/// Makes a [`Database`]; begun by [`Database::builder`] or [`Database::over`].
///
/// | setting | default |
/// |---|---|
/// | [`max`](Self::max) | 10 connections |
/// | [`acquire_timeout`](Self::acquire_timeout) | 30 s |
/// | [`connect_timeout`](Self::connect_timeout) | 10 s |
/// | [`cleanup_timeout`](Self::cleanup_timeout) | 5 s |
/// | [`reset_always`](Self::reset_always) | where something may have stayed in the session |
/// | [`cancel_with`](Self::cancel_with) | the address and the TLS of the connection itself |
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use evenkeel_postgres::Database;
/// use std::time::Duration;
///
/// let mut config: evenkeel_postgres::tokio_postgres::Config = "postgres://app@localhost/app".parse()?;
/// config.options("-c search_path=app -c statement_timeout=30s");
/// let db = Database::builder(config).max(16).acquire_timeout(Duration::from_secs(5)).connect().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is connected before `connect` or `build`"]
pub struct Builder {
    source: Source,
    cancel: Cancel,
    max: usize,
    acquire_timeout: Duration,
    connect_timeout: Duration,
    cleanup_timeout: Duration,
    reset_always: bool,
}

impl Builder {
    pub(crate) fn new(source: Source, cancel: Cancel) -> Self {
        Self {
            source,
            cancel,
            max: 10,
            acquire_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            cleanup_timeout: Duration::from_secs(5),
            reset_always: false,
        }
    }

    /// How many connections there may be at a time, those included that are being made or cleaned. The default is 10.
    pub const fn max(mut self, max: usize) -> Self {
        self.max = max;
        self
    }

    /// How long a call may wait for a connection. The default is 30 s.
    ///
    /// While the server starts, stops, is no primary yet, or has no place left, connecting is tried again within this
    /// time, after the [backoff](evenkeel_pool::Pool#backoff) of the pool; the last failure is the source of the error.
    pub const fn acquire_timeout(mut self, limit: Duration) -> Self {
        self.acquire_timeout = limit;
        self
    }

    /// How long one attempt to connect may take, with all hosts. The default is 10 s.
    ///
    /// Several hosts, and the several addresses of one, are tried in their order, the one that answered last first. Each
    /// has an equal share of this time, or of [`acquire_timeout`](Self::acquire_timeout) if that is less, for itself;
    /// one that has not answered by then is waited for beside the next one.
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// How long it may take to cancel what a connection is busy with that comes back, or to reset it. The default is
    /// 5 s. After that the connection is closed, whatever the server still does.
    pub const fn cleanup_timeout(mut self, limit: Duration) -> Self {
        self.cleanup_timeout = limit;
        self
    }

    /// Resets a session after every use. By default that is left out after statements which work on tables only and
    /// call no function but PostgreSQL's own, as far as their text tells. It does not tell what triggers, views, rules,
    /// policies, defaults, casts and operators of the database do, nor functions of its own with the name of one of
    /// PostgreSQL's, or called without parentheses, as a column of their row (`row.name`): where those change settings, make temporary tables or take locks that outlast the transaction, this
    /// keeps them from the next user, for a round trip after each use.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use evenkeel_postgres::{Database, Error, tokio_postgres::Config};
    /// # async fn example(config: Config) -> Result<(), Error> {
    /// let db = Database::builder(config).reset_always().connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn reset_always(mut self) -> Self {
        self.reset_always = true;
        self
    }

    /// How a request to cancel reaches the server: over another connection, for which a manager with TLS, or with a
    /// `Connect` of its own, has to say how it is made. Without it, a database of [`Database::over`] uses the address
    /// of the connection, without TLS; one of [`Database::builder`] or [`Database::builder_with_tls`] knows the way.
    ///
    /// Behind a pooler the link of a request has to stay open until the pooler closes it: PgBouncer drops a request
    /// whose link is closed before, as `CancelToken::cancel_query` does. What [`Database::builder`] and
    /// [`Database::builder_with_tls`] do by themselves waits.
    ///
    /// Where it cannot be sent, an abandoned statement is waited for until
    /// [`cleanup_timeout`](Self::cleanup_timeout). A panic of `cancel` costs the connection.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use evenkeel_postgres::tokio_postgres::{self, Socket, tls::{MakeTlsConnect, TlsConnect}};
    /// use evenkeel_postgres::{BuildError, Database, deadpool_postgres::Manager};
    ///
    /// # fn example<T>(config: tokio_postgres::Config, tls: T) -> Result<(), BuildError>
    /// # where
    /// #     T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    /// #     T::Stream: Send + Sync,
    /// #     T::TlsConnect: Send + Sync,
    /// #     <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    /// # {
    /// let manager = Manager::new(config, tls.clone());
    /// let db = Database::over(manager)
    ///     .cancel_with(move |token| {
    ///         let tls = tls.clone();
    ///         async move { token.cancel_query(tls).await }
    ///     })
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel_with<F, Fut>(mut self, cancel: F) -> Self
    where
        F: Fn(CancelToken) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
    {
        self.cancel = cancel_with(cancel);
        self
    }

    /// Makes the database without a connection: the first call makes one.
    ///
    /// # Errors
    ///
    /// [`BuildError::ZeroMax`], if there may be no connection at all.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use evenkeel_postgres::{BuildError, Database, tokio_postgres::Config};
    ///
    /// let config: Config = "postgres://app@localhost/app".parse()?;
    /// let db = Database::builder(config.clone()).build()?;
    /// assert_eq!(db.stats().size, 0);
    ///
    /// assert_eq!(Database::builder(config).max(0).build().unwrap_err(), BuildError::ZeroMax);
    /// # Ok(())
    /// # }
    /// ```
    pub fn build(self) -> Result<Database, BuildError> {
        let Self { source, cancel, max, acquire_timeout, connect_timeout, cleanup_timeout, reset_always } =
            self;
        let attempts = Arc::new(Attempts::default());
        let connector = Connector {
            source,
            // A caller without patience has no time to share; its connection is for others.
            turns: if acquire_timeout.is_zero() {
                connect_timeout
            } else {
                acquire_timeout.min(connect_timeout)
            },
            limit: connect_timeout,
            attempts: Arc::clone(&attempts),
            serials: Arc::default(),
            generation: Generation::default(),
            reset_always,
        };
        let pool = Pool::builder(connector)
            .max(max)
            .acquire_timeout(acquire_timeout)
            // The connector ends it.
            .create_timeout(Duration::MAX)
            .build()?;
        Ok(Database::new(pool, Cleaner::new(cancel, cleanup_timeout), attempts, acquire_timeout))
    }

    /// Makes the database and a first connection, so that a wrong address or password is found at once.
    ///
    /// # Errors
    ///
    /// [`Error::Build`], and [`Error::Get`] if there is no connection.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use evenkeel_postgres::{Database, Error, tokio_postgres::Config};
    /// # async fn example(config: Config) -> Result<(), Error> {
    /// let db = Database::builder(config).max(4).connect().await?;
    /// assert_eq!(db.stats().idle, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect(self) -> Result<Database, Error> {
        let db = self.build().map_err(Error::Build)?;
        drop(db.session().await?);
        Ok(db)
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("source", &self.source)
            .field("max", &self.max)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("cleanup_timeout", &self.cleanup_timeout)
            .field("reset_always", &self.reset_always)
            .finish_non_exhaustive()
    }
}
